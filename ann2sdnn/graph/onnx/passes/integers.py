"""Writes operators on integers as those on floats that they stand for (QLinearConv, ConvInteger).

ONNX Runtime's static quantisation writes the first kind in its QOperator format, its dynamic
quantisation the second. Weights become the floats that the integers stand for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.onnx.file.protos import operator_of, where
from ann2sdnn.graph.onnx.passes.rewriting import attributes_of, dequantised, node, optional
from ann2sdnn.support.errors import ModelError

Arrays = Mapping[str, NDArray[Any]]


@dataclass(eq=False)
class Floats:
    """What takes the place of an operator on integers.

    ``scale``, ``zero``: of the integers that the file has in its output's place; None where it has
    floats there. ``is_weighted``: values below 0 may be among its outputs although there were none
    among its inputs.
    """

    nodes: list[Any]
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    scale: Any = None
    zero: Any = None
    is_weighted: bool = True


_Rewrite = Callable[[Any, Arrays], Floats]
# With the least number of inputs that each has.
_REWRITES: dict[str, tuple[_Rewrite, int]] = {}


def in_floats(one: Any, constants: Arrays) -> Floats | None:
    """The operators on floats that a node stands for; None for one that is no such operator.

    Raises ModelError where weights are no constants, or inputs are missing.
    """
    if operator_of(one) not in _REWRITES:
        return None
    rewrite, n_inputs = _REWRITES[operator_of(one)]
    if len(one.input) < n_inputs:
        raise ModelError(
            f"{where(one)}: it has {len(one.input)} inputs; expected {n_inputs}, so quantise the"
            " network again"
        )
    try:
        return rewrite(one, constants)
    except ValueError as error:
        raise ModelError(f"{where(one)}: {error}; quantise the network again") from error


def _rewrites(*names: str, inputs: int) -> Callable[[_Rewrite], _Rewrite]:
    def register(rewrite: _Rewrite) -> _Rewrite:
        _REWRITES.update(dict.fromkeys(names, (rewrite, inputs)))
        return rewrite

    return register


def _constant(one: Any, index: int, constants: Arrays, what: str) -> NDArray[Any]:
    value = optional(one, index, constants)
    if value is None:
        raise ModelError(
            f"{where(one)}: its {what} is not a constant of the file; quantise the trained network"
            " again"
        )
    return np.asarray(value)


@_rewrites("QLinearConv", inputs=8)
def _convolution(one: Any, constants: Arrays) -> Floats:
    """x, its scale and zero point; weight, scale, zero; scale and zero of the output; bias."""
    scale = _constant(one, 4, constants, "weight's scale")
    weight = dequantised(_constant(one, 3, constants, "weight"), scale, optional(one, 5, constants))
    names = [f"{one.output[0]}:weight"]
    added: dict[str, NDArray[Any]] = {names[0]: weight}
    bias = optional(one, 8, constants)
    if bias is not None:
        names.append(f"{one.output[0]}:bias")
        own = _constant(one, 1, constants, "input's scale") * scale
        added[names[1]] = dequantised(bias, own, None)
    conv = node(
        "Conv", [one.input[0], *names], [one.output[0]], name=one.name, **attributes_of(one)
    )
    return Floats([conv], added, optional(one, 6, constants), optional(one, 7, constants))


@_rewrites("QLinearMatMul", inputs=8)
def _product(one: Any, constants: Arrays) -> Floats:
    """a, scale, zero; b, scale, zero; scale and zero of the output."""
    weight = dequantised(
        _constant(one, 3, constants, "weight"),
        _constant(one, 4, constants, "weight's scale"),
        optional(one, 5, constants),
        -1,
    )
    name = f"{one.output[0]}:weight"
    product = node("MatMul", [one.input[0], name], [one.output[0]], name=one.name)
    return Floats(
        [product], {name: weight}, optional(one, 6, constants), optional(one, 7, constants)
    )


@_rewrites("com.microsoft::QGemm", inputs=6)
def _gemm(one: Any, constants: Arrays) -> Floats:
    """a, scale, zero; b, scale, zero; bias; scale and zero of the output, floats without."""
    attributes = attributes_of(one)
    scale = _constant(one, 4, constants, "weight's scale")
    axis = 0 if attributes.get("transB") else 1
    weight = dequantised(
        _constant(one, 3, constants, "weight"), scale, optional(one, 5, constants), axis
    )
    names = [f"{one.output[0]}:weight"]
    added: dict[str, NDArray[Any]] = {names[0]: weight}
    bias = optional(one, 6, constants)
    if bias is not None:
        names.append(f"{one.output[0]}:bias")
        own = _constant(one, 1, constants, "input's scale") * scale
        # It is in units of the product: alpha is a part of them.
        added[names[1]] = dequantised(
            bias, own * np.float32(attributes.get("alpha", 1.0)), None, -1
        )
    gemm = node("Gemm", [one.input[0], *names], [one.output[0]], name=one.name, **attributes)
    return Floats([gemm], added, optional(one, 7, constants), optional(one, 8, constants))


@_rewrites("com.microsoft::QLinearAdd", "com.microsoft::QLinearMul", inputs=7)
def _arithmetic(one: Any, constants: Arrays) -> Floats:
    """Both operands with scale and zero; scale and zero of the output."""
    names, added = [], {}
    for index in (0, 3):
        value = optional(one, index, constants)
        names.append(one.input[index])
        if value is not None:
            names[-1] = f"{one.output[0]}:operand{index}"
            scale = _constant(one, index + 1, constants, "operand's scale")
            added[names[-1]] = dequantised(value, scale, optional(one, index + 2, constants))
    plain = node(one.op_type.removeprefix("QLinear"), names, [one.output[0]], name=one.name)
    return Floats([plain], added, optional(one, 6, constants), optional(one, 7, constants))


@_rewrites(
    *(
        f"com.microsoft::QLinear{name}"
        for name in ("AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax")
    ),
    inputs=4,
)
def _unary(one: Any, constants: Arrays) -> Floats:
    """x, scale, zero; scale and zero of the output."""
    attributes = attributes_of(one)
    if attributes.pop("channels_last", 0):
        raise ModelError(f"{where(one)}: channels_last = 1; quantise a network with channels first")
    attributes.pop("opset", None)
    name = one.op_type.removeprefix("QLinear")
    plain = node(name, [one.input[0]], [one.output[0]], name=one.name, **attributes)
    return Floats(
        [plain],
        {},
        optional(one, 3, constants),
        optional(one, 4, constants),
        is_weighted=name == "LeakyRelu",
    )


@_rewrites("com.microsoft::QLinearConcat", inputs=5)
def _concatenation(one: Any, constants: Arrays) -> Floats:
    """Scale and zero of the output; then each input with its own."""
    plain = node(
        "Concat", one.input[2::3], [one.output[0]], name=one.name, **attributes_of(one, "axis")
    )
    return Floats(
        [plain],
        {},
        optional(one, 0, constants),
        optional(one, 1, constants),
        is_weighted=False,
    )


@_rewrites("DynamicQuantizeLinear", inputs=1)
def _scaled_at_run_time(one: Any, constants: Arrays) -> Floats:
    """Its integers become its input, so its scale is 1 and its zero point 0."""
    values = [np.ones((), np.float32), np.zeros((), np.uint8)]
    added = dict(zip(one.output[1:], values, strict=False))
    return Floats([node("Identity", one.input, one.output[:1], name=one.name)], added)


@_rewrites("ConvInteger", "MatMulInteger", inputs=2)
def _integer_product(one: Any, constants: Arrays) -> Floats:
    """x, weight, zero of x, zero of the weight."""
    axis = 0 if one.op_type == "ConvInteger" else -1
    ones = np.ones((), np.float32)
    weight = _constant(one, 1, constants, "weight")
    name = f"{one.output[0]}:weight"
    added = {name: dequantised(weight, ones, optional(one, 3, constants), axis)}
    plain = node(
        one.op_type.removesuffix("Integer"),
        [one.input[0], name],
        [one.output[0]],
        name=one.name,
        **attributes_of(one),
    )
    return Floats([plain], added)


@_rewrites("com.microsoft::DynamicQuantizeMatMul", "com.microsoft::MatMulIntegerToFloat", inputs=3)
def _fused_product(one: Any, constants: Arrays) -> Floats:
    """a, b; then scales and zeros of both or of b; then a bias."""
    of_both = one.op_type == "MatMulIntegerToFloat"
    scale, zero, bias = (3, 5, 6) if of_both else (2, 3, 4)
    weight = dequantised(
        _constant(one, 1, constants, "weight"),
        _constant(one, scale, constants, "weight's scale"),
        optional(one, zero, constants),
        -1,
    )
    name, between = f"{one.output[0]}:weight", f"{one.output[0]}:product"
    has_bias = optional(one, bias, constants) is not None
    nodes = [node("MatMul", [one.input[0], name], [between if has_bias else one.output[0]])]
    if has_bias:
        nodes.append(node("Add", [between, one.input[bias]], [one.output[0]], name=one.name))
    return Floats(nodes, {name: weight})
