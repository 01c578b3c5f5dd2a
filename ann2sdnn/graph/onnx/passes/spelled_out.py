"""Recognises activations that exporters spell out: PRelu as two ReLUs, ReLU as a comparison.

Keras' PReLU comes from tf2onnx as relu(x) + a * relu(-x), where a is minus the slope; torch's newer
exporter writes Threshold(0, 0) as where(x <= 0, 0, x).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.onnx.file.protos import domain_of
from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.passes.rewriting import node, rewritten

_INPUTS = {"Add": 2, "Less": 2, "LessOrEqual": 2, "Mul": 2, "Neg": 1, "Relu": 1, "Where": 3}
_NEGATIVE = ("Less", "LessOrEqual")


def with_activations(model: Any, folded: FoldedGraph) -> Any:
    """A copy of ``model`` with PRelu and Relu for what stands for them; the model itself without.

    ``folded``: its constants. The outputs keep their names and values.
    """
    graph = _Graph(folded)
    replaced: dict[str, Sequence[Any]] = {}
    constants: dict[str, NDArray[Any]] = {}
    for one in folded.nodes:
        if domain_of(one) or len(one.input) != _INPUTS.get(one.op_type):
            continue
        if one.op_type == "Add" and (leaky := graph.leaky(one)) is not None:
            source, slope = leaky
            name = f"{one.output[0]}:slope"
            constants[name] = slope
            replaced[one.output[0]] = [node("PRelu", [source, name], one.output, name=one.name)]
        elif one.op_type == "Where" and (relu := graph.compared(one)) is not None:
            replaced[one.output[0]] = [node("Relu", [relu], one.output, name=one.name)]
    return rewritten(model, replaced, constants) if replaced else model


class _Graph:
    """Nodes by what they compute, and how many read each tensor."""

    def __init__(self, folded: FoldedGraph) -> None:
        self._constants: Mapping[str, NDArray[Any]] = folded.constants
        # A damaged file may have nodes with fewer inputs.
        self._nodes = {
            one.output[0]: one
            for one in folded.nodes
            if not domain_of(one) and len(one.input) == _INPUTS.get(one.op_type)
        }

    def leaky(self, one: Any) -> tuple[str, NDArray[Any]] | None:
        """X and the slope where the Add is relu(x) + constant * relu(-x)."""
        for first, second in (one.input, reversed(one.input)):
            source = self._source(first, "Relu")
            product = self._nodes.get(second)
            if source is None or product is None or product.op_type != "Mul":
                continue
            for factor, other in (product.input, reversed(product.input)):
                inner = self._source(other, "Relu")
                negated = None if inner is None else self._source(inner, "Neg")
                if factor in self._constants and negated == source:
                    return source, -self._constants[factor]
        return None

    def compared(self, one: Any) -> str | None:
        """X where the Where is 0 where x is below 0 (or equal), else x."""
        condition = self._nodes.get(one.input[0])
        if condition is None or condition.op_type not in _NEGATIVE:
            return None
        below, limit = condition.input
        zeros = (self._constants.get(name) for name in (limit, one.input[1]))
        are_zero = all(value is not None and not np.any(value) for value in zeros)
        return str(below) if are_zero and below == one.input[2] else None

    def _source(self, name: str, operator: str) -> str | None:
        """What the ``operator`` that computes ``name`` reads; None where another one does."""
        one = self._nodes.get(name)
        return str(one.input[0]) if one is not None and one.op_type == operator else None
