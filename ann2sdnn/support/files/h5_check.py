"""Checks that an HDF5 file is read from itself only and does not expand beyond its size."""

from typing import Any

import h5py

from ann2sdnn.support.files.bombs import check_expansion

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


def check_type(where: str, type_id: Any) -> None:
    """Raise ValueError for values that are neither numbers nor texts, such as lists of any length,
    whose damage HDF5 does not survive.
    """
    if type_id.get_class() not in _TYPES:
        raise ValueError(f"{where} holds neither numbers nor text")


def _check_dataset(where: str, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{where} is kept in other files")
    if dataset.size is not None:  # as it is of an empty data space
        stored = min(dataset.id.get_storage_size(), dataset.file.id.get_filesize())
        check_expansion(where, int(dataset.size) * int(dataset.dtype.itemsize), stored)


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)
