"""Moves weights that an ONNX file keeps in other files into the model.

External data may lie only in the ONNX file's own folder or below it.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from onnx import TensorProto, helper

from ann2sdnn.graph.onnx.file.protos import inner_graphs
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer

# Protobuf's own limit of one message.
MAX_BYTES = 2**31 - 1

# More characters of a damaged value than this say no more; more digits are no number of bytes.
_SHOWN, _DIGITS = 80, 20

# Bits per element where a byte holds several; onnx versions name different sets of types.
_PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}


def embed_external_data(model: Any, path: Path) -> bool:
    """Read the external tensors of ``model`` (read from ``path``) into it; whether there were any.

    Raises ModelError for data that is missing, too short, or outside the folder of ``path``, and
    for more than 2 GB in all.
    """
    external = [t for t in _tensors(model) if t.data_location == TensorProto.EXTERNAL]
    total = sum(_n_bytes(tensor, path) for tensor in external)
    if total + model.ByteSize() > MAX_BYTES:
        raise ModelError(
            f"{path} has {total / 1e9:.1f} GB of weights; an ONNX file with its weights inside"
            " holds at most 2 GB, and only such a network can be converted"
        )
    for tensor in external:
        tensor.raw_data = _read(tensor, path)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    return bool(external)


def _tensors(model: Any) -> Iterator[Any]:
    """Every tensor of the model: initializers and attributes, subgraphs and functions included."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in inner_graphs(attribute):
                yield from _graph_tensors(graph)


def _n_bytes(tensor: Any, path: Path) -> int:
    """Bytes that the tensor's shape and type ask for."""
    if any(size < 0 for size in tensor.dims):
        raise ModelError(f"{path}: the tensor {tensor.name} has the shape {list(tensor.dims)}")
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
        size = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{path}: the tensor {tensor.name} has the unknown data type {tensor.data_type}"
        ) from None
    n_bits: int = prod(tensor.dims) * _PACKED_BITS.get(name, 8 * size)
    return -(-n_bits // 8)


def _read(tensor: Any, path: Path) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    source = _confined(entries.get("location", ""), tensor.name, path)
    refuse_lfs_pointer(source, ModelError)
    needed = _n_bytes(tensor, path)
    offset, length = (
        _number(entries.get(what, str(default)), what, tensor.name, path)
        for what, default in (("offset", 0), ("length", needed))
    )
    if length != needed:
        raise ModelError(
            f"{path}: the tensor {tensor.name} has {length} bytes of external data, its shape"
            f" {list(tensor.dims)} needs {needed}; export the network again"
        )
    try:
        available = source.stat().st_size
        if offset + length > available:
            raise ModelError(
                f"{source} has {available} bytes, the tensor {tensor.name} of {path} ends at byte"
                f" {offset + length}; copy the file again, it belongs to another network or is cut"
            )
        with source.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)
    except OSError as error:
        raise ModelError(f"{source}, the weights of {path}, cannot be read: {error}") from error


def _confined(location: str, tensor: str, path: Path) -> Path:
    """The file that ``location`` names, which must lie in the folder of ``path``."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    escapes = posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts
    if not location or escapes or "\0" in location:
        raise ModelError(
            f"{path}: the tensor {tensor} is kept in {location!r}; external data must lie in the"
            " folder of the ONNX file, so export the network again or put its weights inside"
        )
    source = path.parent / location
    try:
        source.stat()
    except FileNotFoundError:
        raise ModelError(
            f"{source} is missing; {path} keeps its weights in it (tensor {tensor}), so copy both"
        ) from None
    except OSError as error:
        raise ModelError(
            f"{path}: {location[:_SHOWN]}, the file of the tensor {tensor}, cannot be read:"
            f" {error.strerror}"
        ) from error
    if not source.resolve().is_relative_to(path.parent.resolve()):
        raise ModelError(
            f"{source}, the weights of {path}, is a link out of that folder; copy the file itself"
            " into it"
        )
    if not source.is_file():
        raise ModelError(f"{source}, named by {path} as its weights, is not a file")
    return source


def _number(text: str, what: str, tensor: str, path: Path) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ModelError(
            f"{path}: the external data of the tensor {tensor} has the {what} {text[:_SHOWN]!r};"
            " expected a number of bytes"
        )
    return int(text)
