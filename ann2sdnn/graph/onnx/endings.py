"""Operators at the end of a network that are left out, such as Softmax."""

from typing import Any

import onnx
from onnx import TensorProto, helper

from ann2sdnn.graph.onnx.file.protos import live_nodes
from ann2sdnn.graph.onnx.operators import Data, Node, keeps_values

ENDINGS = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})

# Before it, Softmax took the axes from `axis` on as one.
_ONE_AXIS_SINCE = 13


def cut(node: Node, data: Data, opset: int, *, is_first: bool) -> str:
    """The sentence about an ending of ``data`` that is left out.

    ``is_first``: no layer stands before it. Raises ModelError where it cannot be left out.
    """
    if is_first:
        raise node.error("it stands before every layer, where it cannot be converted")
    return (
        f"{node.operator} at the end of the network ({node.name}) is left out; the order of the"
        f" values{_where(node, data, opset)} stays, and whoever reads the output applies it"
    )


def without_endings(model: Any) -> Any:
    """A copy of a model that was read, which answers with what the first ending gets: the output
    of the last layer, as the graph does.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    makers = {output: node for node in copy.graph.node for output in node.output}
    name = answer = copy.graph.output[0].name
    while name in makers:
        node = makers[name]
        if node.op_type not in ENDINGS and not keeps_values(node.op_type):
            break
        name = node.input[0]
        if node.op_type in ENDINGS:
            answer = name
    if answer != copy.graph.output[0].name:
        del copy.graph.output[:]
        copy.graph.output.append(helper.make_tensor_value_info(answer, TensorProto.FLOAT, None))
        nodes = live_nodes(copy.graph.node, answer, {})
        del copy.graph.node[:]
        copy.graph.node.extend(nodes)
    return copy


def _where(node: Node, data: Data, opset: int) -> str:
    """The axes along which the order of values stays; "" for all values of a frame."""
    if node.operator == "Sigmoid":
        return ""
    rank, single = len(data.dims), opset >= _ONE_AXIS_SINCE
    axis = int(node.attributes.get("axis", -1 if single else 1))
    if not -rank <= axis < rank or axis % rank == 0:
        raise node.error(f"axis = {axis} of {list(data.dims)}; expected one of 1 to {rank - 1}")
    axis %= rank
    normalised = {axis} if single else set(range(axis, rank))
    if all(size == 1 for i, size in enumerate(data.dims) if i > 0 and i not in normalised):
        return ""
    axes = f"axis {axis}" if single else f"the axes from {axis} on"
    return f" along {axes} of {list(data.dims)}"
