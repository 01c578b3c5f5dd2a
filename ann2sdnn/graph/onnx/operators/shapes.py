"""Reads the ONNX operators that change no value, such as Flatten, and Dropout at inference."""

from dataclasses import replace
from math import prod

from onnx import TensorProto

from ann2sdnn.graph.onnx.operators.node import Data, Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import operator


@operator("Flatten", "axis", keeps_values=True)
def _flatten(node: Node, data: Data) -> Parsed:
    dims = data.dims
    axis = int(node.attributes.get("axis", 1))
    if not -len(dims) <= axis <= len(dims):
        raise node.error(f"axis = {axis} for {len(dims)} axes")
    axis += len(dims) if axis < 0 else 0
    if axis != 1 and (prod(dims[:axis]), prod(dims[axis:])) != (dims[0], prod(dims[1:])):
        raise node.error(f"axis = {axis}; only axis 1 keeps the batch apart")
    return None, replace(data, flat=True)


@operator("Reshape", "allowzero", keeps_values=True)
def _reshape(node: Node, data: Data) -> Parsed:
    target = _target(node, data.dims)
    flat = replace(data, flat=True)
    for after in (data, flat, replace(data, flat=False)):
        if target == list(after.dims):
            return None, after
    raise node.error(
        f"it reshapes {list(data.dims)} to {target}; only a reshape to {list(flat.dims)}, which"
        " flattens, can be converted"
    )


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


@operator("Identity", keeps_values=True)
def _identity(node: Node, data: Data) -> Parsed:
    return None, data


@operator("Dropout", "ratio seed", keeps_values=True)
def _dropout(node: Node, data: Data) -> Parsed:
    training = node.constants[2] if len(node.constants) > 2 else None
    if training is not None and training.any():
        raise node.error("training_mode is on; export the network in evaluation mode")
    return None, data


@operator("Cast", "saturate to", keeps_values=True)
def _cast(node: Node, data: Data) -> Parsed:
    if node.attributes.get("to") != TensorProto.FLOAT:
        raise node.error("it casts to a type other than float32; export the network in float32")
    return None, data
