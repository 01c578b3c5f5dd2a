"""Checks that a Matlab file of version 5 to 7 declares no more than its bytes can hold.

scipy makes room for the entries of cells, structs and objects before it reads them, so a few bytes
could ask for any amount of memory. An element is a tag (type, number of bytes) and its data, padded
to 8 bytes; short data stands in the tag. A matrix holds elements: flags with the class, dimensions,
name, and its parts. A compressed element holds one element.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ann2sdnn.support.files.bombs import check_expansion

_HEADER_BYTES, _TAG_BYTES = 128, 8
_MATRIX, _COMPRESSED = 14, 15
_CONTAINERS = {1: "a cell", 2: "a struct", 3: "an object"}
_DEEPEST = 32


def check_mat(path: Path) -> None:
    """Raise ValueError for a file that declares more than it holds, or that is nested deeply.

    What is otherwise damaged, or of another version, is left to the reader. The file is read as a
    whole, as scipy does.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is not None:
        _check_elements(memoryview(content)[_HEADER_BYTES:], order, 0)


def _check_elements(data: memoryview, order: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    for kind, inner in _elements(data, order):
        if kind == _COMPRESSED:
            _check_elements(_expanded(inner), order, depth + 1)
        elif kind == _MATRIX:
            _check_matrix(inner, order, depth)


def _check_matrix(data: memoryview, order: str, depth: int) -> None:
    parts = _elements(data, order)
    flags = next(parts, (0, memoryview(b"")))[1]
    sizes = next(parts, (0, memoryview(b"")))[1]
    if len(flags) < 4:
        return  # an empty matrix
    container = _CONTAINERS.get(struct.unpack(f"{order}I", flags[:4])[0] & 0xFF)
    if container is None:
        return
    n_sizes = len(sizes) // 4
    entries = math.prod(struct.unpack(f"{order}{n_sizes}i", sizes[: 4 * n_sizes]))
    if not 0 <= entries <= len(data) // _TAG_BYTES:
        raise ValueError(f"{container} declares {entries:,} entries in {len(data):,} bytes")
    _check_elements(data, order, depth + 1)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, data) of the elements in ``data``, up to the first that is cut off."""
    at = 0
    while at + _TAG_BYTES <= len(data):
        kind, n_bytes = struct.unpack(f"{order}II", data[at : at + _TAG_BYTES])
        if kind >> 16:  # short data, in the tag itself
            yield kind & 0xFFFF, data[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += _TAG_BYTES
            continue
        begin = at + _TAG_BYTES
        yield kind, data[begin : begin + n_bytes]
        at = begin + n_bytes
        if kind != _COMPRESSED:
            at += -n_bytes % 8


def _expanded(data: memoryview) -> memoryview:
    """The compressed ``data`` in full, or as much as is whole."""
    stream = zlib.decompressobj()
    parts, n_bytes = [], 0
    rest: bytes | memoryview = data
    while rest and not stream.eof:
        try:
            part = stream.decompress(rest, 1 << 20)
        except zlib.error:
            break
        n_bytes += len(part)
        check_expansion("a compressed element", n_bytes, len(data))
        parts.append(part)
        rest = stream.unconsumed_tail
    with suppress(zlib.error):
        parts.append(stream.flush())  # less than one repetition
    return memoryview(b"".join(parts))
