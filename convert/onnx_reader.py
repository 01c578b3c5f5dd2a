"""Reading an ONNX file into the graph; what cannot be converted is refused by name."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from ann2sdnn.convert.averages import split_averages
from ann2sdnn.convert.elements import Element, assemble
from ann2sdnn.convert.geometry import Pair, Shape
from ann2sdnn.convert.graph import Graph
from ann2sdnn.convert.onnx_nodes import Node, parse_node
from ann2sdnn.errors import ModelError

Constants = dict[str, NDArray[Any]]

INPUT_SCALE_KEY = "ann2sdnn.input_scale"


def read_onnx(
    path: Path, *, input_size: Pair | None = None, input_scale: float | None = None
) -> Graph:
    """Read a single-input feed-forward ONNX network.

    ``input_size`` (height, width) fills in a size the file leaves open. ``input_scale`` overrides
    the file's own ``ann2sdnn.input_scale``; without either it is 1. Raises ModelError naming the
    operator and node for what is not supported.
    """
    model = _load(path)
    initializers = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    constants = _constants(model, initializers)
    name, shape = _input(model, initializers, input_size, path)
    elements = _walk(model, constants, name, shape, path)
    scale = _stored_scale(model, path) if input_scale is None else input_scale
    if not (np.isfinite(scale) and scale > 0):
        raise ModelError(f"{path}: an input scale of {scale}; expected a positive number")
    return Graph(shape, split_averages(assemble(elements, shape)), float(scale))


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"{path} does not exist; name the ONNX file of the network to convert")
    try:
        # Without a format the name's ending would choose the parser.
        model = onnx.load(str(path), format="protobuf")
        onnx.checker.check_model(model)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path} is not an ONNX file; export the network to ONNX first") from error
    except onnx.checker.ValidationError as error:
        first_line = str(error).strip().splitlines()[0]
        raise ModelError(f"{path} is not a valid ONNX file: {first_line}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return model


def _constants(model: Any, initializers: Constants) -> Constants:
    constants = dict(initializers)
    for node in model.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    constants[node.output[0]] = numpy_helper.to_array(attribute.t)
        # torch stores equal parameters (a new batch normalisation's zeros) once and passes them on.
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    return constants


def _input(model: Any, initializers: Constants, size: Pair | None, path: Path) -> tuple[str, Shape]:
    """Name of the network's input and its shape (C, H, W)."""
    inputs = [value for value in model.graph.input if value.name not in initializers]
    if len(inputs) != 1:
        raise ModelError(
            f"{path} has {len(inputs)} inputs; a network with exactly one can be converted"
        )
    dims = [d.dim_value or None for d in inputs[0].type.tensor_type.shape.dim]
    if len(dims) == 2:
        dims += [1, 1]
    if len(dims) != 4 or dims[1] is None:
        raise ModelError(
            f"{path}: the input {inputs[0].name} has {len(dims)} axes; expected N, C, H, W"
            " with a fixed number of channels"
        )
    height, width = (
        given or (None if size is None else size[axis]) for axis, given in enumerate(dims[2:])
    )
    if height is None or width is None:
        raise ModelError(f"{path} leaves the size of its input open; give the size of the frames")
    if size is not None and (height, width) != size:
        raise ModelError(
            f"{path} takes inputs of {height}x{width}, the recordings have {size[0]}x{size[1]};"
            " export the network for that size"
        )
    return inputs[0].name, (dims[1], height, width)


def _walk(model: Any, constants: Constants, name: str, shape: Shape, path: Path) -> list[Element]:
    """Follow the chain of nodes from the input to the output."""
    consumers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for source in node.input:
            consumers.setdefault(source, []).append(node)
    output = model.graph.output[0].name
    elements: list[Element] = []
    n_visited = 0
    while name != output:
        following = consumers.get(name, [])
        if len(following) != 1:
            where = f"the tensor {name} is read by {len(following)} nodes"
            raise ModelError(f"{path}: {where}; only a chain without branches can be converted")
        node = Node.from_proto(following[0], name, constants)
        element, shape = parse_node(node, shape)
        if element is not None:
            elements.append(element)
        name = following[0].output[0]
        n_visited += 1
    if consumers.get(output):
        raise ModelError(f"{path}: the output {output} is also read inside the network")
    return elements


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
