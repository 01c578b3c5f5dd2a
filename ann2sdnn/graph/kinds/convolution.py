"""2D convolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.graph.geometry import (
    Integers,
    Pair,
    Shape,
    check_channels,
    check_size,
    pad_sums,
    padded_map,
    seen_by_tap,
    windows,
)
from ann2sdnn.graph.kinds.kind import kind
from ann2sdnn.graph.kinds.spatial import Spatial, kernel_axes
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


@kind("conv", formerly="Convolution")
@dataclass(frozen=True)
class Convolution(Spatial):
    """A 2D convolution; weight [O, I / groups, kh, kw]."""

    netx_type = "conv"
    transposed = False

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        out_channels, in_channels_per_group, *kernel = kernel_axes(weight_shape)
        check_channels(shape[0], in_channels_per_group * self.groups)
        if out_channels % self.groups:
            raise ModelError(
                f"{out_channels} output channels do not divide into {self.groups} groups"
            )
        height, width = (
            windows(shape[1 + axis], kernel[axis], self.stride[axis], self.dilation[axis], pad)
            for axis, pad in enumerate(pad_sums(self.pads))
        )
        check_size(shape, self.pads)
        return check_size((out_channels, height, width))

    def linear(self, x: "Tensor", weight: "Tensor") -> "Tensor":
        import torch.nn.functional as F

        top, left, bottom, right = self.pads
        padding, stride = (top, left), self.stride
        # The weight's gradient of a strided 1x1 kernel writes outside its memory where channels are
        # last (oneDNN in torch 2.3 on CPUs), so the pixels that it reads are taken out first.
        takes_out = weight.requires_grad and weight.shape[2:] == (1, 1) and max(stride) > 1
        if (top, left) != (bottom, right) or (takes_out and any(padding)):
            x = F.pad(x, (left, right, top, bottom))
            padding = (0, 0)
        if takes_out:
            x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
        return F.conv2d(x, weight, None, stride, padding, self.dilation, self.groups)

    def integer_linear(self, x: Integers, weight: Integers) -> Integers:
        shape = (x.shape[0], x.shape[1], x.shape[2])
        _, height, width = self.output_shape(shape, weight.shape)
        padded = padded_map(x, self.pads)
        by_group = weight.reshape(self.groups, -1, *weight.shape[1:])
        out = np.zeros((self.groups, by_group.shape[1], height, width), np.int64)
        for row, column in product(*map(range, weight.shape[2:])):
            seen = seen_by_tap(padded, (row, column), self.dilation, self.stride)
            seen = seen[:, :height, :width].reshape(self.groups, -1, height, width)
            out += np.einsum("goi,gihw->gohw", by_group[:, :, :, row, column], seen)
        return out.reshape(-1, height, width)

    def patches(
        self, x: "Tensor", weight_shape: Sequence[int], every: int, offset: Pair
    ) -> "Tensor":
        import torch.nn.functional as F

        top, left, bottom, right = self.pads
        padded = F.pad(x, (left, right, top, bottom))
        rows, columns = (offset[axis] * self.stride[axis] for axis in range(2))
        stride = (self.stride[0] * every, self.stride[1] * every)
        kernel = (weight_shape[2], weight_shape[3])
        unfolded = F.unfold(padded[:, :, rows:, columns:], kernel, self.dilation, 0, stride)
        return unfolded.reshape(len(x), self.groups, -1, unfolded.shape[-1])

    def pixel_steps(self) -> tuple[Fraction, Fraction]:
        return Fraction(self.stride[0]), Fraction(self.stride[1])
