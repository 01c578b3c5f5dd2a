"""Computes where the taps of an operation fall on a grid whose finer pixels are kept in channels.

A tensor [C, H, W] with packing r is held as [r * r * C, H / r, W / r], sub-pixel position first:
row y lies at coarse row y // r in the channels of position y % r (columns alike). On such a grid
every convolution and transposed convolution is an ordinary convolution between packed channels.
The two axes are independent; this module treats one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ann2sdnn.graph.kinds import AxisTaps
from ann2sdnn.support.errors import ConversionError


@dataclass(frozen=True)
class Tap:
    """Kernel tap ``k`` connects position ``source`` of a coarse input pixel, ``offset`` pixels
    from stride * (coarse output pixel), with position ``target`` of that output pixel.
    """

    target: int
    source: int
    offset: int
    k: int


@dataclass(frozen=True)
class PackedAxis:
    """The convolution on the coarse grid along one axis.

    ``slots[i]``: position of ``taps[i]`` in the kernel of ``kernel`` taps. ``packing``: of the
    output.
    """

    packing: int
    stride: int
    dilation: int
    pad: int
    kernel: int
    taps: tuple[Tap, ...]
    slots: tuple[int, ...]


@dataclass(frozen=True)
class CoarseKernel:
    """The taps of a convolution on the coarse grid, which reads the ``offsets`` that it was made
    for; its pads are the same at both ends.
    """

    dilation: int
    pad: int
    size: int

    def slot(self, offset: int) -> int:
        """The position in the kernel of the tap ``offset`` pixels from stride * output."""
        return (offset + self.pad) // self.dilation


def pack_axis(operation: AxisTaps, packing: int) -> PackedAxis:
    """``operation`` on an input with ``packing``; pads of the result are the same at both ends.

    Raises ConversionError when values outside the image would be read where the original reads
    zeros, which happens where a size does not divide by its packing.
    """
    n_in = -(-operation.input_size // packing)
    if reads_beyond(operation, packing, n_in):
        raise ConversionError(
            f"its input of {operation.input_size} pixels is kept {packing} to a coarse pixel and"
            f" does not divide by {packing}, so it would read what lies beyond the image"
        )
    ratio = packing_ratio(operation, packing)
    out_packing, stride = ratio.numerator, ratio.denominator
    taps = taps_on(operation, packing, stride)
    n_out = -(-operation.output_size // out_packing)
    kernel = fitted([tap.offset for tap in taps], stride, n_in, n_out)
    return PackedAxis(
        packing=out_packing,
        stride=stride,
        dilation=kernel.dilation,
        pad=kernel.pad,
        kernel=kernel.size,
        taps=tuple(taps),
        slots=tuple(kernel.slot(tap.offset) for tap in taps),
    )


def packing_ratio(operation: AxisTaps, packing: int) -> Fraction:
    """The packing of the result divided by the stride on the coarse grid."""
    step = operation.stride
    return Fraction(packing * step) if operation.transposed else Fraction(packing, step)


def taps_on(operation: AxisTaps, packing: int, stride: int) -> list[Tap]:
    """The taps on the coarse grid for an input with ``packing`` and a coarse ``stride``.

    The packing of the result is ``packing_ratio`` times the stride, which has to be whole.
    """
    kernel, step, pad, dilation = (
        range(operation.kernel),
        operation.stride,
        operation.pad,
        operation.dilation,
    )
    targets = range(int(packing_ratio(operation, packing) * stride))
    if operation.transposed:
        # target + pad = step * source + dilation * k, modulo step * packing.
        period = step * packing
        return [
            Tap(target, source, ahead // period, k)
            for target in targets
            for source in range(packing)
            for k in kernel
            if (ahead := target + pad - dilation * k - step * source) % period == 0
        ]
    positions = [
        (target, step * target - pad + dilation * k, k) for target in targets for k in kernel
    ]
    return [Tap(target, at % packing, at // packing, k) for target, at, k in positions]


def fitted(offsets: Sequence[int], stride: int, n_in: int, n_out: int) -> CoarseKernel:
    """The smallest kernel with taps at ``offsets`` that makes ``n_out`` pixels of ``n_in``."""
    first, last = min(offsets), max(offsets)
    spread = math.gcd(*(offset - first for offset in offsets)) or 1
    base = n_in - first - last - 1
    for dilation in (spread, 1):
        before, after = _extra_taps(base, stride, dilation, n_out)
        if stride * (n_out - 1) <= base + dilation * (before - after) < stride * n_out:
            break
    # More taps at both ends where all taps lie inside and the pads would be negative.
    more = max(0, -(-(first - dilation * before) // dilation))
    before, after = before + more, after + more
    size = (last - first) // dilation + 1 + before + after
    return CoarseKernel(dilation, dilation * before - first, size)


def _extra_taps(base: int, stride: int, dilation: int, n_out: int) -> tuple[int, int]:
    """Fewest zero taps before and after the kernel that give ``n_out`` pixels with equal pads.

    With pads P = dilation * before - first, the number of windows is
    (base + dilation * (before - after)) // stride + 1.
    """
    if stride * (n_out - 1) <= base < stride * n_out:
        return 0, 0
    surplus = -(-(stride * (n_out - 1) - base) // dilation)
    return max(surplus, 0), max(-surplus, 0)


def reads_beyond(operation: AxisTaps, packing: int, n_coarse: int) -> bool:
    """Whether an output depends on a pixel beyond the image, of an input in ``n_coarse`` pixels."""
    held = range(operation.input_size, n_coarse * packing)
    outputs, taps = range(operation.output_size), range(operation.kernel)
    stride, pad, dilation = operation.stride, operation.pad, operation.dilation
    if operation.transposed:
        return any(stride * i + dilation * k - pad in outputs for i in held for k in taps)
    return any(stride * o + dilation * k - pad in held for o in outputs for k in taps)
