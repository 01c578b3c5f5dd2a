"""Checks of frames before a network sees them: compiled loops trust the shapes they get."""

import torch
from torch import Tensor

from ann2sdnn.support.errors import DataError

_AXES = 4


def check_frames(frames: Tensor, input_shape: tuple[int, int, int]) -> None:
    """Raise DataError unless ``frames`` are uint8 [T, C, H, W] of ``input_shape`` (C, H, W).

    T may be 0.
    """
    _check_kind(frames)
    found = tuple(frames.shape[1:])
    if found != tuple(input_shape):
        raise DataError(
            f"frames of {_size(found)} for a network whose input is {_size(tuple(input_shape))}"
            " (channels x height x width); crop or convert for frames of that size"
        )


def check_channels(frames: Tensor, channels: int) -> None:
    """Raise DataError unless ``frames`` are uint8 [T, C, H, W] of C ``channels``, of any size."""
    _check_kind(frames)
    if frames.shape[1] != channels:
        raise DataError(
            f"frames of {frames.shape[1]} channels for a network whose input has {channels};"
            " choose as many channels as the network has"
        )


def _check_kind(frames: Tensor) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != _AXES:
        raise DataError(
            f"frames are {str(frames.dtype).removeprefix('torch.')} {list(frames.shape)}; expected"
            " uint8 [T, C, H, W], counts of 0 to 255"
        )


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
