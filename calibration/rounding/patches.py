"""The inputs of each neuron as columns, so that any linear layer is one matrix product.

A transposed convolution is a convolution with the flipped kernel over the input with zeros in
between; a dense layer is a convolution of one pixel.
"""

from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.graph.geometry import Convolution, Dense, Geometry, TransposedConvolution


@singledispatch
def patches(
    geometry: Geometry, x: Tensor, kernel: tuple[int, int], every: int, offset: tuple[int, int]
) -> Tensor:
    """Inputs [N, groups, K, P] of P neurons: every ``every``-th row and column from ``offset``.

    K counts input channels of a group, then the kernel's rows and columns as in ``rows_of``.
    """
    raise TypeError(f"unknown geometry {type(geometry).__name__}")


@patches.register
def _(
    geometry: Convolution, x: Tensor, kernel: tuple[int, int], every: int, offset: tuple[int, int]
) -> Tensor:
    top, left, bottom, right = geometry.pads
    padded = F.pad(x, (left, right, top, bottom))
    rows, columns = (offset[axis] * geometry.stride[axis] for axis in range(2))
    stride = (geometry.stride[0] * every, geometry.stride[1] * every)
    unfolded = F.unfold(padded[:, :, rows:, columns:], kernel, geometry.dilation, 0, stride)
    return unfolded.reshape(len(x), geometry.groups, -1, unfolded.shape[-1])


@patches.register
def _(
    geometry: TransposedConvolution,
    x: Tensor,
    kernel: tuple[int, int],
    every: int,
    offset: tuple[int, int],
) -> Tensor:
    (down, across), (height, width) = geometry.stride, x.shape[2:]
    stuffed = x.new_zeros(*x.shape[:2], down * (height - 1) + 1, across * (width - 1) + 1)
    stuffed[:, :, ::down, ::across] = x
    top, left, bottom, right = geometry.pads
    reach = [d * (k - 1) for d, k in zip(geometry.dilation, kernel, strict=True)]
    more = geometry.output_padding
    padded = F.pad(
        stuffed,
        (
            reach[1] - left,
            reach[1] + more[1] - right,
            reach[0] - top,
            reach[0] + more[0] - bottom,
        ),
    )
    padded = padded[:, :, offset[0] :, offset[1] :]
    unfolded = F.unfold(padded, kernel, geometry.dilation, 0, every)
    return unfolded.reshape(len(x), geometry.groups, -1, unfolded.shape[-1])


@patches.register
def _(
    geometry: Dense, x: Tensor, kernel: tuple[int, int], every: int, offset: tuple[int, int]
) -> Tensor:
    return x.flatten(1)[:, None, :, None]


def rows_of(geometry: Geometry, weight: Tensor) -> Tensor:
    """The weight as [groups, O / groups, K]: z of a group is its rows times its patches."""
    if isinstance(geometry, Dense):
        return weight[None]
    if isinstance(geometry, Convolution):
        return weight.reshape(geometry.groups, len(weight) // geometry.groups, -1)
    # [I, O / groups, kh, kw] to [groups, O / groups, I / groups, kh, kw], kernel flipped.
    by_group = weight.reshape(geometry.groups, -1, *weight.shape[1:]).transpose(1, 2).flip(3, 4)
    return by_group.flatten(2)


def weight_of(geometry: Geometry, rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of ``rows_of`` for a weight of the ``shape``."""
    if not isinstance(geometry, TransposedConvolution):
        return rows.reshape(shape)
    in_channels, out_a_group, *kernel = shape
    by_group = rows.reshape(geometry.groups, out_a_group, in_channels // geometry.groups, *kernel)
    return by_group.flip(3, 4).transpose(1, 2).reshape(shape)
