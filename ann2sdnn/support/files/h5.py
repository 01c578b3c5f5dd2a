"""HDF5 files of this project: writing them on a disk that may be full, reading them strictly."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.support.errors import Ann2SdnnError, ModelError
from ann2sdnn.support.files.h5_check import check_h5, check_values
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import write_error

# What h5py raises for damage, which depends on the damaged byte, and what ``H5Fields`` raises.
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, OverflowError)


class _Stream(io.FileIO):
    """The file that HDF5 writes into, which keeps what writing raises to itself.

    HDF5 that fails to write cannot close its file, and crashes when the process ends. So from the
    first failure on, what it writes is dropped; ``failure`` says what happened.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        try:
            while self.failure is None and len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            if self.failure is None:
                return super().truncate(size)
        except OSError as error:
            self.failure = error
        return size or 0


@contextmanager
def writing_h5(temporary: Path, path: Path) -> Iterator[h5py.File]:
    """Open ``temporary``, which is to become ``path``, for writing.

    Raises OutputError for a full disk, when the file is closed at the latest. Anything else that
    the block raises goes on, whatever closing the file then leads to.
    """
    try:
        with _Stream(str(temporary), "w+") as stream:
            file = h5py.File(stream, "w")
            try:
                yield file
            except BaseException as error:
                with suppress(OSError, RuntimeError):
                    file.close()
                # What is read back after a failure is not what was written.
                if stream.failure is not None and isinstance(error, DAMAGE):
                    raise stream.failure from error
                raise
            file.close()
            if stream.failure is not None:
                raise stream.failure
    except OSError as error:
        if error.filename is None:
            raise write_error(path, error) from error
        raise


@contextmanager
def reading_h5(
    path: Path, problem: str, advice: str, error: type[Ann2SdnnError] = ModelError
) -> Iterator[h5py.File]:
    """Open ``path`` for reading.

    Raises ``error`` for a Git LFS pointer, for what ``check_h5`` refuses, and for damage met in the
    block: "PATH ``problem`` (reason); ``advice``".
    """
    refuse_lfs_pointer(path, error)
    try:
        with h5py.File(path, "r") as file:
            check_h5(file)
            yield file
    except DAMAGE as damage:
        raise error(f"{path} {problem} ({reason(damage)}); {advice}") from damage


def values_of(dataset: Any) -> NDArray[Any]:
    """All values of a data set; ValueError for a group, and for what is neither number nor text."""
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name} is a group, expected a data set")
    check_values(str(dataset.name), dataset.id)
    return np.asarray(dataset[()])


@dataclass(frozen=True)
class H5Fields:
    """Attributes and data sets of one HDF5 group.

    Every method raises KeyError or ValueError, naming the group, for what is missing or of another
    type or shape, and for numbers that are not finite.
    """

    group: Any

    def has(self, name: str) -> bool:
        """Whether there is an attribute or a data set ``name``."""
        return name in self.group.attrs or name in self.group

    def integer(self, name: str, otherwise: int | None = None) -> int:
        """The attribute ``name``, or ``otherwise`` where there is none."""
        if otherwise is not None and name not in self.group.attrs:
            return otherwise
        (value,) = self.integers(name, 1)
        return value

    def integers(self, name: str, length: int | None = None) -> tuple[int, ...]:
        """The attribute ``name`` as ``length`` integers."""
        values = np.asarray(self._attribute(name))
        if values.dtype.kind not in "iu" or values.ndim > 1:
            raise self._unexpected(name, values, "integers")
        if length is not None and values.size != length:
            raise self._unexpected(name, values, f"{length} of them")
        return tuple(int(value) for value in values.reshape(-1))

    def number(self, name: str) -> float:
        """The attribute ``name`` as a finite number."""
        value = np.asarray(self._attribute(name))
        if value.dtype.kind not in "iuf" or value.size != 1 or not np.isfinite(value).all():
            raise self._unexpected(name, value, "a finite number")
        return float(value.reshape(-1)[0])

    def numbers(self, name: str) -> tuple[float, ...]:
        """The attribute ``name`` as finite numbers."""
        values = np.asarray(self._attribute(name))
        if values.dtype.kind not in "iuf" or values.ndim > 1 or not np.isfinite(values).all():
            raise self._unexpected(name, values, "finite numbers")
        return tuple(float(value) for value in values.reshape(-1))

    def flag(self, name: str, otherwise: bool | None = None) -> bool:
        """The attribute ``name`` as a truth value, or ``otherwise`` where there is none."""
        if otherwise is not None and name not in self.group.attrs:
            return otherwise
        value = np.asarray(self._attribute(name))
        if value.dtype.kind != "b" or value.size != 1:
            raise self._unexpected(name, value, "true or false")
        return bool(value.reshape(-1)[0])

    def text(self, name: str) -> str:
        """The attribute ``name``."""
        value = self._attribute(name)
        if not isinstance(value, str):
            raise self._unexpected(name, np.asarray(value), "a text")
        value.encode()  # h5py lets pass what is no UTF-8
        return value

    def array(self, name: str, kinds: str, n_axes: int | None = None) -> NDArray[Any]:
        """The data set ``name``, whose type is one of numpy's ``kinds``, finite, not empty."""
        dataset = self.group.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise KeyError(f"{self.group.name} has no data set {name}")
        if dataset.dtype.kind not in kinds or dataset.size in (0, None):
            raise self._unexpected(name, dataset, "numbers of another type")
        if n_axes is not None and dataset.ndim != n_axes:
            raise self._unexpected(name, dataset, f"{n_axes} axes")
        values = values_of(dataset)
        if values.dtype.kind in "iuf" and not np.isfinite(values).all():
            raise ValueError(f"{self.group.name}: {name} holds numbers that are not finite")
        return values

    def inner(self, name: str) -> "H5Fields | None":
        """The group ``name`` in this one, None where there is none."""
        if name not in self.group:
            return None
        inner = self.group[name]
        if not isinstance(inner, h5py.Group):
            raise ValueError(f"{inner.name} is a data set, expected a group")
        return H5Fields(inner)

    def _attribute(self, name: str) -> Any:
        if name not in self.group.attrs:
            raise KeyError(f"{self.group.name} has no attribute {name}")
        where = f"{self.group.name}: {name}"
        check_values(where, self.group.attrs.get_id(name))
        return self.group.attrs[name]

    def _unexpected(self, name: str, found: Any, expected: str) -> ValueError:
        return ValueError(
            f"{self.group.name}: {name} is {found.dtype} {list(found.shape or ())}, expected"
            f" {expected}"
        )


def reason(error: Exception) -> str:
    """What a reader says of ``error``: one line, without the quotes of a KeyError."""
    text = str(error.args[0]) if error.args and isinstance(error, KeyError) else str(error)
    return text.splitlines()[0] if text else type(error).__name__
