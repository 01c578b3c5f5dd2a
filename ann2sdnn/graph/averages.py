"""Turns averages over large windows into layers: depthwise convolutions with equal weights.

On the grid an average is a sum, and a sum over 1,000 pixels takes ten of the 16 bits of a message.
The weights of a layer need not be 1: with the smallest, 1/32, the sum is 32 times smaller, and all
layers before it may be scaled up. Equal weights are exact on the grid where the scales before and
after are chosen for it (``calibration.scales``).

netx keeps kernels in 7 bits, so a larger window is averaged in steps. So is a window of many
pixels: each step divides by up to 32.
"""

import math
from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Layer, with_sources
from ann2sdnn.graph.pooling import Pool

_SUFFIX = "_average"
_SMALL_WINDOW = 16  # pixels: a sum in the layer itself costs 4 bits at most
_LARGEST_WINDOW = 1024  # 32 * 32: with a weight of 1/32 the sum is 32 averages
_LARGEST_KERNEL = 127


def split_averages(layers: Sequence[Layer]) -> tuple[tuple[Layer, ...], ...]:
    """For each of ``layers`` the layers that it becomes: itself, and behind it its average over
    more than 16 pixels.

    A new layer gets a name that no layer of ``layers`` has; whoever reads the layer by its name
    reads the last of them.
    """
    taken = {layer.name for layer in layers}
    named = any(layer.source is not None for layer in layers)
    last: dict[str, str] = {}
    split: list[tuple[Layer, ...]] = []
    for layer in layers:
        first, *averages = _split(layer)
        parts = [with_sources(first, last)]
        for average in averages:
            name = free_name(average.name, taken)
            taken.add(name)
            source = parts[-1].name if named else None
            parts.append(replace(average, name=name, source=source))
        if averages:
            last[layer.name] = parts[-1].name
        split.append(tuple(parts))
    return tuple(split)


def free_name(wanted: str, taken: Container[str]) -> str:
    """``wanted``, or the first of ``wanted_2``, ``wanted_3``, ... that is not ``taken``."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def is_average(layer: Layer) -> bool:
    """Whether the layer only averages each channel over large windows."""
    geometry, weight = layer.geometry, layer.weight
    return (
        isinstance(geometry, Convolution)
        and not layer.joined
        and layer.bias is None
        and geometry.groups == layer.input_shape[0] == len(weight)
        and weight[0].size > _SMALL_WINDOW
        and float(weight.flat[0]) > 0
        and bool((weight == weight.flat[0]).all())
    )


def _split(layer: Layer) -> list[Layer]:
    pool = layer.pool
    if pool is None or pool.kind != "average" or pool.window <= _SMALL_WINDOW:
        return [layer]
    parts = [replace(layer, pool=None)]
    steps = _steps(pool, parts[0].output_shape)
    for index, (step, weight) in enumerate(steps):
        channels = parts[-1].output_shape[0]
        parts.append(
            Layer(
                name=f"{layer.name}{_SUFFIX}{index + 1 if len(steps) > 1 else ''}",
                geometry=Convolution(stride=step.stride, pads=step.pads, groups=channels),
                weight=np.full((channels, 1, *step.kernel), weight, np.float32),
                bias=None,
                relu=layer.relu,
                pool=None,
                input_shape=parts[-1].output_shape,
                copies=layer.copies,
            )
        )
    return parts


def _steps(pool: Pool, shape: Shape) -> tuple[tuple[Pool, float], ...]:
    """The average, or averages of averages where it is large and its windows do not overlap; each
    with the weight of a pixel.
    """
    whole = ((pool, 1 / pool.window),)
    small = max(pool.kernel) <= _LARGEST_KERNEL and pool.window <= _LARGEST_WINDOW
    is_global = pool.kernel == shape[1:]
    if small or not (is_global or pool.kernel == pool.stride) or any(pool.pads):
        return whole
    first = _first_kernel(pool, padded=False)
    if first is None and is_global:
        # A prime number of rows cannot be divided; zeros below the last row change no sum.
        first = _first_kernel(pool, padded=True)
    if first is None:
        return whole
    rest = (-(-pool.kernel[0] // first[0]), -(-pool.kernel[1] // first[1]))
    pads = (0, 0, first[0] * rest[0] - pool.kernel[0], first[1] * rest[1] - pool.kernel[1])
    inner = Pool("average", first, first, pads)
    return (inner, 1 / inner.window), (Pool("average", rest, rest), inner.window / pool.window)


def _first_kernel(pool: Pool, *, padded: bool) -> Pair | None:
    """The kernel of the first of two averages that divides by about as much as the second."""
    rows, columns = (
        [n for n in range(1, size + 1) if _fits(n, size, padded=padded)] for size in pool.kernel
    )
    inner = [
        (r, c)
        for r in rows
        for c in columns
        if r * c > 1 and (r < pool.kernel[0] or c < pool.kernel[1])
    ]
    if not inner:
        return None
    return min(inner, key=lambda pair: abs(math.log(pair[0] ** 2 * pair[1] ** 2 / pool.window)))


def _fits(n: int, size: int, *, padded: bool) -> bool:
    """Whether a kernel of ``n`` and a kernel over its windows are small enough.

    Zeros on one side only enlarge netx's kernel by their number.
    """
    windows = -(-size // n)
    zeros = windows * n - size
    return (padded or not zeros) and max(n + zeros, windows) <= _LARGEST_KERNEL
