"""Validation: the error of the network's joints in whole pictures of the validation side."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.ann.architectures import Architecture
from ann2sdnn.ann.training.price import OperationShare
from ann2sdnn.data.pose.error import mean_pose, mpjpe_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.scale import PictureScale
from ann2sdnn.data.recordings.samples import PoseSamples

_BATCH = 4
_COUNTED = 16  # pictures on which operations are counted


@dataclass(frozen=True)
class ValidationSet:
    """Whole pictures and the joints in them."""

    frames: torch.Tensor
    """uint8 [n, 1, H, W], resized where the training's pictures are."""
    scale: PictureScale
    """From these frames to the camera's whole pictures."""
    pixels: NDArray[np.int64]
    """Joints (column, row) [n, 13, 2] in the camera's whole pictures."""
    visible: NDArray[np.bool_]
    """Which joints count [n, 13]."""
    baseline_px: float | None
    """Error of always answering the camera's mean pose on the training side; None where no joint
    is visible."""


def build_validation(train: PoseSamples, others: PoseSamples, n_frames: int) -> ValidationSet:
    """Take at most ``n_frames`` evenly spaced pictures of ``others``, of the same channels."""
    indices = np.unique(np.linspace(0, len(others) - 1, min(n_frames, len(others))).astype(int))
    frames = torch.stack([others[int(index)].frame for index in indices])
    pixels, visible = others.pixels[indices], others.visible[indices]
    n = len(train.channels)
    # Pixel (0, 0) where a joint is never visible.
    poses = np.nan_to_num([mean_pose(train.pixels[c::n], train.visible[c::n]) for c in range(n)])
    baseline_px = mpjpe_px(poses[indices % n], pixels, visible)
    return ValidationSet(frames, others.scale, pixels, visible, baseline_px)


def network_mpjpe_px(
    network: Callable[[torch.Tensor], torch.Tensor],
    validation: ValidationSet,
    input_scale: float,
    device: torch.device,
) -> float | None:
    """Error of a network's decoded heat maps in pixels of whole pictures; None where no joint is
    visible.

    ``input_scale``: factor from a uint8 pixel to the input of ``network``.
    """
    predicted = []
    with torch.no_grad():
        for start in range(0, len(validation.frames), _BATCH):
            frames = validation.frames[start : start + _BATCH].to(device)
            maps = network(frames.float() * input_scale)
            predicted.append(validation.scale.to_whole(decode_heatmaps(maps)[0]))
    return mpjpe_px(np.concatenate(predicted), validation.pixels, validation.visible)


def operations_share(
    maps: Callable[[torch.Tensor, OperationShare], object],
    architecture: Architecture,
    validation: ValidationSet,
    device: torch.device,
) -> float:
    """Share 0..1 of the dense operations that non-zero activations cause on validation pictures.

    ``maps`` runs a network of the ``architecture`` on uint8 frames [N, 1, H, W] and counts its
    layers.
    """
    counted, n_frames = OperationShare(architecture.fan_outs), len(validation.frames)
    chosen = np.unique(np.linspace(0, n_frames - 1, min(_COUNTED, n_frames)).astype(int))
    with torch.no_grad():
        for start in range(0, len(chosen), _BATCH):
            maps(validation.frames[chosen[start : start + _BATCH]].to(device), counted)
    return float(counted.share)
