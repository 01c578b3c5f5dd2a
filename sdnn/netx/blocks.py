"""The linear operations of slayer's blocks.

``Pool`` and ``Unpool`` are convolutions of each channel by itself, with weights of slayer's
``weight_scale`` (usually 1, so the pool is a sum). slayer stacks the rows of all channels into one
picture for them, so their windows reach into the next channel wherever they overlap, are padded or
do not fill the height. Such blocks are refused.
"""

from collections.abc import Callable

import numpy as np

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.sdnn.netx.read import BlockKind, Integers, NetxLayer
from ann2sdnn.support.errors import ConversionError, ModelError


def _kernel(block: NetxLayer, n_axes: int = 4) -> Integers:
    if block.weight is None:
        raise ModelError("no weight; the file is damaged, export it again")
    if block.weight.ndim != n_axes:
        raise ModelError(f"a weight of {block.weight.ndim} axes; expected {n_axes}")
    return block.weight


def _conv(block: NetxLayer, shape: Shape) -> tuple[Geometry, Integers]:
    pads = (*block.padding, *block.padding)
    kind = Convolution if block.kind == "conv" else TransposedConvolution
    return kind(block.stride, pads, block.dilation, block.groups), _kernel(block)


def _dense(block: NetxLayer, shape: Shape) -> tuple[Geometry, Integers]:
    if block.weight is not None and block.weight.ndim == 1:
        if block.weight.size % block.shape[0]:
            raise ModelError(
                f"{block.weight.size} weights do not divide into its {block.shape[0]} neurons"
            )
        return Dense(), block.weight.reshape(block.shape[0], -1)
    return Dense(), _kernel(block, 2)


def _pool(block: NetxLayer, shape: Shape) -> tuple[Geometry, Integers]:
    kernel = _kernel(block)
    # slayer appends size % kernel rows and columns of zeros.
    rows, columns = (shape[1 + axis] % kernel.shape[2 + axis] for axis in range(2))
    span = block.dilation[0] * (kernel.shape[2] - 1) + 1
    height = shape[1] + rows
    if block.padding[0] or span > block.stride[0] or height % block.stride[0]:
        raise ConversionError(_mixing(block, f"a height of {shape[1]}", span))
    top, left = block.padding
    pads = (top, left, top + rows, left + columns)
    weight = np.tile(kernel, (shape[0], 1, 1, 1))
    return Convolution(block.stride, pads, block.dilation, shape[0]), weight


def _unpool(block: NetxLayer, shape: Shape) -> tuple[Geometry, Integers]:
    kernel = _kernel(block)
    span = block.dilation[0] * (kernel.shape[2] - 1) + 1
    if block.padding[0] or span != block.stride[0]:
        raise ConversionError(_mixing(block, "one stride a row", span))
    pads = (*block.padding, *block.padding)
    weight = np.tile(kernel, (shape[0], 1, 1, 1))
    return TransposedConvolution(block.stride, pads, block.dilation, shape[0]), weight


def _mixing(block: NetxLayer, what: str, span: int) -> str:
    return (
        f"block {block.name}: a window of {span} rows with stride {block.stride[0]} and padding"
        f" {block.padding[0]} does not fill {what}, and slayer then mixes neighbouring channels;"
        " train with a stride equal to the kernel, no padding and a height that divides"
    )


GEOMETRIES: dict[BlockKind, Callable[[NetxLayer, Shape], tuple[Geometry, Integers]]] = {
    "conv": _conv,
    "convT": _conv,
    "dense": _dense,
    "pool": _pool,
    "unpool": _unpool,
}
