"""How well the network finds joints in whole pictures of the test side."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.recordings.samples import PoseSamples

_BATCH = 4


@dataclass(frozen=True)
class ValidationSet:
    """Whole pictures and where their joints are.

    ``frames`` [n, 1, H, W] uint8, ``pixels`` [n, 13, 2] int64 (column, row), ``visible`` [n, 13].
    ``baseline_px`` is the MPJPE of answering every picture with the training side's mean pose in
    that camera, None where there is no joint to compare.
    """

    frames: torch.Tensor
    pixels: NDArray[np.int64]
    visible: NDArray[np.bool_]
    baseline_px: float | None


def build_validation(train: PoseSamples, test: PoseSamples, n_frames: int) -> ValidationSet:
    """Take at most ``n_frames`` pictures of ``test``, spread evenly; both share their channels."""
    indices = np.unique(np.linspace(0, len(test) - 1, min(n_frames, len(test))).astype(int))
    frames = torch.stack([test[int(index)].frame for index in indices])
    pixels, visible = test.pixels[indices], test.visible[indices]
    guess = mean_pose(train)[indices % len(test.channels)]
    return ValidationSet(frames, pixels, visible, mpjpe_px(guess, pixels, visible))


def mean_pose(samples: PoseSamples) -> NDArray[np.float64]:
    """Mean pixel [channels, 13, 2] of every joint over the pictures in which it is visible."""
    n_channels = len(samples.channels)
    pixels = samples.pixels.reshape(-1, n_channels, *samples.pixels.shape[1:])
    visible = samples.visible.reshape(-1, n_channels, samples.visible.shape[1], 1)
    count = np.maximum(visible.sum(axis=0), 1)
    return np.asarray((pixels * visible).sum(axis=0) / count)


def mpjpe_px(
    predicted: NDArray[np.float64] | NDArray[np.int64],
    pixels: NDArray[np.int64],
    visible: NDArray[np.bool_],
) -> float | None:
    """Mean distance in pixels over visible joints; None where no joint is visible."""
    if not visible.any():
        return None
    distance = np.linalg.norm(predicted - pixels, axis=-1)
    return float(distance[visible].mean())


def network_mpjpe_px(
    network: Callable[[torch.Tensor], torch.Tensor],
    validation: ValidationSet,
    input_scale: float,
    device: torch.device,
) -> float | None:
    """MPJPE in pixels of a network's decoded heat maps over the visible joints.

    ``input_scale``: what a uint8 frame is multiplied with before ``network`` sees it.
    """
    predicted = []
    with torch.no_grad():
        for start in range(0, len(validation.frames), _BATCH):
            frames = validation.frames[start : start + _BATCH].to(device)
            maps = network(frames.float() * input_scale)
            predicted.append(decode_heatmaps(maps)[0])
    return mpjpe_px(np.concatenate(predicted), validation.pixels, validation.visible)
