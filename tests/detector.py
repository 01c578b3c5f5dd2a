"""A network with two outputs of different sizes and units, maps and scores, converted."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from networks import moving_frames
from numpy.typing import NDArray
from torch import Tensor, nn

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.options import ConvertOptions

SIZE = (16, 20)
N_FRAMES = 8


class Detector(nn.Module):
    """Maps [2, 16, 20] and scores [3, 8, 10], which are ten times as large; with ``has_tail``, the
    scores of each place go through a Softmax.
    """

    def __init__(self, *, has_tail: bool) -> None:
        super().__init__()
        self.has_tail = has_tail
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.down = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        self.side = nn.Conv2d(6, 6, 1, stride=2)
        self.fuse = nn.Conv2d(12, 4, 3, padding=1)
        self.maps = nn.Conv2d(4, 2, 1)
        self.scores = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of frames [N, 1, 16, 20]."""
        stem = F.relu(self.stem(x))
        deep = F.relu(self.down(stem) + self.side(stem))
        up = F.interpolate(deep, scale_factor=2.0, mode="nearest")
        maps = self.maps(F.relu(self.fuse(torch.cat((stem, up), dim=1))))
        scores = 10 * self.scores(deep)
        return maps, scores.softmax(dim=1) if self.has_tail else scores


def sequences(n_sequences: int, *, seed: int = 0) -> list[NDArray[np.uint8]]:
    """[8, 1, 16, 20] each: a picture that moves by a pixel per frame."""
    return [moving_frames(N_FRAMES, seed=seed + index).numpy() for index in range(n_sequences)]


def write_frames(path: Path, n_sequences: int, *, seed: int = 0, labelled: bool = False) -> Path:
    """Frames of ``sequences``; ``labelled``: with a class each."""
    frames = np.concatenate(sequences(n_sequences, seed=seed))
    labels = {"labels": np.arange(len(frames)) % 3} if labelled else {}
    np.savez(path, frames=frames, lengths=[N_FRAMES] * n_sequences, **labels)
    return path


def converted_detector(folder: Path, *, has_tail: bool) -> Path:
    """The detector converted with thresholds that move its outputs."""
    torch.manual_seed(0)
    network = a2s.from_torch(
        Detector(has_tail=has_tail).eval(), torch.zeros(1, 1, *SIZE), input_scale=1 / 255
    )
    options = ConvertOptions(RateDistortion(budget_error=0.05))
    a2s.to_sdnn(network, sequences(4, seed=9), options=options).save(folder)
    return folder
