"""Arrays in numpy's files: ``.npy``, ``.npz``, and folders of them.

A ``.npy`` file holds frames [T, C, H, W], [T, H, W] or [T, H, W, C]; labels may lie beside it, in
``NAME.labels.npy``. A ``.npz`` file holds ``frames`` and, optionally, ``labels`` and ``lengths``,
the number of frames of each sequence. A folder is one sequence per file, or several where ``.npz``
files say so.
"""

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.files.label_files import sequence_bounds, targets_of
from ann2sdnn.data.sources.files.layout import ArrayOptions, ArrayReader, Layout, form_of
from ann2sdnn.data.sources.files.listing import files_in, on_side, sequence_names
from ann2sdnn.data.sources.files.stored import FrameReader, StoredFrames, stored
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.data.sources.labels import Targets
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.bombs import check_expansion
from ann2sdnn.support.files.lfs import refuse_lfs_pointer

SUFFIXES = (".npy", ".npz")
LABELS_SUFFIX = ".labels.npy"
FRAMES, LABELS, LENGTHS = "frames", "labels", "lengths"

# What numpy and zipfile raise for damage, which depends on the damaged byte.
_DAMAGE = (
    *(OSError, ValueError, EOFError, KeyError, SyntaxError, RuntimeError, OverflowError),
    *(MemoryError, TypeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(struct.error, TokenError),
)
_SHOWN = 200  # characters of a reason


@dataclass(frozen=True)
class NpyReader(ArrayReader):
    """The array of a ``.npy`` file, mapped chunk by chunk."""

    def read(self, start: int, stop: int, n_frames: int) -> Iterator[FrameArray]:
        """See ``FrameReader``."""
        for first in range(start, stop, n_frames):
            # Mapped for each chunk, so that pages that were read do not stay with the process.
            mapped = _mapped(self.path)
            yield self.form.frames(mapped[first : min(first + n_frames, stop)])


@dataclass(frozen=True)
class NpzReader(ArrayReader):
    """The array ``frames`` of a ``.npz`` file, compressed or not, read as a stream."""

    stored_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, start: int, stop: int, n_frames: int) -> Iterator[FrameArray]:
        """See ``FrameReader``."""
        frame_bytes = int(np.prod(self.stored_shape[1:])) * self.dtype.itemsize
        with _frames_member(self.path) as member:
            _header(member)
            member.seek(start * frame_bytes, 1)
            for first in range(start, stop, n_frames):
                wanted = min(n_frames, stop - first)
                data = member.read(wanted * frame_bytes)
                if len(data) < wanted * frame_bytes:
                    raise EOFError(f"it ends in frame {first + len(data) // frame_bytes}")
                block = np.frombuffer(data, self.dtype)
                yield self.form.frames(block.reshape(wanted, *self.stored_shape[1:]))


@dataclass(frozen=True)
class ArraySource:
    """``.npy`` and ``.npz`` files, and folders of them."""

    name: str = "array files"
    options: tuple[type[SourceOptions], ...] = (ArrayOptions,)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is such a file, or a folder that holds one."""
        return bool(_frame_files(path))

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files, those of labels too, and the folder."""
        files = files_in(path, SUFFIXES)
        beside = [_labels_beside(file) for file in files if file.suffix == ".npy"]
        return (path, *files, *(file for file in beside if file.is_file() and file not in files))

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[StoredFrames, ...]:
        """Sequences in natural order of the files' names, and as they lie in a file."""
        layout = options.layout if isinstance(options, ArrayOptions) else "auto"
        files = _frame_files(path)
        sequences: list[StoredFrames] = []
        for file, name in zip(files, sequence_names(files), strict=True):
            sequences += _sequences(file, name, layout)
        return on_side(sequences, split)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """None."""
        return ()


def _frame_files(path: Path) -> tuple[Path, ...]:
    return tuple(file for file in files_in(path, SUFFIXES) if not _holds_labels(file))


def _holds_labels(file: Path) -> bool:
    return file.name.endswith(LABELS_SUFFIX)


def _labels_beside(file: Path) -> Path:
    return file.with_name(file.stem + LABELS_SUFFIX)


def _sequences(file: Path, name: str, layout: Layout) -> list[StoredFrames]:
    refuse_lfs_pointer(file, DataError)
    reader: FrameReader
    if file.suffix.lower() == ".npy":
        array = _mapped(file)
        reader = NpyReader(file, form_of(array.shape, array.dtype, layout, str(file)))
        labels, lengths = _labels_of_npy(file, reader.n_frames), None
    else:
        reader, labels, lengths = _opened_npz(file, layout)
    bounds = sequence_bounds(lengths, reader.n_frames, f"{file}: {LENGTHS}")
    names = [name] if lengths is None else [f"{name} {number}" for number in range(len(bounds))]
    return [stored(reader, *each, labels) for each in zip(names, bounds, strict=True)]


def _labels_of_npy(file: Path, n_frames: int) -> Targets | None:
    beside = _labels_beside(file)
    if not beside.is_file():
        return None
    refuse_lfs_pointer(beside, DataError)
    return targets_of(np.array(_mapped(beside)), n_frames, str(beside))


def _opened_npz(
    file: Path, layout: Layout
) -> tuple[NpzReader, Targets | None, NDArray[Any] | None]:
    """The reader, labels and lengths."""
    with _reading(file), np.load(file, allow_pickle=False) as arrays:
        _check_members(file)
        names = set(arrays.files)
        labels = np.array(arrays[LABELS]) if LABELS in names else None
        lengths = np.array(arrays[LENGTHS]) if LENGTHS in names else None
    if FRAMES not in names:
        raise DataError(
            f"{file} holds {', '.join(sorted(names)) or 'nothing'}; expected an array {FRAMES}:"
            f" numpy.savez(path, {FRAMES}=array)"
        )
    with _frames_member(file) as member:
        shape, is_fortran, dtype = _header(member)
    where = f"{file}: {FRAMES}"
    if is_fortran:
        raise DataError(
            f"{where} is stored column by column; expected row by row: numpy.savez(path,"
            f" {FRAMES}=numpy.ascontiguousarray(array))"
        )
    reader = NpzReader(file, form_of(shape, dtype, layout, where), shape, dtype)
    targets = None
    if labels is not None:
        targets = targets_of(labels, reader.n_frames, f"{file}: {LABELS}")
    return reader, targets, lengths


@contextmanager
def _frames_member(path: Path) -> Iterator[BinaryIO]:
    """The array ``frames`` of a ``.npz`` file as an open file; damage becomes a DataError."""
    with (
        _reading(path),
        zipfile.ZipFile(path) as archive,
        archive.open(f"{FRAMES}.npy") as member,
    ):
        yield cast("BinaryIO", member)


def _check_members(path: Path) -> None:
    """Raise ValueError for an array that declares more than the file can hold."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")  # numpy reads members without it, too
            if name not in {FRAMES, LABELS, LENGTHS}:
                continue
            stored = min(info.compress_size, path.stat().st_size)
            check_expansion(name, info.file_size, stored)
            with archive.open(info) as member:
                shape, _, dtype = _header(cast("BinaryIO", member))
            if any(size < 0 for size in shape):
                raise ValueError(f"{name} has the sizes {list(shape)}")
            declared = math.prod(shape) * max(1, dtype.itemsize)
            if declared > info.file_size:
                raise ValueError(
                    f"{name} declares {declared:,} bytes and the file holds {info.file_size:,}"
                )


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is stored column by column, and type of the array that follows."""
    headers: Any = np.lib.format  # whose functions have no types in some versions
    is_first = headers.read_magic(stream) == (1, 0)
    read = headers.read_array_header_1_0 if is_first else headers.read_array_header_2_0
    shape, is_fortran, dtype = read(stream)
    return tuple(map(int, shape)), bool(is_fortran), np.dtype(dtype)


def _mapped(path: Path) -> NDArray[Any]:
    """The array of a ``.npy`` file, without reading it."""
    with _reading(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an archive of arrays")
        return array


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Damage met in the block becomes a DataError."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; name a file or folder that does") from error
    except _DAMAGE as damage:
        reason = (str(damage) or type(damage).__name__).splitlines()[0][:_SHOWN]
        raise DataError(
            f"{path} cannot be read as numpy's file of arrays ({reason.rstrip('.')}); it may be"
            " truncated, so copy or write it again"
        ) from damage
