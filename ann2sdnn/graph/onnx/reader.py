"""Reads an ONNX file into a graph, and refuses by name what cannot be converted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from ann2sdnn.graph.averages import split_averages
from ann2sdnn.graph.geometry import MAX_VALUES, Pair
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.onnx.check import compare_with_onnx_runtime
from ann2sdnn.graph.onnx.elements import Assembled, Step, assemble
from ann2sdnn.graph.onnx.endings import ENDINGS, cut
from ann2sdnn.graph.onnx.file.load import OnnxFile, load_onnx
from ann2sdnn.graph.onnx.file.protos import operator_of
from ann2sdnn.graph.onnx.file.runnable import runnable
from ann2sdnn.graph.onnx.fold import FoldedGraph, fold
from ann2sdnn.graph.onnx.operators import Data, Node, keeps_values, parse_node
from ann2sdnn.support.errors import ModelError

INPUT_SCALE_KEY = "ann2sdnn.input_scale"


def read_onnx(
    path: Path,
    *,
    input_size: Pair | None = None,
    input_scale: float | None = None,
    compare: bool = True,
) -> Graph:
    """Read a single-input feed-forward ONNX network.

    ``input_size`` (height, width) fills in a size the file leaves open. ``input_scale`` overrides
    the file's own ``ann2sdnn.input_scale``; without either it is 1. ``compare``: check what was
    read against ONNX Runtime on one random input; False for a file that was checked before. Raises
    ModelError naming the operator and node for what is not supported, and naming the layer where
    ONNX Runtime computes something else.
    """
    return graph_of(
        load_onnx(path), input_size=input_size, input_scale=input_scale, compare=compare
    )


def graph_of(
    file: OnnxFile,
    *,
    input_size: Pair | None = None,
    input_scale: float | None = None,
    compare: bool = True,
) -> Graph:
    """The graph of a file that was loaded; arguments and errors as for ``read_onnx``."""
    path = file.path
    scale = _stored_scale(file.model, path) if input_scale is None else input_scale
    if not (np.isfinite(scale) and scale > 0):
        raise ModelError(f"{path}: an input scale of {scale}; expected a positive number")
    try:
        model = runnable(file.model)
        _one_output(model)
        name, data = _input(model, input_size)
        walked = _walk(fold(model, name, data.dims), name, data)
        assembled = assemble(walked.steps, data.shape)
        layers, tensors = _with_split_averages(assembled)
        graph = Graph(data.shape, layers, float(scale), walked.notes)
        if compare:
            compare_with_onnx_runtime(model, graph, tensors, data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return graph


def _with_split_averages(assembled: Assembled) -> tuple[tuple[Layer, ...], list[str | None]]:
    """Layers, averages over many pixels as their own, and the tensor that holds each one's output.

    The file has no tensor for the first parts of a split layer.
    """
    tensors: list[str | None] = []
    for layer, tensor in zip(assembled.layers, assembled.tensors, strict=True):
        tensors += [None] * (len(split_averages((layer,))) - 1) + [tensor]
    return split_averages(assembled.layers), tensors


@dataclass(frozen=True, eq=False)
class _Walked:
    """The steps from the input to the output, and what the user should know about them."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def _one_output(model: Any) -> None:
    names = [value.name for value in model.graph.output]
    if len(names) != 1:
        raise ModelError(
            f"the network has {len(names)} outputs ({', '.join(names) or 'none'}); expected one:"
            " keep the one wanted with onnx.utils.extract_model"
        )


def _input(model: Any, size: Pair | None) -> tuple[str, Data]:
    """Name and shape of the network's input; an open batch is 1."""
    constants = {t.name for t in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(
            f"the network has {len(inputs)} inputs ({names}); a network with exactly one can be"
            " converted"
        )
    name, tensor = inputs[0].name, inputs[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        found = next(
            (key for key, value in TensorProto.DataType.items() if value == tensor.elem_type),
            tensor.elem_type,
        )
        raise ModelError(
            f"the input {name} is of type {found}; expected FLOAT, so export the network in float32"
        )
    dims = [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]
    flat = len(dims) == 2
    if len(dims) not in (2, 4):
        raise ModelError(f"the input {name} has {len(dims)} axes; expected N, C, H, W or N, K")
    if dims[1] is None:
        raise ModelError(
            f"the input {name} leaves its number of {'values' if flat else 'channels'} open;"
            " export the network with a fixed one, only the batch and the size may be open"
        )
    height, width = (1, 1) if flat else _filled_in(dims[2], dims[3], size)
    if size is not None and (height, width) != size:
        raise ModelError(
            f"the network takes inputs of {height}x{width}, the recordings have"
            f" {size[0]}x{size[1]}; export the network for that size"
        )
    data = Data(dims[0] or 1, (dims[1], height, width), flat)
    if np.prod(data.dims, dtype=object) > MAX_VALUES:
        raise ModelError(f"the input {name} of shape {list(data.dims)} is too large")
    return name, data


def _filled_in(height: int | None, width: int | None, size: Pair | None) -> Pair:
    if size is not None:
        height, width = height or size[0], width or size[1]
    if height is None or width is None:
        raise ModelError(
            "the network leaves the size of its input open; give the size of the frames"
        )
    return height, width


def _walk(folded: FoldedGraph, name: str, data: Data) -> _Walked:
    """Follow the chain of nodes from the input ``name`` to the output."""
    steps: list[Step] = []
    endings: list[Node] = []
    notes: list[str] = []
    for proto in _chain(folded, name):
        node = Node.from_proto(proto, name, folded.constants, folded.uncomputed)
        name = proto.output[0]
        if node.operator in ENDINGS:
            notes.append(cut(node, data, folded.opset, is_first=not steps))
            endings.append(node)
            continue
        if endings and not keeps_values(node.operator):
            raise endings[-1].error(
                f"it cannot be converted, only left out at the very end, but {node.name}"
                f" ({node.operator}) follows"
            )
        element, data = parse_node(node, data)
        steps += [] if element is None else [Step(element, name)]
    return _Walked(tuple(steps), tuple(notes))


def _chain(folded: FoldedGraph, name: str) -> list[Any]:
    """The nodes in the order in which they follow each other from the input ``name``."""
    consumers: dict[str, list[Any]] = {}
    for node in folded.nodes:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ModelError(
                f"node {node.name} ({operator_of(node)}): it holds graphs of its own; only a chain"
                " without branches can be converted"
            )
        for source in dict.fromkeys(node.input):
            consumers.setdefault(source, []).append(node)
    chain: list[Any] = []
    while name != folded.output:
        following = consumers.get(name, [])
        if not following:
            raise ModelError(f"the output {folded.output} does not depend on the tensor {name}")
        if len(following) > 1:
            readers = ", ".join(f"{node.name} ({node.op_type})" for node in following)
            raise ModelError(
                f"the tensor {name} is read by {len(following)} nodes ({readers}); only a chain"
                " without branches can be converted"
            )
        node = following[0]
        chain.append(node)
        name = node.output[0]
        for other in node.output[1:]:
            if other and (other == folded.output or other in consumers):
                raise ModelError(
                    f"node {node.name} ({operator_of(node)}): its output {other} is used, and only"
                    " the first output of a node can be converted"
                )
    if consumers.get(name):
        raise ModelError(f"the output {name} is also read inside the network")
    return chain


def _stored_scale(model: Any, path: Path) -> float:
    for entry in model.metadata_props:
        if entry.key == INPUT_SCALE_KEY:
            try:
                return float(entry.value)
            except ValueError:
                raise ModelError(
                    f"{path}: the metadata {INPUT_SCALE_KEY} is {entry.value!r}, not a number"
                ) from None
    return 1.0
