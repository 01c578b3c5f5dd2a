"""2D transposed convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.graph.geometry import (
    Integers,
    Pads,
    Pair,
    Shape,
    check_channels,
    check_numbers,
    check_size,
    pad_sums,
    seen_by_tap,
)
from ann2sdnn.graph.kinds.kind import Array, kind
from ann2sdnn.graph.kinds.spatial import Spatial, kernel_axes
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


@kind("conv-t", formerly="TransposedConvolution")
@dataclass(frozen=True)
class TransposedConvolution(Spatial):
    """A 2D transposed convolution; weight [I, O / groups, kh, kw].

    The full result has stride (n - 1) + dilation (k - 1) + 1 rows; ``output_padding`` zeros are
    appended, then ``pads`` rows and columns are cropped. (0, 0, 1, 1) with stride 2 and a 3x3
    kernel is Keras' 'same'.
    """

    netx_type = "convT"
    transposed = True

    output_padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers("output_padding", self.output_padding, 2, 0)
        if any(rows >= step for rows, step in zip(self.output_padding, self.stride, strict=True)):
            raise ModelError(
                f"output_padding = {list(self.output_padding)} with strides ="
                f" {list(self.stride)}; expected less than the stride"
            )

    def _full_size(self, shape: Sequence[int], kernel: Sequence[int]) -> Pair:
        """Rows and columns before the pads are cropped."""
        rows, columns = (
            self.stride[axis] * (shape[1 + axis] - 1)
            + self.dilation[axis] * (kernel[axis] - 1)
            + 1
            + self.output_padding[axis]
            for axis in range(2)
        )
        return rows, columns

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        in_channels, out_channels_per_group, *kernel = kernel_axes(weight_shape)
        check_channels(shape[0], in_channels)
        if in_channels % self.groups:
            raise ModelError(
                f"{in_channels} input channels do not divide into {self.groups} groups"
            )
        full, cropped = self._full_size(shape, kernel), pad_sums(self.pads)
        output = (out_channels_per_group * self.groups, full[0] - cropped[0], full[1] - cropped[1])
        return check_size(output, self.pads)

    def linear(self, x: "Tensor", weight: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        full = F.conv_transpose2d(x, weight, None, self.stride, 0, 0, self.groups, self.dilation)
        top, left, bottom, right = self.pads
        # Appended zeros and cropped rows at the same edge cancel; F.pad takes negative numbers.
        rows, columns = self.output_padding
        return F.pad(full, (-left, columns - right, -top, rows - bottom))

    def integer_linear(self, x: Integers, weight: Integers) -> Integers:
        _, height, width = x.shape
        kernel = weight.shape[2:]
        by_group = weight.reshape(self.groups, -1, *weight.shape[1:])
        grouped = x.reshape(self.groups, -1, height, width)
        rows, columns = self._full_size(x.shape, kernel)
        full = np.zeros((self.groups, weight.shape[1], rows, columns), np.int64)
        for row, column in product(*map(range, kernel)):
            sent = np.einsum("gio,gihw->gohw", by_group[:, :, :, row, column], grouped)
            reached = seen_by_tap(full, (row, column), self.dilation, self.stride)
            reached[..., :height, :width] += sent
        top, left, bottom, right = self.pads
        cropped = full[..., top : rows - bottom, left : columns - right]
        return cropped.reshape(-1, *cropped.shape[2:])

    def patches(
        self, x: "Tensor", weight_shape: Sequence[int], every: int, offset: Pair
    ) -> "Tensor":
        """A convolution of the input with zeros in between."""
        import torch.nn.functional as F

        kernel = (weight_shape[2], weight_shape[3])
        (down, across), (height, width) = self.stride, x.shape[2:]
        stuffed = x.new_zeros(*x.shape[:2], down * (height - 1) + 1, across * (width - 1) + 1)
        stuffed[:, :, ::down, ::across] = x
        top, left, bottom, right = self.pads
        reach = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]
        rows, columns = self.output_padding
        padded = F.pad(
            stuffed,
            (reach[1] - left, reach[1] + columns - right, reach[0] - top, reach[0] + rows - bottom),
        )
        padded = padded[:, :, offset[0] :, offset[1] :]
        unfolded = F.unfold(padded, kernel, self.dilation, 0, every)
        return unfolded.reshape(len(x), self.groups, -1, unfolded.shape[-1])

    def split(self, weight: Array, channels: int) -> Array:
        ins, outs = weight.shape[0] // self.groups, weight.shape[1]
        return weight.reshape(self.groups, ins, outs, prod(weight.shape[2:])).swapaxes(1, 2)

    def merge(self, parts: Array, kernel: Sequence[int]) -> Array:
        groups, outs, ins = parts.shape[:3]
        return parts.swapaxes(1, 2).reshape(groups * ins, outs, *kernel)

    def rows(self, weight: "Tensor", channels: int) -> "Tensor":
        """The kernel is flipped, as ``patches`` sees it."""
        return super().rows(weight.flip(2, 3), channels)

    def from_rows(self, rows: "Tensor", weight_shape: Sequence[int], channels: int) -> "Tensor":
        return super().from_rows(rows, weight_shape, channels).flip(2, 3)

    def envelope(self, weight: "Tensor") -> "Tensor | None":
        return None if self.groups > 1 else weight.amax(dim=1, keepdim=True)

    def fan_in(self, weight_shape: Sequence[int]) -> float:
        """A neuron meets one in stride x stride taps."""
        n_taps = prod(weight_shape[2:]) / prod(self.stride)
        return weight_shape[0] / self.groups * n_taps

    def symmetric(self) -> tuple["TransposedConvolution", Pads]:
        """Also without output padding."""
        changed, taps = super().symmetric()
        return replace(changed, output_padding=(0, 0)), taps

    @property
    def appended(self) -> Pair:
        """The output padding."""
        return self.output_padding

    def pixel_steps(self) -> tuple[Fraction, Fraction]:
        return Fraction(1, self.stride[0]), Fraction(1, self.stride[1])
