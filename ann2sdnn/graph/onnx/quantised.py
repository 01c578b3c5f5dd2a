"""Leaves out the rounding of activations in quantised networks (QuantizeLinear, DequantizeLinear).

The weights of such a file are dequantised where they stand, so they are those that it computes
with. An SDNN rounds activations its own way. A QuantizeLinear whose lowest value is 0 is also the
ReLU that quantisers drop; it becomes one.
"""

from typing import Any

import numpy as np
import onnx

from ann2sdnn.graph.onnx.file.protos import domain_of
from ann2sdnn.graph.onnx.fold import FoldedGraph

_BETWEEN = frozenset(("Clip", "Identity"))


def without_quantisers(
    model: Any, folded: FoldedGraph, input_name: str, *, nonnegative: bool = True
) -> tuple[Any, tuple[str, ...]]:
    """A copy of ``model`` whose activations are not rounded, and a sentence about it.

    The model itself and no sentence where it rounds none. ``folded``: its constants.
    ``nonnegative``: the input holds no value below 0, as pixels do not.
    """
    changes: dict[str, str] = {}
    inside: set[str] = set()
    for node in folded.nodes:
        if domain_of(node):
            continue
        if node.op_type == "QuantizeLinear":
            is_cut = not nonnegative or node.input[0] != input_name
            cuts = is_cut and _lowest_is_zero(node, folded)
            changes[node.output[0]] = "Relu" if cuts else "Identity"
            inside.add(node.output[0])
        elif node.op_type == "DequantizeLinear" and node.input[0] in inside:
            changes[node.output[0]] = "Identity"
        elif node.op_type in _BETWEEN and node.input[0] in inside:
            changes[node.output[0]] = "Identity"
            inside.add(node.output[0])
    if not changes:
        return model, ()
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.output[0] in changes:
            node.op_type = changes[node.output[0]]
            del node.input[1:]
            del node.attribute[:]
    del copy.graph.value_info[:]
    n_roundings = sum(node.op_type == "QuantizeLinear" for node in folded.nodes)
    return copy, (
        f"the file rounds activations at {n_roundings} places (QuantizeLinear), which is left out:"
        " the network is converted with the file's own weights, and the SDNN rounds by its own"
        " scales",
    )


def _lowest_is_zero(node: Any, folded: FoldedGraph) -> bool:
    """Whether the node's lowest integer stands for 0, so that it cuts what is negative."""
    zero = folded.constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None:
        return True  # without a zero point the type is uint8, and 0 stands for 0
    if zero.dtype.kind not in "iu":
        return False
    return bool((zero == np.iinfo(zero.dtype).min).all())
