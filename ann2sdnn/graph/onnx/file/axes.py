"""Follows the axes of a network's input to where they show what they are."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ann2sdnn.graph.onnx.file.protos import array_of, domain_of

# Nodes that leave axes where they are.
_PASSING = frozenset(
    (
        *("Add", "Cast", "Clip", "DequantizeLinear", "Div", "Identity", "Mul", "Pad"),
        *("QuantizeLinear", "Relu", "Slice", "Sub"),
    )
)
# Nodes that want channels second.
_SECOND = frozenset(
    (
        *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GlobalAveragePool"),
        *("GlobalMaxPool", "MaxPool"),
    )
)
_MAPS = (3, 4)


def channel_axis(model: Any, name: str, rank: int) -> int | None:
    """Which axis of the input ``name`` arrives where channels are expected; None where none shows.

    Convolutions and poolings expect channels second, a product with a matrix expects them last.
    """
    constants = _constants(model)
    # For each axis of the tensor at hand the input's, None for one that was added.
    axes: list[int | None] = list(range(rank))
    for node in _chain(model, name):
        if domain_of(node):
            return None
        if node.op_type in _SECOND:
            return axes[1] if len(axes) > 1 else None
        if node.op_type == "MatMul":
            return axes[-1] if len(axes) in _MAPS else None
        moved = _moved(node, axes, constants)
        if moved is None:
            return None
        axes = moved
    return None


def _moved(
    node: Any, axes: list[int | None], constants: Mapping[str, NDArray[Any]]
) -> list[int | None] | None:
    """The axes after the node; None where they cannot be followed."""
    if node.op_type in _PASSING:
        return axes
    if node.op_type == "Transpose":
        order = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
        fits = sorted(order) == list(range(len(axes)))
        return [axes[axis] for axis in order] if fits else None
    if node.op_type in ("Squeeze", "Unsqueeze"):
        return _with_axes(node, axes, _numbers(node, "axes", constants))
    return None


def _with_axes(
    node: Any, axes: list[int | None], named: list[int] | None
) -> list[int | None] | None:
    """The axes with those ``named`` added or removed."""
    rank = len(axes) + (len(named or ()) if node.op_type == "Unsqueeze" else 0)
    if named is None or not all(-rank <= axis < rank for axis in named):
        return None
    places = sorted(axis % rank for axis in named)
    if node.op_type == "Squeeze":
        fits = all(axes[place] is None for place in places)
        return [axis for place, axis in enumerate(axes) if place not in places] if fits else None
    added = list(axes)
    for place in places:
        added.insert(place, None)
    return added


def shaped_input(model: Any, value: Any) -> Any:
    """A copy of ``model`` whose input ``value`` [N, K] has the shape that it is given at once.

    The model itself where it is given none, or one in which K is still the second axis.
    """
    dims = value.type.tensor_type.shape.dim
    n_values = dims[1].dim_value if len(dims) == 2 else 0
    if n_values < 1:
        return model
    constants = _constants(model)
    shape, reshaping = [0, n_values], []
    for node in _chain(model, value.name):
        after = _reshaped(node, shape, constants)
        if after is None:
            break
        shape = after
        reshaping.append(node.output[0])
    taken = {one.name for one in model.graph.output}
    # Sizes that the network computes with are those of the file.
    taken.update(node.input[0] for node in model.graph.node if node.op_type == "Shape")
    if len(shape) not in _MAPS or shape[1] == n_values:
        return model
    if not taken.isdisjoint([value.name, *reshaping]):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [node for node in copy.graph.node if node.output[0] not in reshaping]
    for node in kept:
        for index, source in enumerate(node.input):
            if source == reshaping[-1]:
                node.input[index] = value.name
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    (own,) = (one for one in copy.graph.input if one.name == value.name)
    batch = onnx.TensorShapeProto.Dimension.FromString(dims[0].SerializeToString())
    sizes = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in shape[1:]]
    del own.type.tensor_type.shape.dim[:]
    own.type.tensor_type.shape.dim.extend([batch, *sizes])
    return copy


def _reshaped(
    node: Any, shape: Sequence[int], constants: Mapping[str, NDArray[Any]]
) -> list[int] | None:
    """The shape after the node, its batch 0; None where it is no reshape that keeps the batch."""
    if domain_of(node):
        return None
    if node.op_type == "Reshape":
        target = _numbers(node, "shape", constants)
        if not target or target[0] not in (-1, 0, 1) or 0 in target[1:]:
            return None
        n_values, rest = prod(shape[1:]), target[1:]
        if -1 in rest and target[0] != -1:
            missing = -prod(rest)
            rest = [n_values // missing if size == -1 and missing > 0 else size for size in rest]
        return [0, *rest] if prod(rest) == n_values and min(rest, default=0) > 0 else None
    if node.op_type == "Unsqueeze":
        axes = _numbers(node, "axes", constants)
        rank = len(shape) + len(axes or ())
        if not axes or not all(-rank <= axis < rank for axis in axes):
            return None
        after = list(shape)
        for place in sorted(axis % rank for axis in axes):
            after.insert(place, 1)
        return after if after[0] == 0 else None
    return None


def _numbers(node: Any, attribute: str, constants: Mapping[str, NDArray[Any]]) -> list[int] | None:
    """An attribute that later opsets have as the second input; None where it is neither."""
    for one in node.attribute:
        if one.name == attribute:
            return list(one.ints)
    given = constants.get(node.input[1]) if len(node.input) > 1 else None
    return None if given is None else [int(v) for v in np.ravel(given)]


def _chain(model: Any, name: str) -> Iterator[Any]:
    """The nodes that read ``name`` and what comes of it, while one node reads each tensor.

    A Shape reads no values.
    """
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for source in set(node.input) if node.op_type != "Shape" else ():
            readers.setdefault(source, []).append(node)
    while len(readers.get(name, ())) == 1:
        (node,) = readers[name]
        if node.input[0] == name or node.op_type in ("Add", "Mul", "Sub"):
            yield node
        else:
            return
        name = node.output[0]


def _constants(model: Any) -> dict[str, NDArray[Any]]:
    """Small constants of the file by name, and names of the large ones."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                tensors[node.output[0]] = attribute.t
    return {
        name: array_of(t) if t.data_type == onnx.TensorProto.INT64 else np.zeros(0)
        for name, t in tensors.items()
    }
