"""Reads a struct of matrices from a Matlab file of version 5 to 7.

scipy's reader is not used: damaged files crash the process, and files of a few bytes ask it for any
amount of memory.

After a header of 128 bytes a file is a sequence of elements: a tag (type, number of bytes) and
data, padded to 8 bytes; up to 4 bytes of data stand in the tag itself. A matrix is an element that
holds elements: flags with its class, its dimensions, its name, and its content. A compressed
element holds one element. ("MAT-File Format", The MathWorks.)
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES, _TAG_BYTES, _LONGEST_IN_TAG = 128, 8, 4
_MATRIX, _COMPRESSED = 14, 15
_STRUCT, _DOUBLE, _STORED_DOUBLE, _COMPLEX = 2, 6, 9, 0x800
_CLASSES = {1: "a cell", 2: "a struct", 3: "an object", 4: "text", 5: "sparse"}
# numpy's types of the classes of numbers, and of the data that they are stored as.
_NUMBERS = {
    **{6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2"},
    **{12: "i4", 13: "u4", 14: "i8", 15: "u8"},
}
_STORED = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_BLOCK_BYTES = 1 << 20
# Matlab's names have no more characters; its matrices of labels have two dimensions.
_LONGEST_NAME, _MOST_SIZES = 63, 32
# What a compressed variable may expand to: more than an hour of DHP19's labels.
_LONGEST_BYTES = 1 << 27

Field = NDArray[Any] | str
"""A matrix, or what stands in its place."""


class Matlab73Error(ValueError):
    """A file of version 7.3, which is HDF5."""


def read_struct(path: Path, name: str) -> dict[str, Field] | None:
    """The fields of the struct ``name`` (1 x 1); None where the file has no such variable.

    Complex matrices are complex. The file is read as a whole. Raises OSError, and ValueError for
    damage and for files of other versions.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("no header of version 5")
    if content[124:126] in {b"\x00\x02", b"\x02\x00"}:
        raise Matlab73Error("version 7.3")
    for kind, data in _elements(memoryview(content)[_HEADER_BYTES:], order):
        inner = [(kind, data)] if kind != _COMPRESSED else _elements(_expanded(data), order)
        for kind_inside, matrix in inner:
            if kind_inside != _MATRIX:
                continue
            found = _Matrix.read(matrix, order)
            if found.number == _STRUCT and found.name == name:
                return found.fields()
    return None


@dataclass(frozen=True)
class _Matrix:
    """A matrix whose content has not been read. ``number``: of its class."""

    number: int
    is_complex: bool
    sizes: tuple[int, ...]
    name: str
    content: tuple[tuple[int, memoryview], ...]
    order: str

    @classmethod
    def read(cls, data: memoryview, order: str) -> "_Matrix":
        if not len(data):  # of an empty matrix nothing is stored
            return cls(_DOUBLE, False, (0, 0), "", ((_STORED_DOUBLE, data),), order)
        flags, sizes, name, *content = _elements(data, order)
        (bits,) = _numbers(flags, order)[:1].tolist() or [0]
        shape = tuple(int(size) for size in _numbers(sizes, order))
        if len(shape) > _MOST_SIZES:
            raise ValueError(f"a matrix of {len(shape)} dimensions")
        if any(size < 0 for size in shape):
            raise ValueError(f"a matrix of the sizes {list(shape)}")
        text = bytes(name[1][:_LONGEST_NAME]).decode("ascii", "replace")
        number = int(bits) & 0xFF
        return cls(number, bool(int(bits) & _COMPLEX), shape, text, tuple(content), order)

    def fields(self) -> dict[str, Field]:
        if math.prod(self.sizes) != 1:
            raise ValueError(f"{self.name} has the sizes {list(self.sizes)}, expected one struct")
        if len(self.content) < 2:
            raise ValueError(f"{self.name} has no names of fields")
        longest, names, *values = self.content
        (length,) = _numbers(longest, self.order)[:1].tolist() or [0]
        text = bytes(names[1])
        if int(length) < 1 or len(text) != int(length) * len(values):
            raise ValueError(f"{self.name} has {len(values)} fields and other names")
        parts = [text[at : at + int(length)] for at in range(0, len(text), int(length))]
        keys = [part.split(b"\0")[0].decode("ascii", "replace") for part in parts]
        return {
            key: _Matrix.read(data, self.order).values()
            for key, (kind, data) in zip(keys, values, strict=True)
            if kind == _MATRIX
        }

    def values(self) -> Field:
        kind = _NUMBERS.get(self.number)
        if kind is None:
            return _CLASSES.get(self.number, f"of class {self.number}")
        parts = [_numbers(part, self.order) for part in self.content[: 1 + self.is_complex]]
        n_entries = math.prod(self.sizes)
        if len(parts) != 1 + self.is_complex or any(len(part) != n_entries for part in parts):
            raise ValueError(f"a matrix {list(self.sizes)} with other numbers of entries")
        array = parts[0].astype(kind) if not self.is_complex else parts[0] + 1j * parts[1]
        return array.reshape(self.sizes, order="F")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, data) of the elements in ``data``; ValueError where one is cut off."""
    at = 0
    while at < len(data):
        if at + _TAG_BYTES > len(data):
            raise ValueError("it ends within an element")
        kind, n_bytes = struct.unpack(f"{order}II", data[at : at + _TAG_BYTES])
        begin = at + _TAG_BYTES
        at = begin + n_bytes
        if kind >> 16:  # in the tag
            kind, n_bytes, begin, at = kind & 0xFFFF, kind >> 16, begin - _LONGEST_IN_TAG, begin
            if n_bytes > _LONGEST_IN_TAG:
                raise ValueError("an element is longer than its tag")
        elif kind != _COMPRESSED:
            at += -n_bytes % 8
        if begin + n_bytes > len(data):
            raise ValueError("it ends within an element")
        yield kind, data[begin : begin + n_bytes]


def _numbers(element: tuple[int, memoryview], order: str) -> NDArray[Any]:
    kind, data = element
    stored = _STORED.get(kind)
    if stored is None:
        raise ValueError(f"numbers of the type {kind}")
    dtype = np.dtype(f"{order}{stored}")
    if len(data) % dtype.itemsize:
        raise ValueError("it ends within a number")
    return np.frombuffer(data, dtype)


def _expanded(data: memoryview) -> memoryview:
    """The compressed ``data`` in full; ValueError where that is more than ``_LONGEST_BYTES``."""
    stream = zlib.decompressobj()
    parts: list[bytes] = []
    n_bytes = 0
    rest: bytes | memoryview = data
    try:
        while rest and not stream.eof:
            parts.append(stream.decompress(rest, _BLOCK_BYTES))
            n_bytes += len(parts[-1])
            if n_bytes > _LONGEST_BYTES:
                raise ValueError(
                    f"a compressed variable of {len(data):,} bytes expands to more than"
                    f" {_LONGEST_BYTES:,}"
                )
            rest = stream.unconsumed_tail
        parts.append(stream.flush())
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not stream.eof:
        raise ValueError("it ends within a compressed variable")
    return memoryview(b"".join(parts))
