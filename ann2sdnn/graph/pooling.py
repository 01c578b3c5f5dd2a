"""Pooling over windows: its output shape, and its computation in torch and in int64."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ann2sdnn.graph.geometry import (
    NO_PADS,
    Integers,
    Pads,
    Pair,
    Shape,
    check_numbers,
    check_size,
    pad_sums,
    padded_map,
    seen_by_tap,
    windows,
)
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

PoolKind = Literal["max", "average", "sum"]


@dataclass(frozen=True)
class Pool:
    """Pooling over windows. ``average`` divides by the kernel's size (padding counts as zeros);
    ``sum`` does not divide, so that it stays on an integer grid.
    """

    kind: PoolKind
    kernel: Pair
    stride: Pair
    pads: Pads = NO_PADS

    def __post_init__(self) -> None:
        if self.kind not in get_args(PoolKind):
            raise ModelError(f"a pool of kind {self.kind}")
        check_numbers("kernel_shape", self.kernel, 2, 1)
        check_numbers("strides", self.stride, 2, 1)
        check_numbers("pads", self.pads, 4, 0)
        if any(pad >= size for pad, size in zip(self.pads, self.kernel * 2, strict=True)):
            raise ModelError(
                f"pads = {list(self.pads)} with kernel_shape = {list(self.kernel)}; expected less"
                " than the kernel"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """Shape after pooling; ModelError when a window does not fit."""
        height, width = (
            windows(shape[1 + axis], self.kernel[axis], self.stride[axis], 1, pad)
            for axis, pad in enumerate(pad_sums(self.pads))
        )
        check_size(shape, self.pads)
        return check_size((shape[0], height, width))

    @property
    def window(self) -> int:
        """Number of pixels in a window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def n_summed(self) -> int:
        """Values that one output adds up without dividing: the window of a sum, else 1."""
        return self.window if self.kind == "sum" else 1

    def on_grid(self) -> "Pool":
        """An average as the sum that stays on the integer grid; other pooling unchanged."""
        return replace(self, kind="sum") if self.kind == "average" else self

    def apply(self, x: "Tensor") -> "Tensor":
        """Pooling of ``x`` [N, C, H, W]. Padding is zeros, right after a ReLU."""
        import torch.nn.functional as F

        if any(self.pads):
            top, left, bottom, right = self.pads
            x = F.pad(x, (left, right, top, bottom))
        if self.kind == "max":
            return F.max_pool2d(x, self.kernel, self.stride)
        divisor = 1 if self.kind == "sum" else None
        return F.avg_pool2d(x, self.kernel, self.stride, divisor_override=divisor)

    def apply_integers(self, x: Integers) -> Integers:
        """Maximum or sum over windows of ``x`` [C, H, W] int64; padding is zeros."""
        _, height, width = self.output_shape((x.shape[0], x.shape[1], x.shape[2]))
        padded = padded_map(x, self.pads)
        taps = [
            seen_by_tap(padded, (row, column), (1, 1), self.stride)[:, :height, :width]
            for row in range(self.kernel[0])
            for column in range(self.kernel[1])
        ]
        pooled = np.max(taps, axis=0) if self.kind == "max" else np.sum(taps, axis=0)
        return np.asarray(pooled, np.int64)
