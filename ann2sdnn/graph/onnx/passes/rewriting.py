"""Replaces nodes of a model, for passes that write it in another way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ann2sdnn.graph.onnx.fold import Constants

node = helper.make_node
# Nodes by the first output of the one that they replace.
Replaced = Mapping[str, Sequence[Any]]


def rewritten(model: Any, replaced: Replaced, constants: Mapping[str, NDArray[Any]]) -> Any:
    """A copy of ``model`` with nodes ``replaced`` and ``constants`` added."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes: list[Any] = []
    for one in copy.graph.node:
        nodes += replaced.get(one.output[0], [one])
    nodes = [onnx.NodeProto.FromString(one.SerializeToString()) for one in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items()
    )
    # Types and shapes of what is inside are no longer those of the file.
    del copy.graph.value_info[:]
    return copy


def attributes_of(one: Any, *names: str) -> dict[str, Any]:
    """The attributes of a node, of ``names`` those that it has; all without names."""
    return {
        a.name: helper.get_attribute_value(a) for a in one.attribute if not names or a.name in names
    }


def dequantised(
    values: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any] | None, axis: int = 0
) -> NDArray[np.float32]:
    """The numbers that integers stand for; scales and zero points are one, or one per ``axis``.

    Raises ValueError where they are another number.
    """
    numbers = values.astype(np.int64)
    if zero is not None:
        numbers = numbers - _along(axis, zero.astype(np.int64), values.shape)
    return np.asarray(
        numbers * _along(axis, np.asarray(scale, np.float32), values.shape), np.float32
    )


def _along(axis: int, values: NDArray[Any], dims: Sequence[int]) -> NDArray[Any]:
    if values.size == 1:
        return values.reshape(())
    if not -len(dims) <= axis < len(dims) or values.size != dims[axis]:
        raise ValueError(f"{values.size} scales or zero points for integers of shape {list(dims)}")
    shape = [1] * len(dims)
    shape[axis] = values.size
    return values.reshape(shape)


def optional(one: Any, index: int, constants: Constants | Mapping[str, NDArray[Any]]) -> Any:
    """The constant at input ``index``; None where it is left out or no constant."""
    name = one.input[index] if index < len(one.input) else ""
    return constants.get(name) if name else None
