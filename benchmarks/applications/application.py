"""Trains a network on a part of its data, and writes both as a user would."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

MODEL_FILE = "model.onnx"
TRAINING_FILE, CALIBRATION_FILE, TEST_FILE = "training.npz", "calibration.npz", "test.npz"
MAPS = "maps"  # the array of these files with the class of every pixel


@dataclass(frozen=True, eq=False)
class Sequences:
    """``frames`` [N, C, H, W] uint8 or float32, all sequences after each other.

    ``labels``: classes [N] int64, values [N, K] float32, or the class of every pixel [N, H, W]
    int64. ``lengths`` [S]: frames per sequence.
    """

    frames: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64] | NDArray[np.float32]
    lengths: NDArray[np.int64]

    @property
    def are_of_pixels(self) -> bool:
        """Whether the labels are classes of pixels."""
        return self.labels.ndim == 3

    def part(self, first: float, last: float) -> "Sequences":
        """The sequences from a share of all of them on up to another."""
        start, stop = (round(share * len(self.lengths)) for share in (first, last))
        frames = slice(*(int(self.lengths[:number].sum()) for number in (start, stop)))
        return Sequences(self.frames[frames], self.labels[frames], self.lengths[start:stop])

    def held(self, counts: int) -> "Sequences":
        """The frames with pixels that keep a value until they differ from it by more than
        ``counts``, as an input with a threshold does; each sequence begins as it is.
        """
        frames = self.frames.copy()
        starts = set(np.cumsum(self.lengths).tolist())
        for number in range(1, len(frames)):
            if number not in starts:
                change = np.abs(frames[number].astype(np.float32) - frames[number - 1])
                frames[number] = np.where(change > counts, frames[number], frames[number - 1])
        return Sequences(frames, self.labels, self.lengths)

    def save(self, path: Path) -> None:
        """Write the file that `convert` and `evaluate` read.

        They take no classes of pixels as labels, so these are an array of their own, ``MAPS``.
        """
        labels = MAPS if self.are_of_pixels else "labels"
        parts = {"frames": self.frames, labels: self.labels, "lengths": self.lengths}
        np.savez_compressed(path, **parts)


@dataclass(frozen=True, eq=False)
class Application:
    """A network, its data, and what enters the network: (value * scale - mean) / std."""

    name: str
    network: str
    """The network in words, for the table."""
    data: str
    """The data in words."""
    sequences: Callable[[], Sequences]
    build: Callable[[], nn.Module]
    epochs: int
    trained_on: float = 0.5
    """The share of the sequences that train the network."""
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    hold: int = 0
    """Counts by which a pixel must change before the frames for calibration and test show it."""
    task: str | None = None
    """The task that `convert` is told, where labels do not say it."""
    as_signal: bool = False
    """Whether the network takes [N, C, L]; its frames are [N, C, 1, L]."""

    def inputs(self, frames: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
        """The network's input for ``frames``."""
        x = torch.from_numpy(frames).float() * self.scale
        mean, std = (torch.tensor(each).reshape(-1, 1, 1) for each in (self.mean, self.std))
        x = (x - mean) / std
        return x.squeeze(2) if self.as_signal else x


def make(application: Application, folder: Path) -> None:
    """Train ``application``'s network and write it and its data into ``folder``.

    The first sequences train, half of the rest is for calibration and half for the test. On frames
    that it was trained on a network is surer of itself, so that they calibrate it badly.
    """
    sequences = application.sequences()
    end, middle = application.trained_on, (1 + application.trained_on) / 2
    network = train(application, sequences.part(0, end))
    sequences.part(0, end).save(folder / TRAINING_FILE)
    sequences.part(end, middle).held(application.hold).save(folder / CALIBRATION_FILE)
    sequences.part(middle, 1).held(application.hold).save(folder / TEST_FILE)
    path = folder / MODEL_FILE
    example = application.inputs(sequences.frames[:1])
    torch.onnx.export(network, (example,), str(path), input_names=["frame"])
    model = onnx.load(path)
    entries = {
        "ann2sdnn.input_scale": repr(application.scale),
        "ann2sdnn.input_mean": ",".join(map(repr, application.mean)),
        "ann2sdnn.input_std": ",".join(map(repr, application.std)),
    }
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


def train(application: Application, sequences: Sequences) -> nn.Module:
    """The network after ``epochs`` passes over ``sequences``, in evaluation mode.

    Cross entropy for classes, of frames or of pixels, squared error for values; Adam, the learning
    rate falls to 0 along a cosine.
    """
    torch.manual_seed(0)
    network = application.build()
    x, y = application.inputs(sequences.frames), torch.from_numpy(sequences.labels)
    n_frames = len(x)
    loss = F.mse_loss if y.is_floating_point() else F.cross_entropy
    batch = 32
    steps = application.epochs * (n_frames // batch)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(application.epochs):
        order = torch.randperm(n_frames)
        for chosen in order[: n_frames // batch * batch].split(batch):
            optimiser.zero_grad()
            loss(network(x[chosen]), y[chosen]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()
