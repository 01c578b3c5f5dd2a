"""Gives a network that takes channels last an input with channels first, as frames have them.

A network of values [N, K] that makes maps or a signal of them at once gets these as its input.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ann2sdnn.graph.onnx.file.axes import channel_axis, shaped_input
from ann2sdnn.graph.onnx.file.protos import array_of

# Nodes that leave the order of axes as it is, between an input and what shows it.
_PASSING = frozenset(
    ("Add", "Cast", "Clip", "DequantizeLinear", "Div", "Identity", "Mul", "QuantizeLinear", "Sub")
)
# They want channels first, so an input that reaches them has them so.
_CHANNELS_FIRST = frozenset(
    ("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GlobalAveragePool", "MaxPool")
)
_READ_SIGNALS = _CHANNELS_FIRST | {"Pad", "Reshape", "Unsqueeze"}
_MOST_COLOURS = 4
_TO_FIRST = {4: [0, 3, 1, 2], 3: [0, 2, 1]}
_TO_LAST = {4: [0, 2, 3, 1], 3: [0, 2, 1]}


def channels_first(model: Any) -> Any:
    """A copy of ``model`` whose one input is [N, C, H, W] or [N, C, L] if it was channels last.

    Pictures without channels, [N, H, W], get one. The model itself where nothing changes.
    """
    value = _input(model)
    if value is None:
        return model
    shaped = shaped_input(model, value)
    if shaped is not model:
        return channels_first(shaped)
    dims = value.type.tensor_type.shape.dim
    first, second = _first_telling(model, value.name)
    if len(dims) not in (3, 4) or first is None:
        return model
    channels = channel_axis(model, value.name, len(dims))
    sizes = [dim.dim_value for dim in dims]
    # A signal is also turned for a dense layer over its channels.
    is_signal = len(dims) == 3 and getattr(second, "op_type", "") not in _READ_SIGNALS
    if channels is not None:
        is_last = channels == len(dims) - 1
    else:
        is_last = not is_signal and _is_channels_last(first, sizes)
    if is_last:
        order = _TO_FIRST[len(dims)]
        turn = helper.make_node("Transpose", [], [], perm=_TO_LAST[len(dims)])
        return _with_input(model, value.name, [dims[axis] for axis in order], turn, {})
    if channels is None and len(dims) == 3 and _is_without_channels(first, sizes, model):
        one = onnx.TensorShapeProto.Dimension(dim_value=1)
        target = np.array([0, dims[1].dim_value, dims[2].dim_value], np.int64)
        name = f"{value.name}_without_channels"
        shaped = helper.make_node("Reshape", [name], [])
        return _with_input(model, value.name, [dims[0], one, *dims[1:]], shaped, {name: target})
    return model


def _input(model: Any) -> Any:
    """The one input of ``model`` with a shape; None where there is none."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1 or not inputs[0].type.tensor_type.HasField("shape"):
        return None
    return inputs[0]


def _first_telling(model: Any, name: str) -> tuple[Any, Any]:
    """The first two nodes after the input ``name`` that say something of its axes; or None."""
    telling: list[Any] = []
    while len(telling) < 2:
        readers = [node for node in model.graph.node if name in node.input]
        if len(readers) != 1:
            break
        if readers[0].op_type not in _PASSING:
            telling.append(readers[0])
        name = readers[0].output[0]
    first, second = [*telling, None, None][:2]
    return first, second


def _is_channels_last(node: Any, sizes: list[int]) -> bool:
    if node.op_type == "Transpose":
        return any(list(a.ints) == _TO_FIRST[len(sizes)] for a in node.attribute)
    # A picture that is flattened at once shows its order in its sizes only.
    if len(sizes) != 4 or node.op_type not in ("Flatten", "Reshape"):
        return False
    return 0 < sizes[3] <= _MOST_COLOURS < min(sizes[1:3])


def _is_without_channels(node: Any, sizes: list[int], model: Any) -> bool:
    """Whether [N, H, W] is flattened, or gets a channel, before anything else."""
    if min(sizes[1:]) < 1:
        return False
    if node.op_type == "Flatten":
        return True
    targets = {t.name: array_of(t) for t in model.graph.initializer}
    for other in model.graph.node:
        if other.op_type == "Constant":
            values = [a.t for a in other.attribute if a.HasField("t")]
            targets.update((other.output[0], array_of(t)) for t in values)
    given = targets.get(node.input[1]) if len(node.input) > 1 else None
    wanted = [] if given is None else [int(v) for v in np.ravel(given)]
    if node.op_type == "Unsqueeze":
        return (wanted or [v for a in node.attribute for v in a.ints]) == [1]
    channel = [1, *sizes[1:]]
    return node.op_type == "Reshape" and (len(wanted) == 2 or wanted[1:] == channel)


def _with_input(
    model: Any, name: str, dims: list[Any], turn: Any, constants: Mapping[str, Any]
) -> Any:
    """A copy whose input ``name`` has ``dims``; what read it reads what ``turn`` makes of it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    inner = f"{name}_as_in_the_file"
    for node in copy.graph.node:
        for index, source in enumerate(node.input):
            if source == name:
                node.input[index] = inner
    node = copy.graph.node.add()
    node.CopyFrom(turn)
    node.input.insert(0, name)
    node.output.append(inner)
    node.name = inner
    ordered = [node, *copy.graph.node[:-1]]
    ordered = [onnx.NodeProto.FromString(one.SerializeToString()) for one in ordered]
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    copy.graph.initializer.extend(
        numpy_helper.from_array(value, constant) for constant, value in constants.items()
    )
    for value in copy.graph.input:
        if value.name == name:
            shape = [
                onnx.TensorShapeProto.Dimension.FromString(d.SerializeToString()) for d in dims
            ]
            del value.type.tensor_type.shape.dim[:]
            value.type.tensor_type.shape.dim.extend(shape)
    return copy
