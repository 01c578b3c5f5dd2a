"""Reads the ONNX operators that multiply with weights: convolutions and dense layers."""

from collections.abc import Sequence

import numpy as np

from ann2sdnn.graph.arrangement import FLAT, C, Data, N
from ann2sdnn.graph.geometry import NO_PADS, Pair
from ann2sdnn.graph.kinds import Convolution, Dense, Geometry, TransposedConvolution
from ann2sdnn.graph.onnx.elements import Linear
from ann2sdnn.graph.onnx.operators.node import FloatArray, Node, Parsed
from ann2sdnn.graph.onnx.operators.pooling import resolved_pads
from ann2sdnn.graph.onnx.operators.registry import Support, operator

_WINDOW = "auto_pad dilations group kernel_shape pads strides"


def linear(
    node: Node, data: Data, geometry: Geometry, weight: FloatArray, bias: FloatArray | None = None
) -> Parsed:
    """The linear operation that ``node`` stands for, and the values after it.

    Raises ModelError where the weight does not fit ``data``, or the bias the weight.
    """
    output = geometry.output_shape(data.shape, weight.shape)
    if bias is not None and bias.shape != output[:1]:
        raise node.error(f"a bias of shape {bias.shape} for {output[0]} channels")
    after = Data(data.batch, output, FLAT) if geometry.reads_flat else data.with_maps(output)
    return Linear(node.name, geometry, weight, bias), after


@operator(
    "Conv",
    _WINDOW,
    belongs=True,
    support=Support(
        "a layer; a 1D convolution has height 1", "one or two spatial axes; constant weights"
    ),
)
def _convolution(node: Node, data: Data) -> Parsed:
    axes = node.require_maps(data)
    weight = _spatial(node, node.constant(1, "weight"), axes)
    stride, dilation = node.pair("strides", 1, axes), node.pair("dilations", 1, axes)
    geometry = Convolution(
        stride,
        resolved_pads(node, data, _kernel(node, weight, axes), stride, dilation),
        dilation,
        int(node.attributes.get("group", 1)),
    )
    return linear(node, data, geometry, weight, node.optional(2, "bias"))


@operator(
    "ConvTranspose",
    f"{_WINDOW} output_padding",
    belongs=True,
    support=Support(
        "a layer",
        "output_padding below the stride; no output_shape; auto_pad NOTSET or VALID",
    ),
)
def _transposed_convolution(node: Node, data: Data) -> Parsed:
    axes = node.require_maps(data)
    if node.auto_pad() not in ("NOTSET", "VALID"):
        raise node.error(f"auto_pad = {node.auto_pad()}; export it with explicit pads")
    weight = _spatial(node, node.constant(1, "weight"), axes)
    _kernel(node, weight, axes)
    geometry = TransposedConvolution(
        node.pair("strides", 1, axes),
        NO_PADS if node.auto_pad() == "VALID" else node.pads(axes),
        node.pair("dilations", 1, axes),
        int(node.attributes.get("group", 1)),
        node.pair("output_padding", 0, axes),
    )
    return linear(node, data, geometry, weight, node.optional(2, "bias"))


@operator(
    "Gemm",
    "alpha beta broadcast transA transB",
    belongs=True,
    support=Support(
        "a dense layer; over the channels of maps (channels last) a 1x1 convolution",
        "the data first; transA = 0",
    ),
)
def _gemm(node: Node, data: Data) -> Parsed:
    if not data.has_channels_last():
        node.require_flat(data)
    if node.flag("transA"):
        raise node.error("transA = 1; a dense layer does not transpose its input")
    weight = _matrix(node, node.constant(1, "weight"))
    weight = weight * np.float32(node.attributes.get("alpha", 1.0))
    if not node.flag("transB"):
        weight = weight.T
    weight = np.ascontiguousarray(weight)
    if not data.has_channels_last():
        Dense().output_shape(data.shape, weight.shape)  # says where the weight does not fit
    bias = node.optional(2, "bias")
    if bias is not None:
        bias = _one_row(node, bias, (data.dims[0], len(weight)))
        bias = (bias * np.float32(node.attributes.get("beta", 1.0))).astype(np.float32)
    if data.has_channels_last():
        return _of_each_pixel(node, data, weight, bias)
    weight = _in_order(data, weight)
    return linear(node, data, Dense(), weight, bias)


@operator(
    "MatMul",
    belongs=True,
    support=Support(
        "a dense layer; over the channels of maps (channels last) a 1x1 convolution",
        "the data first, the constant a matrix",
    ),
)
def _matrix_product(node: Node, data: Data) -> Parsed:
    weight = np.ascontiguousarray(_matrix(node, node.constant(1, "weight")).T)
    if data.has_channels_last():
        return _of_each_pixel(node, data, weight, None)
    node.require_flat(data)
    return linear(node, data, Dense(), _in_order(data, weight))


def _of_each_pixel(node: Node, data: Data, weight: FloatArray, bias: FloatArray | None) -> Parsed:
    """A 1x1 convolution with ``weight`` [O, C] over data with channels last."""
    geometry = Convolution()
    output = geometry.output_shape(data.shape, (*weight.shape, 1, 1))
    axes = (*data.axes[:-1], (C,))
    return (
        Linear(node.name, geometry, weight[:, :, None, None], bias),
        Data(data.batch, output, axes),
    )


def _in_order(data: Data, weight: FloatArray) -> FloatArray:
    """``weight`` [O, K] of the tensor's values for them in C, H, W order."""
    order = [one for one in data.held[1] if one != N]
    if order == sorted(order) or weight.shape[1] != data.dims[1]:
        return weight
    columns = data.unpacked(np.arange(weight.shape[1])[None])
    return np.ascontiguousarray(weight[:, columns.ravel()])


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


def _spatial(node: Node, weight: FloatArray, axes: Sequence[int]) -> FloatArray:
    """The weight with a kernel of rows and columns, of one whose taps lie along ``axes``."""
    if weight.ndim != 2 + len(axes):
        raise node.error(
            f"a weight with {weight.ndim} axes for an input with {2 + len(axes)}; expected as many"
        )
    if len(axes) == 1:
        return np.expand_dims(weight, 3 - axes[0])
    return weight if tuple(axes) == (0, 1) else np.ascontiguousarray(weight.swapaxes(2, 3))


def _kernel(node: Node, weight: FloatArray, axes: Sequence[int]) -> Pair:
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    if "kernel_shape" in node.attributes and node.pair("kernel_shape", 1, axes) != kernel:
        raise node.error(
            f"kernel_shape = {node.pair('kernel_shape', 1, axes)}, but its weight is {kernel}"
        )
    return kernel
