"""Linear operations and pooling on int64 arrays, written for clarity: the reference's arithmetic.

Arrays are [C, H, W]; weights are laid out as the geometry says (``graph/geometry.py``). Nothing
is rounded, and nothing wraps: sums of 2^16 products of 9 and 24 bits have 49 bits.
"""

from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import (
    Convolution,
    Dense,
    Geometry,
    Pads,
    Pool,
    TransposedConvolution,
)

Integers = NDArray[np.int64]


@singledispatch
def integer_linear(geometry: Geometry, x: Integers, weight: Integers) -> Integers:
    """The linear operation of ``geometry`` on ``x`` [C, H, W], without bias: [O, H', W']."""
    raise TypeError(f"unknown geometry {type(geometry).__name__}")


@integer_linear.register
def _(geometry: Convolution, x: Integers, weight: Integers) -> Integers:
    shape = (x.shape[0], x.shape[1], x.shape[2])
    _, height, width = geometry.output_shape(shape, weight.shape)
    padded = _padded(x, geometry.pads)
    groups = geometry.groups
    by_group = weight.reshape(groups, -1, *weight.shape[1:])
    out = np.zeros((groups, by_group.shape[1], height, width), np.int64)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            seen = _window(padded, (row, column), geometry.dilation, geometry.stride)
            seen = seen[:, :height, :width].reshape(groups, -1, height, width)
            out += np.einsum("goi,gihw->gohw", by_group[:, :, :, row, column], seen)
    return out.reshape(-1, height, width)


@integer_linear.register
def _(geometry: TransposedConvolution, x: Integers, weight: Integers) -> Integers:
    channels, height, width = x.shape
    groups, (rows, columns) = geometry.groups, weight.shape[2:]
    by_group = weight.reshape(groups, channels // groups, *weight.shape[1:])
    grouped = x.reshape(groups, -1, height, width)
    sizes = [
        geometry.stride[axis] * (x.shape[1 + axis] - 1)
        + geometry.dilation[axis] * (weight.shape[2 + axis] - 1)
        + 1
        + geometry.output_padding[axis]
        for axis in (0, 1)
    ]
    full = np.zeros((groups, weight.shape[1], *sizes), np.int64)
    for row in range(rows):
        for column in range(columns):
            sent = np.einsum("gio,gihw->gohw", by_group[:, :, :, row, column], grouped)
            _window(full, (row, column), geometry.dilation, geometry.stride)[
                ..., :height, :width
            ] += sent
    top, left, bottom, right = geometry.pads
    cropped = full[..., top : sizes[0] - bottom, left : sizes[1] - right]
    return cropped.reshape(-1, *cropped.shape[2:])


@integer_linear.register
def _(geometry: Dense, x: Integers, weight: Integers) -> Integers:
    return (weight @ x.ravel())[:, None, None]


def integer_pool(layer_pool: Pool | None, x: Integers) -> Integers:
    """Maximum or sum over windows of ``x`` [C, H, W]; padding is zeros. None passes ``x`` on."""
    if layer_pool is None:
        return x
    _, height, width = layer_pool.output_shape((x.shape[0], x.shape[1], x.shape[2]))
    padded = _padded(x, layer_pool.pads)
    taps = [
        _window(padded, (row, column), (1, 1), layer_pool.stride)[:, :height, :width]
        for row in range(layer_pool.kernel[0])
        for column in range(layer_pool.kernel[1])
    ]
    stacked = np.stack(taps)
    pooled = stacked.max(axis=0) if layer_pool.kind == "max" else stacked.sum(axis=0)
    return np.asarray(pooled, np.int64)


def _padded(x: Integers, pads: Pads) -> Integers:
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (top, bottom), (left, right)))


def _window(
    x: Integers, tap: tuple[int, int], dilation: tuple[int, int], stride: tuple[int, int]
) -> Integers:
    """A view of ``x`` [..., H, W]: what the ``tap`` of a kernel meets, window by window."""
    rows = slice(tap[0] * dilation[0], None, stride[0])
    columns = slice(tap[1] * dilation[1], None, stride[1])
    return x[..., rows, columns]
