"""Reads the ONNX operators that pool: maxima and averages of windows, and of whole maps."""

from ann2sdnn.graph.geometry import NO_PADS, Pads, Pair, Shape
from ann2sdnn.graph.onnx.elements import Pooling
from ann2sdnn.graph.onnx.operators.node import Data, Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import operator
from ann2sdnn.graph.pooling import Pool

_WINDOW = "auto_pad ceil_mode dilations kernel_shape pads strides"


def resolved_pads(node: Node, shape: Shape, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Explicit pads, or those that auto_pad asks for on an input of ``shape``."""
    mode = node.auto_pad()
    if mode == "NOTSET":
        return node.pads()
    if mode == "VALID":
        return NO_PADS
    begin, end = [], []
    for axis in range(2):
        size = shape[1 + axis]
        if stride[axis] < 1:
            raise node.error(f"strides = {list(stride)}; expected 1 or more")
        n_windows = -(-size // stride[axis])
        span = (n_windows - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        total = max(span - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if mode == "SAME_UPPER" else large)
        end.append(large if mode == "SAME_UPPER" else small)
    return (begin[0], begin[1], end[0], end[1])


@operator("MaxPool", f"{_WINDOW} storage_order")
def _max_pool(node: Node, data: Data) -> Parsed:
    return _pooled(node, data, Pool("max", *_windows(node, data)))


@operator("AveragePool", f"{_WINDOW} count_include_pad")
def _average_pool(node: Node, data: Data) -> Parsed:
    pool = Pool("average", *_windows(node, data))
    if any(pool.pads) and not node.flag("count_include_pad"):
        raise node.error("padding that is not counted in the average; set count_include_pad = 1")
    return _pooled(node, data, pool)


@operator("GlobalAveragePool")
def _global_average_pool(node: Node, data: Data) -> Parsed:
    node.require_maps(data)
    return _pooled(node, data, Pool("average", data.shape[1:], data.shape[1:]))


@operator("ReduceMean", "axes keepdims noop_with_empty_axes")
def _mean(node: Node, data: Data) -> Parsed:
    """ReduceMean over rows, columns or both; torch exports an adaptive average pooling as one."""
    if "axes" in node.attributes:
        axes = [int(axis) for axis in node.attributes["axes"]]
    elif len(node.constants) > 1 and node.constants[1] is not None:
        axes = node.integers(1, "axes")
    else:
        axes = []
    if not axes and node.flag("noop_with_empty_axes"):
        return None, data
    rank = len(data.dims)
    reduced = {axis + rank if axis < 0 else axis for axis in axes}
    if data.flat or not reduced or not reduced <= {2, 3}:
        raise node.error(
            f"a mean over the axes {axes or 'all'} of {list(data.dims)}; only a mean over rows and"
            " columns (axes 2 and 3 of [N, C, H, W]) can be converted"
        )
    _, height, width = data.shape
    kernel = (height if 2 in reduced else 1, width if 3 in reduced else 1)
    element, after = _pooled(node, data, Pool("average", kernel, kernel))
    if node.flag("keepdims", 1):
        return element, after
    if reduced != {2, 3}:
        raise node.error("keepdims = 0 with one axis left; set keepdims = 1")
    return element, Data(data.batch, after.shape, flat=True)


def _windows(node: Node, data: Data) -> tuple[Pair, Pair, Pads]:
    node.require_maps(data)
    kernel, stride = node.pair("kernel_shape", 1), node.pair("strides", 1)
    if node.pair("dilations", 1) != (1, 1):
        raise node.error("dilated pooling cannot be converted")
    pads = resolved_pads(node, data.shape, kernel, stride, (1, 1))
    if node.flag("ceil_mode") and not _divides(Pool("max", kernel, stride, pads), data.shape):
        raise node.error("ceil_mode = 1 on a size that does not divide; pad the input instead")
    return kernel, stride, pads


def _divides(pool: Pool, shape: Shape) -> bool:
    return all(
        (shape[1 + axis] + pool.pads[axis] + pool.pads[axis + 2] - pool.kernel[axis])
        % pool.stride[axis]
        == 0
        for axis in range(2)
    )


def _pooled(node: Node, data: Data, pool: Pool) -> Parsed:
    return Pooling(node.name, pool), data.after(pool.output_shape(data.shape))
