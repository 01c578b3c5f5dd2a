"""The registry of ONNX operators that can be read.

Semantics are those of the ONNX operator specification (opset 7 to 21 for the operators here).
"""

from collections.abc import Callable
from dataclasses import dataclass

from ann2sdnn.graph.onnx.operators.node import Data, Node, NodeError, Parsed
from ann2sdnn.support.errors import ModelError

Parser = Callable[[Node, Data], Parsed]


@dataclass(frozen=True)
class Operator:
    """A function that reads an operator. ``keeps_values``: it changes the shape at most."""

    parse: Parser
    attributes: frozenset[str]
    data_inputs: tuple[int, ...]
    keeps_values: bool


_OPERATORS: dict[str, Operator] = {}


def operator(
    name: str,
    attributes: str = "",
    *,
    data_inputs: tuple[int, ...] = (0,),
    keeps_values: bool = False,
) -> Callable[[Parser], Parser]:
    """Register a function that reads the ONNX operator ``name``.

    The function gets the node and the values that arrive, and returns the element that the node
    stands for (None when it changes no value) and the values after it. ``name`` is
    ``domain::Name`` outside ONNX's own domain. ``attributes``: those that it accepts, separated by
    spaces; others are refused. ``data_inputs``: inputs through which the data may arrive. Raises
    ValueError for a name that is taken.
    """

    def register(parse: Parser) -> Parser:
        if name in _OPERATORS:
            raise ValueError(f"the operator {name} is registered already")
        _OPERATORS[name] = Operator(parse, frozenset(attributes.split()), data_inputs, keeps_values)
        return parse

    return register


def keeps_values(name: str) -> bool:
    """Whether the operator is known to change no value."""
    return name in _OPERATORS and _OPERATORS[name].keeps_values


def parse_node(node: Node, data: Data) -> Parsed:
    """The element of a node (None when it changes no value), and the values after it.

    Raises ModelError naming operator, node and reason.
    """
    if node.operator not in _OPERATORS:
        known = ", ".join(sorted(_OPERATORS))
        raise node.error(f"this operator cannot be converted; supported are {known}")
    rule = _OPERATORS[node.operator]
    for attribute in node.attributes:
        if attribute not in rule.attributes:
            raise node.error(f"the attribute {attribute} is not supported")
    if node.data_index not in rule.data_inputs:
        raise node.error(f"the data arrives at input {node.data_index + 1}, expected the first")
    try:
        return rule.parse(node, data)
    except NodeError:
        raise
    except ModelError as error:
        raise node.error(str(error)) from error
