"""The registry of ONNX operators that can be read.

Semantics are those of the ONNX operator specification. What a registration says of an operator is
also the table of docs/your-network.md (``support_rows``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.onnx.operators.node import Node, NodeError, Parsed
from ann2sdnn.support.errors import ModelError

Parser = Callable[[Node, Data], Parsed]
Opsets = tuple[int, int]

OLDEST, NEWEST = 6, 23
ALL_BACKENDS = "all"


class Support(NamedTuple):
    """What the documents say of an operator.

    ``reads``: what it becomes. ``limits``: what is refused. ``opsets``: the first and the last that
    have it, of those that are read. ``backends``: those that run what it becomes.
    """

    reads: str = ""
    limits: str = ""
    opsets: Opsets = (OLDEST, NEWEST)
    backends: str = ALL_BACKENDS


@dataclass(frozen=True)
class Operator:
    """A function that reads an operator. ``keeps_values``: it changes the shape at most.
    ``belongs``: where it is refused the network is, also at its very end.
    """

    parse: Parser
    attributes: frozenset[str]
    data_inputs: tuple[int, ...]
    keeps_values: bool
    belongs: bool
    support: Support


_OPERATORS: dict[str, Operator] = {}

# What to do about operators that users ask for; all others get the list of what can be read.
_INSTEAD = {
    "Celu Elu Erf Gelu HardSwish Mish Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu": (
        "train with ReLU, ReLU6 or LeakyReLU"
    ),
    "GroupNormalization InstanceNormalization LayerNormalization LpNormalization LRN"
    " MeanVarianceNormalization RMSNormalization": "train with BatchNorm2d, in evaluation mode",
    "Split": "only whole tensors can be read by several layers, so train without it",
    "GRU LSTM RNN": "only feed-forward networks can be converted",
    "GridSample": "resize or crop the frames instead",
    "DepthToSpace SpaceToDepth": "train with strided or transposed convolutions",
    "LpPool": "train with MaxPool or AveragePool",
    "Einsum": "write it as a matrix product, which is MatMul",
}

_FROM_BEFORE = (
    "give the file from before ONNX Runtime's optimiser, or one that it saved with a level up to"
    " ORT_ENABLE_EXTENDED"
)


def operator(
    name: str,
    attributes: str = "",
    *,
    data_inputs: tuple[int, ...] = (0,),
    keeps_values: bool = False,
    belongs: bool = False,
    support: Support | None = None,
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
        _OPERATORS[name] = Operator(
            parse,
            frozenset(attributes.split()),
            data_inputs,
            keeps_values,
            belongs,
            support or Support(),
        )
        return parse

    return register


def keeps_values(name: str) -> bool:
    """Whether the operator is known to change no value."""
    return name in _OPERATORS and _OPERATORS[name].keeps_values


def belongs(name: str) -> bool:
    """Whether the operator is known to be a part of networks, so that none ends before it."""
    return name in _OPERATORS and _OPERATORS[name].belongs


def supported() -> dict[str, Support]:
    """All operators that can be read, by name."""
    return {name: _OPERATORS[name].support for name in sorted(_OPERATORS)}


def refuse_unknown(node: Node) -> None:
    """Raise ModelError, with what to do, for an operator that is not registered."""
    if node.operator not in _OPERATORS:
        raise node.error(f"this operator cannot be converted; {_instead(node.operator)}")


def parse_node(node: Node, data: Data) -> Parsed:
    """The element of a node (None when it changes no value), and the values after it.

    Raises ModelError naming operator, node, reason and what to do.
    """
    refuse_unknown(node)
    rule = _OPERATORS[node.operator]
    for attribute in node.attributes:
        if attribute not in rule.attributes:
            raise node.error(f"the attribute {attribute} is not supported; export without it")
    if node.data_index not in rule.data_inputs:
        raise node.error(f"the data arrives at input {node.data_index + 1}, expected the first")
    try:
        return rule.parse(node, data)
    except NodeError:
        raise
    except ModelError as error:
        raise node.error(str(error)) from error


def _instead(name: str) -> str:
    for names, advice in _INSTEAD.items():
        if name in names.split():
            return advice
    domain = name.rpartition("::")[0]
    if domain.startswith("com.microsoft"):
        return "train with ReLU, ReLU6 or LeakyReLU" if name.endswith("Gelu") else _FROM_BEFORE
    return f"supported are {', '.join(sorted(_OPERATORS))}"
