"""Checks that an HDF5 file is read from itself only and does not expand beyond its size."""

import mmap
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py

from ann2sdnn.support.files.bombs import check_expansion

# Texts of any length lie in heaps of the file: a head, then objects of (number, -, -, size).
_HEAP = b"GCOL\x01\0\0\0"  # long enough not to turn up in other values
_HEAD = struct.Struct("<8xQ")
_OBJECT = struct.Struct("<HHIQ")
_REFERENCE = struct.Struct("<IQI")  # of a text to its heap: length, address, number
# An object's head of the first version: messages, in blocks.
_MESSAGE = struct.Struct("<HH4x")  # kind, size
_CONTINUED, _BLOCK = 0x10, struct.Struct("<QQ")  # another block: place, size
_ATTRIBUTE, _ATTRIBUTE_HEAD = 0x0C, struct.Struct("<BxHHH")  # version, sizes of name and types
_NOTHING = -1  # the place of what was not written
_LENGTH_BYTES = 8  # of a size, in all that h5py writes
# Booleans are enumerations.
_TYPES = {h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM}


def check_h5(file: Any) -> None:
    """Raise ValueError for links to other files, and for data sets that are kept in other files or
    that declare more than the file can hold.

    Soft links are not followed here: what they name in the file is met on its own path.
    """
    groups, seen = [file], {_address(file)}
    while groups:
        group = groups.pop()
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"{where} is a link to another file, {link.filename}")
            if isinstance(link, h5py.SoftLink):
                continue
            item = group[name]
            address = _address(item)
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                _check_dataset(where, item)


def check_values(where: str, item: Any) -> None:
    """Raise ValueError for values of the attribute or data set ``item`` (h5py's low-level object)
    that are neither numbers nor texts, such as lists of any length, whose damage HDF5 does not
    survive, and for damaged texts of any length, on which it loops or takes gigabytes.
    """
    type_id = item.get_type()
    if type_id.get_class() not in _TYPES:
        raise ValueError(f"{where} holds neither numbers nor text")
    if type_id.get_class() != h5py.h5t.STRING or not type_id.is_variable_str():
        return
    file = h5py.h5i.get_file_id(item)
    if file.get_create_plist().get_sizes()[1] != _LENGTH_BYTES:
        raise ValueError(f"{where} is a text of a file whose sizes are not of 8 bytes")
    path = Path(file.name.decode())
    found = path.stat()
    _check_heaps(path, found.st_size, found.st_mtime_ns)
    with path.open("rb") as stream, _mapped(stream) as data:
        is_attribute = isinstance(item, h5py.h5a.AttrID)
        place = _attribute_place(item, data) if is_attribute else _data_set_place(item)
        _check_references(where, data, place, item.get_space().get_simple_extent_npoints())


def _mapped(stream: Any) -> mmap.mmap:
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


@lru_cache(maxsize=16)
def _check_heaps(path: Path, n_bytes: int, _mtime_ns: int) -> None:
    """Raise ValueError for a heap of texts whose objects do not fill it one behind the other.

    ``path`` has ``n_bytes``; a file that has changed is looked at again.
    """
    with path.open("rb") as stream, _mapped(stream) as data:
        end = 0
        at = data.find(_HEAP)
        while at >= 0:
            if at < end or at + _HEAD.size > n_bytes:
                raise ValueError("a heap of texts in another one, or cut off")
            end = at + _HEAD.unpack_from(data, at)[0]
            if end > n_bytes:
                raise ValueError("a heap of texts that is larger than the file")
            _check_objects(data, at + _HEAD.size, end)
            at = data.find(_HEAP, at + 1)


def _check_objects(data: mmap.mmap, at: int, end: int) -> None:
    while at + _OBJECT.size <= end:
        number, _, _, size = _OBJECT.unpack_from(data, at)
        # The number 0 stands for what is free, its head included.
        step = _OBJECT.size + -(-size // 8) * 8 if number else size
        if not _OBJECT.size <= step <= end - at:
            raise ValueError("a heap of texts with an object of a wrong size")
        at += step


def _check_references(where: str, data: mmap.mmap, place: int | None, count: int) -> None:
    """Raise ValueError for texts that are longer than the file; ``place``: of their references."""
    if place == _NOTHING:
        return
    if place is None or place + count * _REFERENCE.size > len(data):
        raise ValueError(f"{where} is a text whose place is not known")
    stored = data[place : place + count * _REFERENCE.size]
    if any(length > len(data) for length, _, _ in _REFERENCE.iter_unpack(stored)):
        raise ValueError(f"{where} holds a text that is longer than the file")


def _data_set_place(dataset: Any) -> int | None:
    """Where the values of a data set begin, ``_NOTHING`` where none was written."""
    if dataset.get_storage_size() == 0:
        return _NOTHING
    place = dataset.get_offset()
    return None if place is None else int(place)


def _attribute_place(attribute: Any, data: mmap.mmap) -> int | None:
    """Where the values of an attribute begin; None where its object's head is not of the first
    version, in which h5py writes, or is damaged.
    """
    at = h5py.h5o.get_info(attribute).addr
    if at + _MESSAGE.size * 2 > len(data) or data[at] != 1:
        return None
    (size,) = struct.unpack_from("<I", data, at + 8)
    blocks, seen = [(at + 16, size)], set[int]()
    while blocks:
        at, size = blocks.pop()
        if at in seen:
            return None
        seen.add(at)
        end = min(at + size, len(data))
        while at + _MESSAGE.size <= end:
            kind, size = _MESSAGE.unpack_from(data, at)
            at += _MESSAGE.size
            if at + size > end:
                return None
            if kind == _CONTINUED and size >= _BLOCK.size:
                blocks.append(_BLOCK.unpack_from(data, at))
            if kind == _ATTRIBUTE and size >= _ATTRIBUTE_HEAD.size:
                place = _place_in(attribute.name, data[at : at + size])
                if place is not None:
                    return int(at + place)
            at += size
    return None


def _place_in(name: bytes, message: bytes) -> int | None:
    """Where the values begin in the message of the attribute ``name``, None for another one's."""
    version, *sizes = _ATTRIBUTE_HEAD.unpack_from(message)
    unit = 8 if version == 1 else 1  # the parts before the values are padded to
    begin = _ATTRIBUTE_HEAD.size + (version == 3)
    found = message[begin : begin + sizes[0]].split(b"\0")[0]
    return begin + sum(-(-size // unit) * unit for size in sizes) if found == name else None


def _check_dataset(where: str, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{where} is kept in other files")
    if dataset.size is not None:  # as it is of an empty data space
        stored = min(dataset.id.get_storage_size(), dataset.file.id.get_filesize())
        check_expansion(where, int(dataset.size) * int(dataset.dtype.itemsize), stored)


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)
