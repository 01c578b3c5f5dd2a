"""Reads the ONNX operators that bend: ReLU, limits, and slopes below zero."""

import numpy as np

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.onnx.elements import Affine, Clip, Element, Leaky
from ann2sdnn.graph.onnx.operators.node import Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import Support, operator

_LARGEST = float(np.finfo(np.float32).max)
_TWICE = "two ReLUs per channel, which the next layer adds up"


@operator("Relu", support=Support("the layer's ReLU"))
def _relu(node: Node, data: Data) -> Parsed:
    return Clip(node.name), data


@operator(
    "Clip",
    "max min",
    support=Support(
        f"a ReLU where only the minimum, 0, is given; else {_TWICE}", "constant limits"
    ),
)
def _clip(node: Node, data: Data) -> Parsed:
    low, high = (_limit(node, index, what) for index, what in ((1, "min"), (2, "max")))
    return _clipped(node, data, -np.inf if low is None else low, np.inf if high is None else high)


@operator(
    "Max",
    data_inputs=(0, 1),
    support=Support("as Clip", "of the data and one number", (8, 23)),
)
def _larger(node: Node, data: Data) -> Parsed:
    low = _limit(node, 1 - node.data_index, "limit")
    return _clipped(node, data, -np.inf if low is None else low, np.inf)


@operator(
    "Min",
    data_inputs=(0, 1),
    support=Support("as Clip", "of the data and one number", (8, 23)),
)
def _smaller(node: Node, data: Data) -> Parsed:
    high = _limit(node, 1 - node.data_index, "limit")
    return _clipped(node, data, -np.inf, np.inf if high is None else high)


@operator("LeakyRelu", "alpha", support=Support(_TWICE))
def _leaky(node: Node, data: Data) -> Parsed:
    slope = np.full(data.shape[0], node.attributes.get("alpha", 0.01), np.float32)
    return Leaky(node.name, slope), data


@operator("PRelu", support=Support(_TWICE, "a constant slope, one number per channel", (7, 23)))
def _parametric(node: Node, data: Data) -> Parsed:
    values = node.constant(1, "slope")
    spread = data.spread(values)
    if spread is None or spread.shape[1:] != (1, 1):
        raise node.error(
            f"a slope of shape {values.shape} for {list(data.dims)}; only one number per channel"
            " can be converted"
        )
    return Leaky(node.name, np.ascontiguousarray(spread[:, 0, 0], np.float32)), data


@operator("Abs", support=Support(_TWICE))
def _absolute(node: Node, data: Data) -> Parsed:
    return Leaky(node.name, np.full(data.shape[0], -1, np.float32)), data


@operator("HardSigmoid", "alpha beta", support=Support("a scale, then as Clip from 0 to 1"))
def _hard_sigmoid(node: Node, data: Data) -> Parsed:
    ones = np.ones((data.shape[0], 1, 1), np.float32)
    alpha, beta = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    line = Affine(node.name, ones * np.float32(alpha), ones * np.float32(beta))
    return (line, Clip(node.name, 0.0, 1.0)), data


def _clipped(node: Node, data: Data, low: float, high: float) -> Parsed:
    low = -np.inf if low <= -_LARGEST else low
    high = np.inf if high >= _LARGEST else high
    if not low < high:
        raise node.error(
            f"its limits are {low:g} and {high:g}; expected the second above the first"
        )
    element: Element | None = (
        None if (low, high) == (-np.inf, np.inf) else Clip(node.name, low, high)
    )
    return element, data


def _limit(node: Node, index: int, what: str) -> float | None:
    """A limit of Clip: an attribute before opset 11, an input after."""
    if what in node.attributes:
        return float(node.attributes[what])
    if len(node.constants) > 2 and node.operator in ("Max", "Min"):
        raise node.error(f"it has {len(node.constants)} inputs; expected the data and one number")
    value = node.constants[index] if index < len(node.constants) else None
    if value is None:
        return None
    if value.dtype != np.float32 or value.size == 0 or (value != value.flat[0]).any():
        raise node.error(
            f"its {what} is of type {value.dtype} and shape {value.shape}; expected one float32"
        )
    return float(value.flat[0])
