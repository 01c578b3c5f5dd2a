"""Checks of frames before a network sees them: compiled loops trust the shapes they get."""

from torch import Tensor, uint8

from ann2sdnn.support.errors import DataError


def check_frames(frames: Tensor, input_shape: tuple[int, int, int]) -> None:
    """Raise DataError unless ``frames`` are uint8 [T, C, H, W] of ``input_shape`` (C, H, W).

    T may be 0.
    """
    check_channels(frames, frames.shape[1] if frames.ndim == 4 else 0)
    size, expected = ("x".join(map(str, shape)) for shape in (frames.shape[1:], input_shape))
    if size != expected:
        raise DataError(
            f"frames of {size} for a network whose input is {expected} (channels x height x"
            " width); crop or convert for frames of that size"
        )


def check_channels(frames: Tensor, channels: int) -> None:
    """Raise DataError unless ``frames`` are uint8 [T, C, H, W] of C ``channels``, of any size."""
    if frames.dtype != uint8 or frames.ndim != 4:
        raise DataError(
            f"frames are {str(frames.dtype).removeprefix('torch.')} {list(frames.shape)}; expected"
            " uint8 [T, C, H, W], counts of 0 to 255"
        )
    if frames.shape[1] != channels:
        raise DataError(
            f"frames of {frames.shape[1]} channels for a network whose input has {channels};"
            " choose as many channels as the network has"
        )
