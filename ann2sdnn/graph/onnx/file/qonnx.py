"""Writes the quantisers of QONNX files (brevitas) with ONNX's own operators.

Domains: ``qonnx.custom_op.general``, before ``onnx.brevitas``, ``finn.custom_op.general``.
``Quant(x, scale, zero, bits)`` rounds x / scale + zero to integers of so many bits, and
``BipolarQuant(x, scale)`` keeps the sign. Constants, such as weights, are computed; activations get
QuantizeLinear, Clip and DequantizeLinear, as brevitas' own QCDQ format has them.
Specification: https://github.com/fastmachinelearning/qonnx, docs/qonnx-custom-ops.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ann2sdnn.graph.onnx.file.protos import array_of, domain_of, where
from ann2sdnn.support.errors import ModelError

_DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
_MOST_BITS = 8

_ROUNDINGS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "ROUND": np.round,  # half to even, as ONNX has it
    "HALF_EVEN": np.round,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND_TO_ZERO": np.trunc,
    "DOWN": np.trunc,
}


def without_quant(model: Any) -> Any:
    """A copy of ``model`` with ONNX's own operators in the place of Quant and BipolarQuant.

    The model itself where it has neither. Raises ModelError for quantisers of activations with more
    than 8 bits, another rounding than to the nearest, or one bit.
    """
    if all(domain_of(node) not in _DOMAINS for node in model.graph.node):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name: array_of(tensor) for tensor in copy.graph.initializer}
    nodes: list[Any] = []
    for node in copy.graph.node:
        if node.op_type == "Constant" and any(a.name == "value" for a in node.attribute):
            (tensor,) = (a.t for a in node.attribute if a.name == "value")
            constants[node.output[0]] = array_of(tensor)
        if domain_of(node) not in _DOMAINS:
            nodes.append(node)
            continue
        if not node.input or not node.output:
            raise ModelError(f"{where(node)}: it has no input; export the network again")
        value = _computed(node, constants)
        if value is None:
            nodes += _rounded_in_onnx(node, constants, copy.graph)
        else:
            constants[node.output[0]] = value
            copy.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _computed(node: Any, constants: dict[str, NDArray[Any]]) -> NDArray[Any] | None:
    """The output of a quantiser of a constant; None for one of activations."""
    if node.input[0] not in constants:
        return None
    x, scale = (_value(node, index, constants, "scale") for index in (0, 1))
    if node.op_type == "BipolarQuant":
        return np.asarray(np.where(x >= 0, 1, -1) * scale, np.float32)
    zero, low, high = _limits(node, constants)
    levels = _rounding(node)(x / scale + zero)
    return np.asarray((np.clip(levels, low, high) - zero) * scale, np.float32)


def _rounded_in_onnx(node: Any, constants: dict[str, NDArray[Any]], graph: Any) -> list[Any]:
    """QuantizeLinear, Clip and DequantizeLinear for a quantiser of activations."""
    if node.op_type != "Quant":
        raise ModelError(
            f"{where(node)}: it gives activations one bit, which no ReLU network has; train with"
            " QuantReLU"
        )
    zero, low, high = _limits(node, constants)
    scale = _value(node, 1, constants, "scale")
    if scale.size > 1 or zero.size > 1 or (zero != np.round(zero)).any() or (scale <= 0).any():
        raise ModelError(
            f"{where(node)}: it has {scale.size} scales and {zero.size} zero points; expected one"
            " of each, a scale above 0 and a whole zero point, so quantise activations per tensor"
        )
    if _rounding(node) is not np.round or high - low >= 2**_MOST_BITS:
        raise ModelError(
            f"{where(node)}: it rounds activations to levels from {low:g} to {high:g}, mode"
            f" {_text(node)}; only rounding to the nearest of up to {_MOST_BITS} bits can be"
            " converted"
        )
    kind = np.int8 if low < 0 else np.uint8
    name = node.output[0]
    parts = {
        "scale": scale.astype(np.float32).reshape(()),
        "zero": zero.astype(kind).reshape(()),
        "low": np.asarray(low, kind),
        "high": np.asarray(high, kind),
    }
    graph.initializer.extend(
        numpy_helper.from_array(value, f"{name}:{part}") for part, value in parts.items()
    )
    limits = [f"{name}:low", f"{name}:high"]
    places = [f"{name}:scale", f"{name}:zero"]
    levels, clipped = f"{name}:levels", f"{name}:clipped"
    make = helper.make_node
    return [
        make("QuantizeLinear", [node.input[0], *places], [levels], name=node.name),
        make("Clip", [levels, *limits], [clipped], name=f"{node.name}:clip"),
        make("DequantizeLinear", [clipped, *places], [name], name=f"{node.name}:back"),
    ]


def _limits(node: Any, constants: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], float, float]:
    """The zero point, and the lowest and the highest level."""
    zero = _value(node, 2, constants, "zero point")
    bits = _value(node, 3, constants, "number of bits")
    if bits.size != 1 or not 1 <= float(bits.flat[0]) <= 32:
        raise ModelError(
            f"{where(node)}: its number of bits is {bits.ravel().tolist()}; expected one from 1 to"
            " 32"
        )
    flags = {a.name: a.i for a in node.attribute}
    signed, narrow = bool(flags.get("signed", 1)), bool(flags.get("narrow", 0))
    n = float(bits.flat[0])
    if signed:
        return zero, -(2 ** (n - 1)) + narrow, 2 ** (n - 1) - 1
    return zero, 0.0, 2**n - 1 - narrow


def _value(node: Any, index: int, constants: dict[str, NDArray[Any]], what: str) -> NDArray[Any]:
    name = node.input[index] if index < len(node.input) else ""
    if name not in constants:
        raise ModelError(
            f"{where(node)}: its {what} is not a constant of the file; export the network again"
        )
    return constants[name]


def _rounding(node: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    if _text(node) not in _ROUNDINGS:
        raise ModelError(
            f"{where(node)}: rounding_mode = {_text(node)}; expected one of {', '.join(_ROUNDINGS)}"
        )
    return _ROUNDINGS[_text(node)]


def _text(node: Any) -> str:
    modes = [a.s.decode(errors="replace") for a in node.attribute if a.name == "rounding_mode"]
    return str([*modes, "ROUND"][0]).upper()
