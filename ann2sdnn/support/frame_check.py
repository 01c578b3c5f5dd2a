"""Checks of frames before a network sees them: compiled loops trust the shapes they get."""

from torch import Tensor, float32, uint8

from ann2sdnn.support.errors import DataError

_TYPES = {"uint8": uint8, "float32": float32}
_VALUES = {"uint8": "counts of 0 to 255", "float32": "as the network was calibrated on"}


def check_frames(frames: Tensor, input_shape: tuple[int, int, int], dtype: str = "uint8") -> None:
    """Raise DataError unless ``frames`` are [T, C, H, W] of ``input_shape`` (C, H, W) and of the
    type named ``dtype``.

    T may be 0.
    """
    check_channels(frames, frames.shape[1] if frames.ndim == 4 else 0, dtype)
    size, expected = ("x".join(map(str, shape)) for shape in (frames.shape[1:], input_shape))
    if size != expected:
        raise DataError(
            f"frames of {size} for a network whose input is {expected} (channels x height x"
            " width); crop or convert for frames of that size"
        )


def check_channels(frames: Tensor, channels: int, dtype: str = "uint8") -> None:
    """Raise DataError unless ``frames`` are [T, C, H, W] of C ``channels`` and of the type named
    ``dtype``, of any size.
    """
    if frames.dtype != _TYPES[dtype] or frames.ndim != 4:
        found = str(frames.dtype).removeprefix("torch.")
        raise DataError(
            f"frames are {found} {list(frames.shape)}; expected {dtype} [T, C, H, W],"
            f" {_VALUES[dtype]}"
        )
    if frames.shape[1] != channels:
        raise DataError(
            f"frames of {frames.shape[1]} channels for a network whose input has {channels};"
            " choose as many channels as the network has"
        )
