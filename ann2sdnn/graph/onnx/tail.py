"""The tail of a network: what follows its last layer and is computed by the host.

A Softmax, an ArgMax or the decoding of boxes is no ReLU network. It is left out of the graph, whose
output is then the tensor before it, and ``tail_of`` makes it a network of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ann2sdnn.graph.arrangement import Data, Held
from ann2sdnn.graph.onnx.file.protos import (
    domain_of,
    first_line,
    keep_nodes,
    live_nodes,
    operator_of,
)
from ann2sdnn.graph.onnx.file.runnable import runnable
from ann2sdnn.graph.onnx.file.session import RUNTIME_ERRORS, open_session
from ann2sdnn.graph.onnx.fold import FoldedGraph
from ann2sdnn.graph.onnx.operators import Node, keeps_values
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

    from ann2sdnn.graph.layers import Graph
    from ann2sdnn.graph.onnx.file.load import OnnxFile

# They change no order of values, so the largest output is the same with and without them.
ENDINGS = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})

# A network goes on where there are weights; those of other domains may have some.
_WITH_WEIGHTS = frozenset(
    {
        *("Attention", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "Einsum", "GRU"),
        *("Gemm", "LSTM", "MatMul", "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN"),
    }
)
# Before it, Softmax took the axes from `axis` on as one.
_ONE_AXIS_SINCE = 13


@dataclass(frozen=True, eq=False)
class Tail:
    """What the host computes from the output of a graph.

    ``model``: the ONNX model, from the tensor ``held`` to the file's outputs.
    """

    model: Any
    held: Held

    @cached_property
    def session(self) -> "onnxruntime.InferenceSession":
        """The model in ONNX Runtime; ModelError where that cannot run it."""
        return open_session(self.model)

    def run(self, outputs: NDArray[np.floating[Any]]) -> dict[str, NDArray[Any]]:
        """The file's outputs by name, one array each, for the graph's ``outputs`` [N, O, H, W].

        Frames run one by one where the file fixes its batch. Raises ModelError where ONNX Runtime
        cannot run the tail.
        """
        names = [value.name for value in self.session.get_outputs()]
        parts = np.split(outputs, len(outputs)) if self.held.data.batch == 1 else [outputs]
        try:
            results = [
                self.session.run(
                    names, {self.held.name: self.held.data.packed(part).astype(np.float32)}
                )
                for part in parts
            ]
        except RUNTIME_ERRORS as error:
            raise ModelError(
                f"ONNX Runtime cannot run the network's tail: {first_line(error)}"
            ) from error
        return {
            name: np.concatenate(values)
            for name, values in zip(names, zip(*results, strict=True), strict=True)
        }


def tail_of(file: "OnnxFile", graph: "Graph") -> Tail | None:
    """What follows ``graph`` in the ``file`` that it was read from; None where nothing does."""
    model = runnable(file.model)
    outputs = [value.name for value in model.graph.output]
    if not graph.held or outputs == [held.name for held in graph.held]:
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (held,) = graph.held
    keep_nodes(copy, live_nodes(copy.graph.node, outputs, {held.name}))
    del copy.graph.input[:]
    copy.graph.input.append(
        helper.make_tensor_value_info(held.name, TensorProto.FLOAT, list(held.data.dims))
    )
    return Tail(copy, held)


def network_of(model: Any, tensors: Sequence[str]) -> Any:
    """A copy of ``model`` without its tail: it answers with ``tensors``, as the graph does."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if [value.name for value in copy.graph.output] != list(tensors):
        del copy.graph.output[:]
        copy.graph.output.extend(
            helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None) for tensor in tensors
        )
        keep_nodes(copy, live_nodes(copy.graph.node, tensors, ()))
    return copy


def may_end(folded: FoldedGraph, first: Any) -> Any:
    """None where the network may end before the node ``first``, else the node that forbids it.

    The node and what follows it have no weights and are ONNX's.
    """
    reached: set[str] = set()
    for node in folded.nodes:
        if node is not first and reached.isdisjoint(node.input):
            continue
        if node.op_type in _WITH_WEIGHTS or domain_of(node):
            return node
        reached.update(node.output)
    return None


def tail_note(
    folded: FoldedGraph, ends: Sequence[Held], nodes: Sequence[Any], first: Node | None
) -> str:
    """The sentence about the tail: the ``nodes`` after the tensors ``ends``.

    ``first``: its first node, where it begins at one place. Raises ModelError for an ending along
    an axis that does not exist.
    """
    operators = [operator_of(proto) for proto in nodes]
    plain = all(one in ENDINGS or keeps_values(one) for one in operators)
    if first is not None and first.operator in ENDINGS and plain and len(ends) == 1:
        return (
            f"{first.operator} at the end of the network ({first.name}) is left out; the order of"
            f" the values{_where(first, ends[0].data, folded.opset)} stays, and whoever reads the"
            " output applies it"
        )
    names = ", ".join(dict.fromkeys(operators))
    tensors = ", ".join(f"{one.name} {list(one.data.dims)}" for one in ends)
    several = len(ends) > 1
    return (
        f"the SDNN ends with the tensor{'s' if several else ''} {tensors}; what follows"
        f" {'them' if several else 'it'} ({names}) is no ReLU network, and the host computes it"
    )


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
