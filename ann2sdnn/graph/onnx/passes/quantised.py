"""Leaves out the rounding of activations in quantised networks (QuantizeLinear, QLinearConv).

The weights of such a file are dequantised where they stand, so they are those that it computes
with. An SDNN rounds activations its own way. A rounding whose lowest value is 0 is also the ReLU
that quantisers drop; it becomes one.
"""

from typing import Any

import numpy as np
from onnx import TensorProto

from ann2sdnn.graph.onnx.file.protos import operator_of
from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.passes.integers import Floats, in_floats
from ann2sdnn.graph.onnx.passes.rewriting import attributes_of, node, optional, rewritten

# No value below 0 goes out where none comes in.
_KEEP_SIGNS = frozenset(
    (
        *("AveragePool", "Cast", "Concat", "DequantizeLinear", "Dropout", "Flatten"),
        *("GlobalAveragePool", "GlobalMaxPool", "Identity", "MaxPool", "QuantizeLinear"),
        *("ReduceMax", "ReduceMean", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze"),
    )
)
_INTEGERS = frozenset((TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16))


def without_quantisers(
    model: Any, folded: FoldedGraph, input_name: str, *, nonnegative: bool = True
) -> tuple[Any, tuple[str, ...]]:
    """A copy of ``model`` whose activations are not rounded, and a sentence about it.

    The model itself and no sentence where it rounds none. ``folded``: its constants.
    ``nonnegative``: the input holds no value below 0, as pixels do not. Raises ModelError for
    operators on integers whose weights are no constants.
    """
    rewriting = _Rewriting(folded, {input_name} if nonnegative else set())
    for one in folded.nodes:
        rewriting.visit(one)
    if not rewriting.replaced:
        return model, ()
    names = ", ".join(sorted(rewriting.roundings))
    return rewritten(model, rewriting.replaced, rewriting.constants), (
        f"the file rounds activations at {rewriting.n_roundings} places ({names}), which is left"
        " out: the network is converted with the file's own weights, and the SDNN rounds by its own"
        " scales",
    )


class _Rewriting:
    """The replacements so far.

    ``_zeros``: tensors that are integers in the file, with the integer that stands for 0.
    ``_nonnegative``: tensors that hold no value below 0.
    """

    def __init__(self, folded: FoldedGraph, nonnegative: set[str]) -> None:
        self._folded = folded
        self._nonnegative = nonnegative
        self._zeros: dict[str, Any] = {}
        self.replaced: dict[str, list[Any]] = {}
        self.constants: dict[str, Any] = {}
        self.roundings: set[str] = set()
        self.n_roundings = 0

    def visit(self, one: Any) -> None:
        """Replace the node where it rounds, computes with integers or passes them on."""
        if not one.input:
            return
        operator = operator_of(one)
        plain = in_floats(one, self._folded.constants)
        if operator == "QuantizeLinear":
            same = node("Identity", one.input[:1], one.output, name=one.name)
            plain = Floats([same], zero=optional(one, 2, self._folded.constants), scale=True)
        if plain is not None:
            self._replace(one, plain)
        elif one.input[0] in self._zeros:
            self._pass_on(one)
        reads = [name for name in one.input if name and name not in self._folded.constants]
        keeps = operator in _KEEP_SIGNS or (plain is not None and not plain.is_weighted)
        if operator == "Relu" or (keeps and self._nonnegative.issuperset(reads)):
            self._nonnegative.update(one.output)

    def _replace(self, one: Any, plain: Floats) -> None:
        nodes = plain.nodes
        self.roundings.add(operator_of(one))
        self.n_roundings += 1
        self.constants.update(plain.constants)
        if plain.scale is not None:
            self._zeros[one.output[0]] = _zero(plain.zero)
            reads_negative = plain.is_weighted and one.input[0] not in self._nonnegative
            is_product = len(plain.constants) > 0
            if _cuts(plain.zero, None) and (reads_negative or is_product):
                nodes = _followed_by_relu(nodes)
                self._nonnegative.add(one.output[0])
        else:
            self._zeros[one.output[0]] = 0
        self.replaced[one.output[0]] = nodes

    def _pass_on(self, one: Any) -> None:
        """A node that reads integers: what it does to the floats in their place."""
        zero, operator, output = self._zeros[one.input[0]], operator_of(one), one.output[0]
        same = node("Identity", one.input[:1], one.output[:1], name=one.name)
        if operator == "DequantizeLinear":
            self.replaced[output] = [same]
            return
        if operator == "Cast" and attributes_of(one)["to"] not in _INTEGERS:
            return
        self._zeros[output] = zero
        if operator == "Cast":
            self.replaced[output] = [same]
        elif operator == "Clip":
            cuts = _cuts(zero, optional(one, 1, self._folded.constants))
            cuts = cuts and one.input[0] not in self._nonnegative
            self.replaced[output] = _followed_by_relu([same]) if cuts else [same]
        elif operator == "Pad" and optional(one, 2, self._folded.constants) is not None:
            value = optional(one, 2, self._folded.constants)
            name = f"{output}:value"
            self.constants[name] = np.asarray(int(value.flat[0]) - int(zero), np.float32)
            inputs = [*one.input[:2], name, *one.input[3:]]
            padded = node("Pad", inputs, [output], name=one.name, **attributes_of(one))
            self.replaced[output] = [padded]


def _followed_by_relu(nodes: list[Any]) -> list[Any]:
    """``nodes`` with a ReLU after the last one, whose output is then the ReLU's."""
    last = nodes[-1]
    output = last.output[0]
    last.output[0] = f"{output}:rounded"
    return [*nodes, node("Relu", [last.output[0]], [output], name=f"{output}:cut")]


def _zero(zero: Any) -> Any:
    """The zero point; without one the type is uint8, and 0 stands for 0."""
    return np.zeros((), np.uint8) if zero is None else zero


def _cuts(zero: Any, lowest: Any) -> bool:
    """Whether the lowest integer stands for 0, so that what is negative is cut.

    ``lowest``: None for the lowest of its type.
    """
    if zero is None:
        return True
    zero = np.asarray(zero)
    if zero.dtype.kind not in "iu":
        return False
    low = np.iinfo(zero.dtype).min if lowest is None else lowest
    return bool((zero == low).all())
