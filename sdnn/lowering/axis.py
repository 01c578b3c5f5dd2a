"""Computes where the taps of an operation fall on a grid whose finer pixels are kept in channels.

A tensor [C, H, W] with packing r is held as [r * r * C, H / r, W / r], sub-pixel position first:
row y lies at coarse row y // r in the channels of position y % r (columns alike). On such a grid
every convolution and transposed convolution is an ordinary convolution between packed channels.
The two axes are independent; this module treats one.
"""

import math
from dataclasses import dataclass

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


def pack_axis(operation: AxisTaps, packing: int) -> PackedAxis:
    """``operation`` on an input with ``packing``; pads of the result are the same at both ends.

    Raises ConversionError when values outside the image would be read where the original reads
    zeros, which happens where a size does not divide by its packing.
    """
    out_packing, stride, taps = _taps(operation, packing)
    if _reads_beyond(operation, packing):
        raise ConversionError(
            f"its input of {operation.input_size} pixels is kept {packing} to a coarse pixel and"
            f" does not divide by {packing}, so it would read what lies beyond the image"
        )
    n_in = -(-operation.input_size // packing)
    n_out = -(-operation.output_size // out_packing)
    offsets = [tap.offset for tap in taps]
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
    return PackedAxis(
        packing=out_packing,
        stride=stride,
        dilation=dilation,
        pad=dilation * before - first,
        kernel=(last - first) // dilation + 1 + before + after,
        taps=tuple(taps),
        slots=tuple((offset - first) // dilation + before for offset in offsets),
    )


def _taps(operation: AxisTaps, packing: int) -> tuple[int, int, list[Tap]]:
    """Packing of the output, coarse stride, taps."""
    kernel, stride, pad, dilation = (
        range(operation.kernel),
        operation.stride,
        operation.pad,
        operation.dilation,
    )
    if operation.transposed:
        # target + pad = stride * source + dilation * k, modulo stride * packing.
        period = stride * packing
        taps = [
            Tap(target, source, ahead // period, k)
            for target in range(period)
            for source in range(packing)
            for k in kernel
            if (ahead := target + pad - dilation * k - stride * source) % period == 0
        ]
        return period, 1, taps
    shared = math.gcd(packing, stride)
    out_packing = packing // shared
    positions = [
        (target, stride * target - pad + dilation * k, k)
        for target in range(out_packing)
        for k in kernel
    ]
    taps = [Tap(target, at % packing, at // packing, k) for target, at, k in positions]
    return out_packing, stride // shared, taps


def _extra_taps(base: int, stride: int, dilation: int, n_out: int) -> tuple[int, int]:
    """Fewest zero taps before and after the kernel that give ``n_out`` pixels with equal pads.

    With pads P = dilation * before - first, the number of windows is
    (base + dilation * (before - after)) // stride + 1.
    """
    if stride * (n_out - 1) <= base < stride * n_out:
        return 0, 0
    surplus = -(-(stride * (n_out - 1) - base) // dilation)
    return max(surplus, 0), max(-surplus, 0)


def _reads_beyond(operation: AxisTaps, packing: int) -> bool:
    """Whether an output depends on a held pixel beyond the image."""
    held = range(operation.input_size, -(-operation.input_size // packing) * packing)
    outputs, taps = range(operation.output_size), range(operation.kernel)
    stride, pad, dilation = operation.stride, operation.pad, operation.dilation
    if operation.transposed:
        return any(stride * i + dilation * k - pad in outputs for i in held for k in taps)
    return any(stride * o + dilation * k - pad in held for o in outputs for k in taps)
