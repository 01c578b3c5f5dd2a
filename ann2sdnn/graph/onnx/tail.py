"""The tail of a network: what follows its last layer and is computed by the host.

A Softmax, an ArgMax or the decoding of boxes is no ReLU network. It is left out of the graph, whose
output is then the tensor before it, and ``tail_of`` makes it a network of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

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
from ann2sdnn.graph.onnx.fold import FoldedGraph, fold
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
# Of other domains these have none: scikit-learn's classifiers end with them.
_WITHOUT_WEIGHTS = frozenset(
    f"ai.onnx.ml::{name}"
    for name in ("ArrayFeatureExtractor", "Binarizer", "LabelEncoder", "Normalizer", "ZipMap")
)
# Before it, Softmax took the axes from `axis` on as one.
_ONE_AXIS_SINCE = 13
_HOST = "evaluate, and file_outputs in Python, run it in ONNX Runtime"


@dataclass(frozen=True, eq=False)
class Tail:
    """What the host computes from the outputs of a graph.

    ``model``: the ONNX model, from the tensors ``held`` to the file's outputs.
    """

    model: Any
    held: tuple[Held, ...]

    @cached_property
    def session(self) -> "onnxruntime.InferenceSession":
        """The model in ONNX Runtime; ModelError where that cannot run it."""
        session = open_session(self.model)
        for output in session.get_outputs():
            if not output.type.startswith("tensor("):
                raise ModelError(
                    f"the output {output.name} of the network's tail is {output.type}; expected"
                    " tensors, so export the network with outputs of its own for its parts"
                )
        return session

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators of the tail, each once, in order."""
        return tuple(dict.fromkeys(operator_of(node) for node in self.model.graph.node))

    def run(self, tensors: Mapping[str, NDArray[np.floating[Any]]]) -> dict[str, NDArray[Any]]:
        """The file's outputs by name for ``tensors``: [T, O, H, W] by the name of each of ``held``.

        An output is an array [T, ...], without the file's axis of frames inside. Where frames
        answer with different shapes, such as boxes after a NonMaxSuppression, it is an array [T] of
        arrays. ONNX Runtime gets as many frames at a time as the file fixes, or one. Raises
        ModelError where it cannot run the tail.
        """
        batch = self.held[0].data.batch
        n_frames = len(tensors[self.held[0].name])
        outputs = self.session.get_outputs()
        computed = [output.name for output in outputs if output.name not in tensors]
        answers: dict[str, list[NDArray[Any]]] = {output.name: [] for output in outputs}
        for start in range(0, n_frames, batch):
            given = {
                held.name: _packed(held.data, tensors[held.name][start : start + batch])
                for held in self.held
            }
            try:
                values = self.session.run(computed, given)
            except RUNTIME_ERRORS as error:
                raise ModelError(
                    f"ONNX Runtime cannot run the network's tail: {first_line(error)}"
                ) from error
            # ONNX Runtime would answer with the memory of a given tensor, not with a copy.
            by_name = given | dict(zip(computed, values, strict=True))
            for output in outputs:
                answers[output.name] += _by_frame(output, by_name[output.name], batch)
        return {name: _stacked(frames[:n_frames]) for name, frames in answers.items()}


def _packed(data: Data, maps: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """``maps`` as the tensor of ``data.batch`` frames, which the last is repeated to fill."""
    filled = maps[np.minimum(np.arange(data.batch), len(maps) - 1)]
    return np.ascontiguousarray(data.packed(filled), np.float32)


def _by_frame(output: Any, value: Any, batch: int) -> list[NDArray[Any]]:
    """The answers of each frame in ``value``; ``output`` says what ONNX Runtime knows of it."""
    array = np.asarray(value)
    # Its shape inference follows the batch; an axis that it leaves open holds something else.
    if output.shape and output.shape[0] == batch:
        return [np.asarray(one) for one in array]
    if batch > 1:
        raise ModelError(
            f"the output {output.name} of the network's tail has no axis for its {batch} frames;"
            " export the network with a batch of 1"
        )
    return [array]


def _stacked(frames: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len({frame.shape for frame in frames}) == 1:
        return np.stack(frames)
    apart = np.empty(len(frames), object)
    for index, frame in enumerate(frames):
        apart[index] = frame
    return apart


def tail_of(file: "OnnxFile", graph: "Graph") -> Tail | None:
    """What follows ``graph`` in the ``file`` that it was read from; None where nothing does."""
    model = runnable(file.model)
    outputs = [value.name for value in model.graph.output]
    held = graph.held
    if not held or outputs == [one.name for one in held]:
        return None
    folded = _folded(model, graph, held[0].data.batch)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = {one.name for one in held}
    keep_nodes(copy, live_nodes(folded.nodes, outputs, {*names, *folded.constants}))
    read = {name for node in copy.graph.node for name in node.input}
    read -= {*names, *(tensor.name for tensor in copy.graph.initializer)}
    copy.graph.initializer.extend(
        numpy_helper.from_array(folded.constants[name], name)
        for name in sorted(read & folded.constants.keys())
    )
    del copy.graph.input[:]
    copy.graph.input.extend(
        helper.make_tensor_value_info(one.name, TensorProto.FLOAT, list(one.data.dims))
        for one in held
    )
    return Tail(copy, held)


def _folded(model: Any, graph: "Graph", batch: int) -> FoldedGraph:
    """``model`` with its constants computed, those that follow from the input's shape too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    (value,) = (one for one in model.graph.input if one.name not in constants)
    channels, height, width = graph.input_shape
    # A flat input is one pixel, and a signal has no rows.
    sizes = {2: (channels,), 3: (channels, width), 4: (channels, height, width)}
    return fold(model, value.name, (batch, *sizes[len(value.type.tensor_type.shape.dim)]))


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

    The node and what follows it have no weights, as far as their domains are known.
    """
    reached: set[str] = set()
    for node in folded.nodes:
        if node is not first and reached.isdisjoint(node.input):
            continue
        is_foreign = bool(domain_of(node)) and operator_of(node) not in _WITHOUT_WEIGHTS
        if node.op_type in _WITH_WEIGHTS or is_foreign:
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
            f" the values{_where(first, ends[0].data, folded.opset)} stays; {_HOST}"
        )
    names = ", ".join(dict.fromkeys(operators))
    tensors = ", ".join(f"{one.name} {list(one.data.dims)}" for one in ends)
    several = len(ends) > 1
    return (
        f"the SDNN ends with the tensor{'s' if several else ''} {tensors}; what follows"
        f" {'them' if several else 'it'} ({names}) is no ReLU network and is left to the host;"
        f" {_HOST}"
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
