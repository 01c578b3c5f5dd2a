"""Reads the ONNX operators that pool: maxima and averages of windows, and of whole maps."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.arrangement import Data, H, W
from ann2sdnn.graph.geometry import NO_PADS, Pads, Pair, Shape
from ann2sdnn.graph.onnx.elements import Affine, Pooling
from ann2sdnn.graph.onnx.operators.node import Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import Support, operator
from ann2sdnn.graph.pooling import Pool, PoolKind

_WINDOW = "auto_pad ceil_mode dilations kernel_shape pads strides"
_REDUCE = "axes keepdims noop_with_empty_axes"


def resolved_pads(node: Node, data: Data, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Explicit pads, or those that auto_pad asks for on ``data``."""
    mode = node.auto_pad()
    if mode == "NOTSET":
        return node.pads(node.require_maps(data))
    if mode == "VALID":
        return NO_PADS
    begin, end = [], []
    for axis in range(2):
        size = data.shape[1 + axis]
        if stride[axis] < 1:
            raise node.error(f"strides = {list(stride)}; expected 1 or more")
        n_windows = -(-size // stride[axis])
        span = (n_windows - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        total = max(span - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if mode == "SAME_UPPER" else large)
        end.append(large if mode == "SAME_UPPER" else small)
    return (begin[0], begin[1], end[0], end[1])


@operator(
    "MaxPool",
    f"{_WINDOW} storage_order",
    belongs=True,
    support=Support(
        "the pooling of a layer",
        "no dilation; with pads only where a ReLU precedes or follows",
    ),
)
def _max_pool(node: Node, data: Data) -> Parsed:
    pool = Pool("max", *_windows(node, data))
    if node.flag("ceil_mode"):
        # Rows that are added are never a maximum, as padding of a maximum never is.
        pool = replace(pool, pads=_up(pool, data.shape))
    return _pooled(node, data, pool)


@operator(
    "AveragePool",
    f"{_WINDOW} count_include_pad",
    belongs=True,
    support=Support(
        "the pooling of a layer; over more than 16 pixels a layer of its own",
        "no dilation; where windows at the border count fewer pixels (count_include_pad = 0,"
        " ceil_mode) only before a dense layer",
    ),
)
def _average_pool(node: Node, data: Data) -> Parsed:
    own = Pool("average", *_windows(node, data))
    pool = replace(own, pads=_up(own, data.shape)) if node.flag("ceil_mode") else own
    element, after = _pooled(node, data, pool)
    assert isinstance(element, Pooling)
    counted = own.pads if node.flag("count_include_pad") else NO_PADS
    n_counted = [_n_counted(pool, data.shape, axis, counted) for axis in range(2)]
    if all((n == pool.kernel[axis]).all() for axis, n in enumerate(n_counted)):
        return element, after
    rows, columns = (pool.kernel[axis] / n for axis, n in enumerate(n_counted))
    factor = np.broadcast_to(np.outer(rows, columns).astype(np.float32), after.shape)
    shift = np.zeros((data.shape[0], 1, 1), np.float32)
    return (element, Affine(node.name, np.ascontiguousarray(factor), shift)), after


def _n_counted(pool: Pool, shape: Shape, axis: int, counted: Pads) -> NDArray[np.int64]:
    """Rows (or columns) of each window that the average counts: the maps' and ``counted`` pads."""
    begins = np.arange(pool.output_shape(shape)[1 + axis]) * pool.stride[axis] - pool.pads[axis]
    low, high = -counted[axis], shape[1 + axis] + counted[axis + 2]
    ends = np.minimum(begins + pool.kernel[axis], high)
    return np.asarray(ends - np.maximum(begins, low), np.int64)


@operator("GlobalAveragePool", belongs=True, support=Support("an average over the maps"))
def _global_average_pool(node: Node, data: Data) -> Parsed:
    return _over_maps(node, data, "average")


@operator("GlobalMaxPool", belongs=True, support=Support("a maximum over the maps"))
def _global_max_pool(node: Node, data: Data) -> Parsed:
    return _over_maps(node, data, "max")


@operator(
    "ReduceMean",
    _REDUCE,
    belongs=True,
    support=Support("an average over rows, columns or both", "no mean over channels"),
)
def _mean(node: Node, data: Data) -> Parsed:
    """ReduceMean over rows, columns or both; torch exports an adaptive average pooling as one."""
    return _reduced(node, data, "average", "mean")


@operator(
    "ReduceMax",
    _REDUCE,
    belongs=True,
    support=Support("a maximum over rows, columns or both", "no maximum over channels"),
)
def _maximum(node: Node, data: Data) -> Parsed:
    """ReduceMax over rows, columns or both; torch exports an adaptive max pooling as one."""
    return _reduced(node, data, "max", "maximum")


@operator(
    "ReduceSum",
    _REDUCE,
    belongs=True,
    support=Support("an average over rows, columns or both, times their number", "as ReduceMean"),
)
def _sum(node: Node, data: Data) -> Parsed:
    element, after = _reduced(node, data, "average", "sum")
    if not isinstance(element, Pooling):
        return element, after
    factor = np.full((data.shape[0], 1, 1), element.pool.window, np.float32)
    return (element, Affine(node.name, factor, np.zeros_like(factor))), after


def _reduced(node: Node, data: Data, kind: PoolKind, name: str) -> Parsed:
    if "axes" in node.attributes:
        axes = [int(axis) for axis in node.attributes["axes"]]
    elif len(node.constants) > 1 and node.constants[1] is not None:
        axes = node.integers(1, "axes")
    else:
        axes = []
    if not axes and node.flag("noop_with_empty_axes"):
        return None, data
    rank = len(data.dims)
    positions = {axis + rank if axis < 0 else axis for axis in axes}
    fits = bool(positions) and all(0 <= axis < rank for axis in positions)
    # Channels last and signals have their rows and columns elsewhere.
    reduced = {one for axis in positions for one in data.held[axis]} if fits else set()
    if not fits or not reduced <= {H, W} or rank < 3 or positions & {0}:
        raise node.error(
            f"a {name} over the axes {axes or 'all'} of {list(data.dims)}; only a {name} over rows"
            " and columns (axes 2 and 3 of [N, C, H, W]) can be converted"
        )
    _, height, width = data.shape
    kernel = (height if H in reduced else 1, width if W in reduced else 1)
    pool = Pool(kind, kernel, kernel)
    after = data.after(pool.output_shape(data.shape))
    if not node.flag("keepdims", 1):
        left = tuple(axis for index, axis in enumerate(data.axes) if index not in positions)
        after = replace(after, axes=left)
    return Pooling(node.name, pool), after


def _over_maps(node: Node, data: Data, kind: PoolKind) -> Parsed:
    node.require_maps(data)
    return _pooled(node, data, Pool(kind, data.shape[1:], data.shape[1:]))


def _windows(node: Node, data: Data) -> tuple[Pair, Pair, Pads]:
    axes = node.require_maps(data)
    kernel, stride = node.pair("kernel_shape", 1, axes), node.pair("strides", 1, axes)
    if node.pair("dilations", 1, axes) != (1, 1):
        raise node.error("dilated pooling cannot be converted; pool without dilation")
    return kernel, stride, resolved_pads(node, data, kernel, stride, (1, 1))


def _up(pool: Pool, shape: Shape) -> Pads:
    """The pads with which no pixel is left over, as ceil_mode has it.

    A window that would begin outside the map and its first pads is none.
    """
    pads = list(pool.pads)
    for axis in range(2):
        size = shape[1 + axis] + pads[axis]
        left = (size + pads[axis + 2] - pool.kernel[axis]) % pool.stride[axis]
        whole = (size + pads[axis + 2] - pool.kernel[axis]) // pool.stride[axis]
        if left > 0 and (whole + 1) * pool.stride[axis] < size:
            pads[axis + 2] += pool.stride[axis] - left
    return (pads[0], pads[1], pads[2], pads[3])


def _pooled(node: Node, data: Data, pool: Pool) -> Parsed:
    return Pooling(node.name, pool), data.with_maps(pool.output_shape(data.shape))
