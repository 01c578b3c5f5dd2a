"""Reads an ONNX file into a graph, and refuses by name what cannot be converted."""

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from ann2sdnn.graph.averages import split_averages
from ann2sdnn.graph.geometry import MAX_VALUES, Pair
from ann2sdnn.graph.layers import Graph, with_std
from ann2sdnn.graph.onnx.check import compare_with_onnx_runtime
from ann2sdnn.graph.onnx.elements import Step, assemble
from ann2sdnn.graph.onnx.endings import ENDINGS, cut
from ann2sdnn.graph.onnx.file.load import OnnxFile, load_onnx
from ann2sdnn.graph.onnx.file.protos import operator_of
from ann2sdnn.graph.onnx.file.runnable import runnable
from ann2sdnn.graph.onnx.fold import FoldedGraph, fold
from ann2sdnn.graph.onnx.metadata import stored_preprocessing, stored_scale
from ann2sdnn.graph.onnx.operators import Data, Node, keeps_values, parse_node
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.support.errors import ModelError


def read_onnx(
    path: Path,
    *,
    input_size: Pair | None = None,
    input_scale: float | None = None,
    preprocessing: Preprocessing | None = None,
    compare: bool = True,
) -> Graph:
    """Read a single-input feed-forward ONNX network.

    ``input_size`` (height, width): for a file that leaves its size open. ``input_scale`` overrides
    the file's own ``ann2sdnn.input_scale``; without either it is 1. ``preprocessing`` overrides the
    file's metadata (``metadata.py``); its standard deviation becomes part of the first layer.
    ``compare``: compare the graph with ONNX Runtime on one random input; False for a file that was
    compared before. Raises ModelError naming the operator and node for what is not supported,
    naming the layer where ONNX Runtime computes something else, and for a preprocessing that does
    not fit the input's channels.
    """
    return graph_of(
        load_onnx(path),
        input_size=input_size,
        input_scale=input_scale,
        preprocessing=preprocessing,
        compare=compare,
    )


def graph_of(
    file: OnnxFile,
    *,
    input_size: Pair | None = None,
    input_scale: float | None = None,
    preprocessing: Preprocessing | None = None,
    compare: bool = True,
) -> Graph:
    """The graph of a file that was loaded; arguments and errors as for ``read_onnx``."""
    path = file.path
    scale = stored_scale(file) if input_scale is None else input_scale
    own = stored_preprocessing(file) if preprocessing is None else preprocessing
    if not (np.isfinite(scale) and scale > 0):
        raise ModelError(f"{path}: an input scale of {scale}; expected a positive number")
    try:
        model = runnable(file.model)
        _check_outputs(model)
        name, data = _input(model, input_size)
        steps, notes = _walk(fold(model, name, data.dims), name, data)
        own = own.for_channels(data.shape[0], float(scale))
        layers, tensors = assemble(steps, data.shape, nonnegative=not own.may_be_negative)
        layers = (*(with_std(first, own.std) for first in layers[:1]), *layers[1:])
        graph = Graph(data.shape, split_averages(layers), float(scale), notes, own)
        if compare:
            # The file has no tensor for the first parts of a layer that was split.
            held: list[str | None] = []
            for layer, tensor in zip(layers, tensors, strict=True):
                held += [None] * (len(split_averages((layer,))) - 1) + [tensor]
            compare_with_onnx_runtime(model, graph, held, data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return graph


def _check_outputs(model: Any) -> None:
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
        types = {value: key for key, value in TensorProto.DataType.items()}
        raise ModelError(
            f"the input {name} is of type {types.get(tensor.elem_type, tensor.elem_type)}; expected"
            " FLOAT, so export the network in float32"
        )
    dims = [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]
    flat = len(dims) == 2
    if len(dims) not in (2, 4):
        raise ModelError(f"the input {name} has {len(dims)} axes; expected N, C, H, W or N, K")
    batch, channels, *own_size = dims
    if channels is None:
        raise ModelError(
            f"the input {name} leaves its number of {'values' if flat else 'channels'} open;"
            " export the network with a fixed one, only the batch and the size may be open"
        )
    height, width = (1, 1) if flat else _filled_in(own_size, size)
    if size is not None and (height, width) != size:
        raise ModelError(
            f"the network takes inputs of {height}x{width}, the recordings have"
            f" {size[0]}x{size[1]}; export the network for that size, or resize the frames with"
            f" --resize {height}x{width}"
        )
    data = Data(batch or 1, (channels, height, width), flat)
    if prod(data.dims) > MAX_VALUES:
        raise ModelError(f"the input {name} of shape {list(data.dims)} is too large")
    return name, data


def _filled_in(own: Sequence[int | None], size: Pair | None) -> Pair:
    height, width = (a or b for a, b in zip(own, size or (None, None), strict=True))
    if height is None or width is None:
        raise ModelError(
            "the network leaves the size of its input open; give the size of the frames"
        )
    return height, width


def _walk(folded: FoldedGraph, name: str, data: Data) -> tuple[list[Step], tuple[str, ...]]:
    """The steps from the input ``name`` to the output, and notes on what is left out."""
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
    return steps, tuple(notes)


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
    nodes: list[Any] = []
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
        nodes.append(node)
        name = node.output[0]
        for other in node.output[1:]:
            if other and (other == folded.output or other in consumers):
                raise ModelError(
                    f"node {node.name} ({operator_of(node)}): its output {other} is used, and only"
                    " the first output of a node can be converted"
                )
    if consumers.get(name):
        raise ModelError(f"the output {name} is also read inside the network")
    return nodes
