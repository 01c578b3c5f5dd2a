"""Reads the ONNX operators that change no value, such as Flatten, and Dropout at inference."""

from dataclasses import replace
from math import prod

from onnx import TensorProto

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.onnx.operators.node import Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import Support, operator

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_NOTHING = "nothing"


@operator("Flatten", "axis", keeps_values=True, support=Support(_NOTHING, "axis 1"))
def _flatten(node: Node, data: Data) -> Parsed:
    dims = data.dims
    axis = int(node.attributes.get("axis", 1))
    if not -len(dims) <= axis <= len(dims):
        raise node.error(f"axis = {axis} for {len(dims)} axes; flatten from axis 1")
    axis += len(dims) if axis < 0 else 0
    if axis != 1 and (prod(dims[:axis]), prod(dims[axis:])) != (dims[0], prod(dims[1:])):
        raise node.error(f"axis = {axis}; only axis 1 keeps the batch by itself")
    return None, data.flattened()


@operator(
    "Reshape",
    "allowzero shape",
    keeps_values=True,
    support=Support(_NOTHING, "only joins axes, or adds and removes axes of size 1"),
)
def _reshape(node: Node, data: Data) -> Parsed:
    target = _target(node, data.dims)
    after = data.regrouped(target)
    if after is None:
        flat = data.flattened().dims
        if data.shape[1:] == (1, 1) and len(target) > 2:
            raise node.error(
                f"it makes maps {target} of {list(data.dims)}, the values of a dense layer; write"
                " that layer as ConvTranspose2d over maps of 1x1 with a kernel of the maps' size"
            )
        raise node.error(
            f"it reshapes {list(data.dims)} to {target}; only a reshape to {list(flat)}, which"
            " flattens, can be converted"
        )
    return None, after


def _target(node: Node, dims: tuple[int, ...]) -> list[int]:
    """The shape that a Reshape of ``dims`` asks for, its 0 and -1 filled in."""
    target = node.integers(1, "target shape")
    if not node.flag("allowzero"):
        if any(size == 0 for size in target[len(dims) :]):
            raise node.error(f"its target shape {target} copies an axis that its input lacks")
        target = [dims[i] if size == 0 else size for i, size in enumerate(target)]
    if target.count(-1) == 1:
        rest = -prod(target)
        if rest > 0 and prod(dims) % rest == 0:
            target[target.index(-1)] = prod(dims) // rest
    if prod(target) != prod(dims) or any(size < 0 for size in target):
        raise node.error(f"{list(dims)} does not fit its target shape {target}")
    return target


@operator(
    "Transpose", "perm", keeps_values=True, support=Support(_NOTHING, "the batch stays first")
)
def _transpose(node: Node, data: Data) -> Parsed:
    rank = len(data.axes)
    order = [int(axis) for axis in node.attributes.get("perm", range(rank)[::-1])]
    if sorted(order) != list(range(rank)):
        raise node.error(f"perm = {order} for {rank} axes; export the network again")
    after = replace(data, axes=tuple(data.axes[axis] for axis in order))
    if data.batch > 1 and order[0] != 0:
        raise node.error(f"perm = {order}; only the axes after the batch can change places")
    return None, after


@operator("Squeeze", "axes", keeps_values=True, support=Support(_NOTHING))
def _squeeze(node: Node, data: Data) -> Parsed:
    dims = data.dims
    axes = _axes(node, len(dims)) or [axis for axis, size in enumerate(dims) if size == 1]
    if any(dims[axis] != 1 for axis in axes):
        raise node.error(f"it removes the axes {axes} of {list(dims)}; expected axes of size 1")
    left = tuple(axis for index, axis in enumerate(data.held) if index not in axes)
    return None, replace(data, axes=left)


@operator("Unsqueeze", "axes", keeps_values=True, support=Support(_NOTHING))
def _unsqueeze(node: Node, data: Data) -> Parsed:
    added = node.attributes.get("axes")
    n_added = len(node.integers(1, "axes")) if added is None else len(added)
    axes = list(data.held)
    for position in sorted(_axes(node, len(axes) + n_added)):
        axes.insert(position, ())
    return None, replace(data, axes=tuple(axes))


def _axes(node: Node, rank: int) -> list[int]:
    """The axes of a node, an attribute before opset 13, an input after; none where left out."""
    if "axes" in node.attributes:
        axes = [int(axis) for axis in node.attributes["axes"]]
    elif len(node.constants) > 1 and node.constants[1] is not None:
        axes = node.integers(1, "axes")
    else:
        axes = []
    if any(not -rank <= axis < rank for axis in axes):
        raise node.error(f"axes = {axes} for {rank} axes; export the network again")
    return [axis % rank for axis in axes]


@operator("Identity", keeps_values=True, support=Support(_NOTHING))
def _identity(node: Node, data: Data) -> Parsed:
    return None, data


@operator(
    "Dropout", "is_test ratio seed", keeps_values=True, support=Support(_NOTHING, "evaluation mode")
)
def _dropout(node: Node, data: Data) -> Parsed:
    training = node.constants[2] if len(node.constants) > 2 else None
    if training is not None and training.any():
        raise node.error("training_mode is on; export the network in evaluation mode")
    return None, data


@operator(
    "Cast",
    "saturate to",
    keeps_values=True,
    support=Support(_NOTHING, "between float types; all are computed in float32"),
)
def _cast(node: Node, data: Data) -> Parsed:
    if node.attributes.get("to") not in _FLOATS:
        raise node.error("it casts to a type that is no float; export the network in float32")
    return None, data
