"""Fully connected layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ann2sdnn.graph.geometry import Integers, Pair, Shape, check_channels, check_size
from ann2sdnn.graph.kinds.kind import Array, Geometry, NetxRow, kind
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


@kind("dense", formerly="Dense")
@dataclass(frozen=True)
class Dense(Geometry):
    """A fully connected layer; weight [O, C * H * W], its input flattened in C, H, W order."""

    reads_flat = True
    netx_type = "dense"

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        """(O, 1, 1)."""
        if len(weight_shape) != 2:
            raise ModelError(f"a dense weight has 2 axes, this one {len(weight_shape)}")
        check_channels(shape[0] * shape[1] * shape[2], weight_shape[1])
        return check_size((weight_shape[0], 1, 1))

    def linear(self, x: "Tensor", weight: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        return F.linear(x.flatten(1), weight)[:, :, None, None]

    def integer_linear(self, x: Integers, weight: Integers) -> Integers:
        return (weight @ x.ravel())[:, None, None]

    def patches(
        self, x: "Tensor", weight_shape: Sequence[int], every: int, offset: Pair
    ) -> "Tensor":
        """One patch, the whole input."""
        return x.flatten(1)[:, None, :, None]

    def split(self, weight: Array, channels: int) -> Array:
        """The pixels of a channel are its taps."""
        return weight.reshape(1, weight.shape[0], channels, weight.shape[1] // channels)

    def merge(self, parts: Array, kernel: Sequence[int]) -> Array:
        return parts.reshape(parts.shape[1], parts.shape[2] * parts.shape[3])

    def netx_row(self, shape: Shape, weight_shape: Sequence[int]) -> NetxRow:
        return NetxRow(self.netx_type, weight_shape[1], weight_shape[0])
