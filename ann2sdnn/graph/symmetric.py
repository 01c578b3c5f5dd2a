"""Kernels with zero taps added so that padding is the same on both sides.

slayer and netx pad both sides alike, and slayer's transposed convolution has no output padding.
A zero tap at a kernel's edge shifts where the kernel lies without changing what it computes: the
3x3 stride-2 kernel with Keras' cropping becomes a 4x4 kernel with padding 1.
"""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import (
    MAX_VALUES,
    Convolution,
    Dense,
    Geometry,
    TransposedConvolution,
)
from ann2sdnn.support.errors import ModelError


def with_symmetric_pads(geometry: Geometry, weight: NDArray[Any]) -> tuple[Geometry, NDArray[Any]]:
    """An equivalent geometry with equal pads at both ends and no output padding, and its weight.

    Raises ModelError when a dilated kernel cannot be shifted by the number of pixels needed, or
    when the kernel would need too many taps.
    """
    if isinstance(geometry, Dense):
        return geometry, weight
    axes = [_axis_padding(geometry, axis) for axis in range(2)]
    taps = [(begin, end) for _, begin, end in axes]
    rows, columns = axes[0][0], axes[1][0]
    n_taps = prod(n + sum(added) for n, added in zip(weight.shape[2:], taps, strict=True))
    if weight.shape[0] * weight.shape[1] * n_taps > MAX_VALUES:
        raise ModelError(
            f"pads = {list(geometry.pads)} would need a kernel of {n_taps} taps to be the same on"
            " both sides; use smaller pads"
        )
    padded = np.pad(weight, [(0, 0), (0, 0), *taps])
    changed: Geometry = replace(geometry, pads=(rows, columns, rows, columns))
    if isinstance(changed, TransposedConvolution):
        changed = replace(changed, output_padding=(0, 0))
    return changed, padded


def _axis_padding(geometry: Convolution | TransposedConvolution, axis: int) -> tuple[int, int, int]:
    """Padding of both ends, and the zero taps to add before and after the kernel.

    Convolution: output i reads input i s - p + d k, so p - begin pixels need that many taps of
    spacing d in front; its size fixes the taps behind. Transposed convolution: tap k of input i
    writes s i + d k - p, with the same result for ``end - output_padding``.
    """
    begin, end = geometry.pads[axis], geometry.pads[axis + 2]
    if isinstance(geometry, TransposedConvolution):
        end -= geometry.output_padding[axis]
    spacing = geometry.dilation[axis]
    padding = max(begin, end, 0)
    before, after = padding - begin, padding - end
    if before % spacing or after % spacing:
        raise ModelError(
            f"pads of {begin} and {end} pixels cannot be made equal for a kernel with dilation"
            f" {spacing}; pad the input in a layer of its own"
        )
    return padding, before // spacing, after // spacing
