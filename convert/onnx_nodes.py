"""One parser an ONNX operator, in a registry; what a parser does not accept is declared as data.

Semantics are those of the ONNX operator specification (opset 7 to 21 for the operators here).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from ann2sdnn.convert.elements import Affine, Element, Flatten, Linear, Pooling, Rectify
from ann2sdnn.convert.geometry import (
    NO_PADS,
    Convolution,
    Dense,
    Pads,
    Pair,
    Pool,
    Shape,
    TransposedConvolution,
)
from ann2sdnn.errors import ModelError

FloatArray = NDArray[np.float32]
Parsed = tuple[Element | None, Shape]


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX node: its attributes, and the constants among its inputs (None for the data)."""

    name: str
    op_type: str
    attributes: Mapping[str, Any]
    constants: tuple[NDArray[Any] | None, ...]

    @classmethod
    def from_proto(cls, proto: Any, data_input: str, constants: Mapping[str, Any]) -> "Node":
        """Read a protobuf node whose data arrives through ``data_input``."""
        name = proto.name or proto.output[0]
        found: list[NDArray[Any] | None] = []
        for source in proto.input:
            if source in ("", data_input):
                found.append(None)
            elif source in constants:
                found.append(constants[source])
            elif proto.op_type in _PARSERS:  # otherwise parse_node refuses the operator itself
                raise ModelError(
                    f"node {name} ({proto.op_type}): it reads {source}, a second path through the"
                    " network; only a chain without branches can be converted"
                )
        attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        return cls(name, proto.op_type, attributes, tuple(found))

    def error(self, what: str) -> ModelError:
        """A ModelError that names this node."""
        return ModelError(f"node {self.name} ({self.op_type}): {what}")

    def constant(self, index: int, what: str) -> FloatArray:
        """The float constant at input ``index``; ModelError when it is computed or not finite."""
        value = self.optional(index)
        if value is None:
            raise self.error(f"its {what} is not a constant of the file")
        if not np.isfinite(value).all():
            raise self.error(f"its {what} holds a NaN or an infinite number")
        return value

    def optional(self, index: int) -> FloatArray | None:
        """The constant at input ``index`` as float32, or None."""
        if index >= len(self.constants) or self.constants[index] is None:
            return None
        return np.asarray(self.constants[index], np.float32)

    def pair(self, attribute: str, default: int) -> Pair:
        """A (height, width) attribute."""
        values = list(self.attributes.get(attribute, (default, default)))
        if len(values) != 2:
            raise self.error(f"{attribute} = {values}; only two spatial axes can be converted")
        return (int(values[0]), int(values[1]))

    def pads(self) -> Pads:
        """The explicit pads, in ONNX's own order: begin of each axis, then end of each axis."""
        values = [int(v) for v in self.attributes.get("pads", NO_PADS)]
        if len(values) != 4 or min(values) < 0:
            raise self.error(f"pads = {values}; expected four numbers, none negative")
        return (values[0], values[1], values[2], values[3])

    def auto_pad(self) -> str:
        """NOTSET, VALID, SAME_UPPER or SAME_LOWER."""
        value = self.attributes.get("auto_pad", b"NOTSET")
        return value.decode() if isinstance(value, bytes) else str(value)


Parser = Callable[[Node, Shape], Parsed]
_PARSERS: dict[str, tuple[Parser, frozenset[str]]] = {}


def parse_node(node: Node, shape: Shape) -> Parsed:
    """The element a node stands for (None when it changes nothing), and the shape after it.

    Raises ModelError naming operator, node and reason.
    """
    if node.op_type not in _PARSERS:
        known = ", ".join(sorted(_PARSERS))
        raise node.error(f"this operator cannot be converted; supported are {known}")
    parser, accepted = _PARSERS[node.op_type]
    for attribute in node.attributes:
        if attribute not in accepted:
            raise node.error(f"the attribute {attribute} is not supported")
    try:
        return parser(node, shape)
    except ModelError as error:
        if node.name in str(error):
            raise
        raise node.error(str(error)) from error


def _parser(*op_types: str, accepts: str = "") -> Callable[[Parser], Parser]:
    def register(function: Parser) -> Parser:
        for op_type in op_types:
            _PARSERS[op_type] = (function, frozenset(accepts.split()))
        return function

    return register


@_parser("Conv", accepts="auto_pad dilations group kernel_shape pads strides")
def _convolution(node: Node, shape: Shape) -> Parsed:
    weight = node.constant(1, "weight")
    stride, dilation = node.pair("strides", 1), node.pair("dilations", 1)
    geometry = Convolution(
        stride,
        _resolve_pads(node, shape, _kernel(node, weight), stride, dilation),
        dilation,
        int(node.attributes.get("group", 1)),
    )
    output = geometry.output_shape(shape, weight.shape)
    return Linear(node.name, geometry, weight, _bias(node, 2)), output


@_parser(
    "ConvTranspose", accepts="auto_pad dilations group kernel_shape output_padding pads strides"
)
def _transposed_convolution(node: Node, shape: Shape) -> Parsed:
    if node.auto_pad() not in ("NOTSET", "VALID"):
        raise node.error(f"auto_pad = {node.auto_pad()}; export it with explicit pads")
    weight = node.constant(1, "weight")
    _kernel(node, weight)
    geometry = TransposedConvolution(
        node.pair("strides", 1),
        node.pads(),
        node.pair("dilations", 1),
        int(node.attributes.get("group", 1)),
        node.pair("output_padding", 0),
    )
    output = geometry.output_shape(shape, weight.shape)
    return Linear(node.name, geometry, weight, _bias(node, 2)), output


@_parser("Gemm", accepts="alpha beta transA transB")
def _gemm(node: Node, shape: Shape) -> Parsed:
    if node.attributes.get("transA", 0):
        raise node.error("transA = 1; a dense layer does not transpose its input")
    weight = node.constant(1, "weight") * np.float32(node.attributes.get("alpha", 1.0))
    if not node.attributes.get("transB", 0):
        weight = weight.T
    bias = _bias(node, 2)
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[:1])
        bias = (bias * np.float32(node.attributes.get("beta", 1.0))).astype(np.float32)
    geometry = Dense()
    output = geometry.output_shape(shape, weight.shape)
    return Linear(node.name, geometry, np.ascontiguousarray(weight), bias), output


@_parser("MatMul")
def _matrix_product(node: Node, shape: Shape) -> Parsed:
    weight = np.ascontiguousarray(node.constant(1, "weight").T)
    geometry = Dense()
    return Linear(node.name, geometry, weight, None), geometry.output_shape(shape, weight.shape)


@_parser("Relu")
def _relu(node: Node, shape: Shape) -> Parsed:
    return Rectify(node.name), shape


@_parser("MaxPool", accepts="auto_pad ceil_mode dilations kernel_shape pads storage_order strides")
def _max_pool(node: Node, shape: Shape) -> Parsed:
    return _pooling(node, shape, Pool("max", *_pool_windows(node, shape)))


@_parser(
    "AveragePool",
    accepts="auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides",
)
def _average_pool(node: Node, shape: Shape) -> Parsed:
    pool = Pool("average", *_pool_windows(node, shape))
    if any(pool.pads) and not node.attributes.get("count_include_pad", 0):
        raise node.error("padding that is not counted in the average; set count_include_pad = 1")
    return _pooling(node, shape, pool)


@_parser("GlobalAveragePool")
def _global_average_pool(node: Node, shape: Shape) -> Parsed:
    return _pooling(node, shape, Pool("average", shape[1:], shape[1:]))


@_parser("BatchNormalization", accepts="epsilon momentum spatial training_mode")
def _batch_normalization(node: Node, shape: Shape) -> Parsed:
    if node.attributes.get("training_mode", 0):
        raise node.error("training_mode = 1; export the network in evaluation mode")
    scale, shift, mean, variance = (
        node.constant(i, what) for i, what in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    factor = scale / np.sqrt(variance + np.float32(node.attributes.get("epsilon", 1e-5)))
    if factor.shape != shape[:1]:
        raise node.error(f"{factor.size} channels for an input of {shape[0]}")
    return Affine(node.name, factor, shift - mean * factor), shape


@_parser("Flatten", accepts="axis")
def _flatten(node: Node, shape: Shape) -> Parsed:
    if node.attributes.get("axis", 1) not in (1, -3):
        raise node.error(f"axis = {node.attributes['axis']}; only axis 1 keeps the batch apart")
    return Flatten(node.name), shape


@_parser("Reshape", accepts="allowzero")
def _reshape(node: Node, shape: Shape) -> Parsed:
    target = node.constants[1] if len(node.constants) > 1 else None
    if target is None or len(target) != 2 or target[1] not in (-1, int(np.prod(shape))):
        raise node.error("only a reshape to [N, C * H * W], which flattens, can be converted")
    return Flatten(node.name), shape


@_parser("Identity")
def _identity(node: Node, shape: Shape) -> Parsed:
    return None, shape


@_parser("Dropout", accepts="ratio seed")
def _dropout(node: Node, shape: Shape) -> Parsed:
    training = node.optional(2)
    if training is not None and training.any():
        raise node.error("training_mode is on; export the network in evaluation mode")
    return None, shape


def _bias(node: Node, index: int) -> FloatArray | None:
    if index >= len(node.constants):
        return None
    return node.constant(index, "bias")


def _kernel(node: Node, weight: FloatArray) -> Pair:
    if weight.ndim != 4:
        raise node.error(f"a weight with {weight.ndim} axes; only 2D convolutions can be converted")
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    if node.pair("kernel_shape", 0) not in ((0, 0), kernel):
        raise node.error(
            f"kernel_shape = {node.pair('kernel_shape', 0)}, but its weight is {kernel}"
        )
    return kernel


def _resolve_pads(node: Node, shape: Shape, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Explicit pads, or those that auto_pad asks for."""
    mode = node.auto_pad()
    if mode == "NOTSET":
        return node.pads()
    if mode == "VALID":
        return NO_PADS
    begin, end = [], []
    for axis in range(2):
        size = shape[1 + axis]
        n_windows = -(-size // stride[axis])
        span = (n_windows - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        total = max(span - size, 0)
        small, large = total // 2, total - total // 2
        begin.append(small if mode == "SAME_UPPER" else large)
        end.append(large if mode == "SAME_UPPER" else small)
    return (begin[0], begin[1], end[0], end[1])


def _pool_windows(node: Node, shape: Shape) -> tuple[Pair, Pair, Pads]:
    kernel, stride = node.pair("kernel_shape", 1), node.pair("strides", 1)
    if node.pair("dilations", 1) != (1, 1):
        raise node.error("dilated pooling cannot be converted")
    pads = _resolve_pads(node, shape, kernel, stride, (1, 1))
    if node.attributes.get("ceil_mode", 0) and not _divides(shape, kernel, stride, pads):
        raise node.error("ceil_mode = 1 on a size that does not divide; pad the input instead")
    return kernel, stride, pads


def _divides(shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> bool:
    return all(
        (shape[1 + axis] + pads[axis] + pads[axis + 2] - kernel[axis]) % stride[axis] == 0
        for axis in range(2)
    )


def _pooling(node: Node, shape: Shape, pool: Pool) -> Parsed:
    if len(node.constants) != 1:
        raise node.error("a second output or input, which a pooling here does not have")
    return Pooling(node.name, pool), pool.output_shape(shape)
