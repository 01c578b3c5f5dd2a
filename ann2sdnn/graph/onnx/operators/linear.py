"""Reads the ONNX operators that multiply with weights: convolutions and dense layers."""

import numpy as np

from ann2sdnn.graph.geometry import NO_PADS, Pair
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.graph.onnx.elements import Linear
from ann2sdnn.graph.onnx.operators.node import Data, FloatArray, Node, Parsed
from ann2sdnn.graph.onnx.operators.pooling import resolved_pads
from ann2sdnn.graph.onnx.operators.registry import operator

_WINDOW = "auto_pad dilations group kernel_shape pads strides"


def linear(
    node: Node, data: Data, geometry: Geometry, weight: FloatArray, bias: FloatArray | None = None
) -> Parsed:
    """The linear operation that ``node`` stands for, and the values after it.

    Raises ModelError where the weight does not fit ``data``.
    """
    output = geometry.output_shape(data.shape, weight.shape)
    return Linear(node.name, geometry, weight, bias), data.after(output)


@operator("Conv", _WINDOW)
def _convolution(node: Node, data: Data) -> Parsed:
    node.require_maps(data)
    weight = node.constant(1, "weight")
    stride, dilation = node.pair("strides", 1), node.pair("dilations", 1)
    geometry = Convolution(
        stride,
        resolved_pads(node, data.shape, _kernel(node, weight), stride, dilation),
        dilation,
        int(node.attributes.get("group", 1)),
    )
    return linear(node, data, geometry, weight, node.optional(2, "bias"))


@operator("ConvTranspose", f"{_WINDOW} output_padding")
def _transposed_convolution(node: Node, data: Data) -> Parsed:
    node.require_maps(data)
    if node.auto_pad() not in ("NOTSET", "VALID"):
        raise node.error(f"auto_pad = {node.auto_pad()}; export it with explicit pads")
    weight = node.constant(1, "weight")
    _kernel(node, weight)
    geometry = TransposedConvolution(
        node.pair("strides", 1),
        NO_PADS if node.auto_pad() == "VALID" else node.pads(),
        node.pair("dilations", 1),
        int(node.attributes.get("group", 1)),
        node.pair("output_padding", 0),
    )
    return linear(node, data, geometry, weight, node.optional(2, "bias"))


@operator("Gemm", "alpha beta transA transB")
def _gemm(node: Node, data: Data) -> Parsed:
    node.require_flat(data)
    if node.flag("transA"):
        raise node.error("transA = 1; a dense layer does not transpose its input")
    weight = _matrix(node, node.constant(1, "weight"))
    weight = weight * np.float32(node.attributes.get("alpha", 1.0))
    if not node.flag("transB"):
        weight = weight.T
    weight = np.ascontiguousarray(weight)
    n_outputs = Dense().output_shape(data.shape, weight.shape)[0]
    bias = node.optional(2, "bias")
    if bias is not None:
        bias = _one_row(node, bias, (data.batch, n_outputs))
        bias = (bias * np.float32(node.attributes.get("beta", 1.0))).astype(np.float32)
    return linear(node, data, Dense(), weight, bias)


@operator("MatMul")
def _matrix_product(node: Node, data: Data) -> Parsed:
    node.require_flat(data)
    weight = np.ascontiguousarray(_matrix(node, node.constant(1, "weight")).T)
    return linear(node, data, Dense(), weight)


def _matrix(node: Node, weight: FloatArray) -> FloatArray:
    if weight.ndim != 2:
        raise node.error(f"a weight of shape {weight.shape}; expected a matrix")
    return weight


def _one_row(node: Node, bias: FloatArray, dims: tuple[int, int]) -> FloatArray:
    """The bias [O] that Gemm broadcasts to ``dims`` [N, O]."""
    try:
        rows = np.broadcast_to(bias, dims)
    except ValueError:
        raise node.error(
            f"a bias of shape {bias.shape} for {dims[1]} outputs; expected ({dims[1]},)"
        ) from None
    if (rows != rows[0]).any():
        raise node.error("a bias that differs within a batch; expected one per output")
    row: FloatArray = rows[0]
    return row


def _kernel(node: Node, weight: FloatArray) -> Pair:
    if weight.ndim != 4:
        raise node.error(f"a weight with {weight.ndim} axes; only 2D convolutions can be converted")
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    if "kernel_shape" in node.attributes and node.pair("kernel_shape", 0) != kernel:
        raise node.error(
            f"kernel_shape = {node.pair('kernel_shape', 0)}, but its weight is {kernel}"
        )
    return kernel
