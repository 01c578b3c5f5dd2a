"""What is done to the values of a frame before they are a network's input."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ann2sdnn.graph.geometry import Pair
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

FrameType = Literal["uint8", "float32"]
COUNTS = 255  # of the largest uint8 pixel


@dataclass(frozen=True)
class Preprocessing:
    """From a frame to the input x: x[c] = (value * input_scale - mean[c]) / std[c].

    The factor ``input_scale`` stands beside it, in the graph and in the spec. Zeros that a layer
    pads with are zeros of x. Raises ModelError for numbers that are not finite and for a standard
    deviation of 0 or less.
    """

    mean: tuple[float, ...] = ()
    """One per channel, or one for all; none subtracts nothing."""
    std: tuple[float, ...] = ()
    """One per channel, or one for all; none divides by nothing."""
    resize: Pair | None = None
    """Height and width that frames are resized to first; None: they have the network's size."""
    dtype: FrameType = "uint8"
    """Type of the frames."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.mean)):
            raise ModelError(f"an input mean of {_listed(self.mean)}; expected finite numbers")
        if not all(math.isfinite(value) and value > 0 for value in self.std):
            raise ModelError(
                f"an input standard deviation of {_listed(self.std)}; expected finite numbers"
                " above 0"
            )
        if self.resize is not None and min(self.resize) < 1:
            raise ModelError(
                f"a size of {self.resize[0]}x{self.resize[1]} that frames are resized to; expected"
                " 1 or more rows and columns"
            )

    @property
    def may_be_negative(self) -> bool:
        """Whether the network's input may hold values below 0."""
        return bool(self.mean) or self.dtype != "uint8"

    def for_channels(self, channels: int, input_scale: float) -> "Preprocessing":
        """The same with one number per channel, none where they have no effect.

        Raises ModelError for another number of them than ``channels``, and for a mean that is less
        than one count of a uint8 pixel everywhere: the factor ``input_scale`` is then missing.
        """
        mean = _per_channel(self.mean, channels, "mean")
        std = _per_channel(self.std, channels, "standard deviation")
        largest = max(map(abs, mean), default=0.0)
        if self.dtype == "uint8" and 0 < largest < input_scale:
            raise ModelError(
                f"an input mean of {_listed(self.mean)} is less than one count of a pixel, because"
                f" the input scale is {input_scale:g}; give the scale too, 1/255 = 0.00392157 for"
                " inputs of 0 to 1, or leave the mean out"
            )
        return replace(
            self, mean=mean if any(mean) else (), std=std if any(s != 1 for s in std) else ()
        )


def resize_frames(frames: "Tensor", size: Pair) -> "Tensor":
    """Frames [T, C, H, W] of another ``size`` (height, width), of their own type.

    Bilinear with half-pixel centres, averaging where it shrinks, as torchvision's and Pillow's
    resizing do (``torch.nn.functional.interpolate`` with ``antialias``); pixels are rounded.
    """
    import torch
    import torch.nn.functional as F

    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    values: Tensor = F.interpolate(frames.to(torch.float32), size, mode="bilinear", antialias=True)
    if frames.dtype == torch.uint8:
        return values.round_().clamp_(0, 255).to(torch.uint8)
    return values


def _per_channel(values: tuple[float, ...], channels: int, what: str) -> tuple[float, ...]:
    if len(values) not in (0, 1, channels):
        raise ModelError(
            f"an input {what} of {len(values)} values ({_listed(values)}) for an input of"
            f" {channels} channel{'s' * (channels != 1)}; expected one value, or one per channel"
        )
    return tuple(map(float, values)) * (channels if len(values) == 1 else 1)


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)
