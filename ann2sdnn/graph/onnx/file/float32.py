"""Turns networks in other float types into float32, in which the graph computes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ann2sdnn.graph.onnx.file.protos import array_of

_OTHER = frozenset((TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE))


def in_float32(model: Any) -> Any:
    """A copy of ``model`` that computes in float32; the model itself where it does.

    An input of another float type becomes float32, and so does one of uint8 that is only cast. The
    weights' values stay, those of float64 are rounded.
    """
    pixels = [value for value in model.graph.input if _is_cast_pixels(model, value)]
    types = {tensor.data_type for tensor in _tensors(model)}
    types |= {kind.elem_type for kind in _types(model.graph)}
    types |= {attribute.i for attribute in _casts(model)}
    if not pixels and types.isdisjoint(_OTHER):
        return model
    names = {value.name for value in pixels}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in _tensors(copy):
        if tensor.data_type in _OTHER:
            values = np.asarray(array_of(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for kind in _types(copy.graph):
        if kind.elem_type in _OTHER:
            kind.elem_type = TensorProto.FLOAT
    for value in copy.graph.input:
        if value.name in names:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for attribute in _casts(copy):
        if attribute.i in _OTHER:
            attribute.i = TensorProto.FLOAT
    return copy


def _is_cast_pixels(model: Any, value: Any) -> bool:
    if value.type.tensor_type.elem_type != TensorProto.UINT8:
        return False
    readers = [node for node in model.graph.node if value.name in node.input]
    return bool(readers) and all(node.op_type == "Cast" for node in readers)


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _types(graph: Any) -> Iterator[Any]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.type.tensor_type


def _casts(model: Any) -> Iterator[Any]:
    for node in model.graph.node:
        if node.op_type == "Cast":
            yield from (attribute for attribute in node.attribute if attribute.name == "to")
