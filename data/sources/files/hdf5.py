"""Arrays in HDF5 files: one data set of frames, and optionally labels and lengths beside it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.files.array_files import FRAMES, LABELS, LENGTHS
from ann2sdnn.data.sources.files.label_files import sequence_bounds, targets_of
from ann2sdnn.data.sources.files.layout import ArrayOptions, ArrayReader, form_of
from ann2sdnn.data.sources.files.listing import files_in, on_side, sequence_names
from ann2sdnn.data.sources.files.stored import StoredFrames, stored
from ann2sdnn.data.sources.frames import FrameArray
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.options.fields import free

SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class Hdf5Options(ArrayOptions):
    """Which data set, and how its axes are read."""

    dataset: str = free(FRAMES, option="--dataset")
    """Data set of an HDF5 file that holds the frames, such as group/frames."""


@dataclass(frozen=True)
class Hdf5Reader(ArrayReader):
    """A data set, read in slices."""

    dataset: str

    def read(self, start: int, stop: int, n_frames: int) -> Iterator[FrameArray]:
        """See ``FrameReader``."""
        with _file(self.path) as file:
            for first in range(start, stop, n_frames):
                block = np.asarray(file[self.dataset][first : min(first + n_frames, stop)])
                yield self.form.frames(block)


@dataclass(frozen=True)
class Hdf5Source:
    """HDF5 files (``.h5``, ``.hdf5``) and folders of them, but for DHP19 recordings."""

    name: str = "HDF5 files"
    options: tuple[type[SourceOptions], ...] = (Hdf5Options, ArrayOptions)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is such a file, or a folder that holds one."""
        return bool(files_in(path, SUFFIXES))

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files, and the folder."""
        return (path, *files_in(path, SUFFIXES))

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[StoredFrames, ...]:
        """Sequences in natural order of the files' names, and as they lie in a file."""
        layout = options.layout if isinstance(options, ArrayOptions) else "auto"
        chosen = options if isinstance(options, Hdf5Options) else Hdf5Options(layout)
        files = files_in(path, SUFFIXES)
        sequences: list[StoredFrames] = []
        for file, name in zip(files, sequence_names(files), strict=True):
            sequences += _sequences(file, name, chosen)
        return on_side(sequences, split)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """None."""
        return ()


def _sequences(path: Path, name: str, options: Hdf5Options) -> list[StoredFrames]:
    import h5py

    with _file(path) as file:
        dataset = file.get(options.dataset)
        if not isinstance(dataset, h5py.Dataset):
            present = sorted(_datasets(file))
            raise DataError(
                f"{path} has no data set {options.dataset}; it has"
                f" {', '.join(present) or 'none'}; choose one with --dataset"
            )
        where = f"{path}: {options.dataset}"
        form = form_of(dataset.shape or (), dataset.dtype, options.layout, where)
        labels, lengths = _beside(dataset, LABELS), _beside(dataset, LENGTHS)
    reader = Hdf5Reader(path, form, options.dataset)
    bounds = sequence_bounds(lengths, form.n_frames, f"{path}: {LENGTHS}")
    targets = None if labels is None else targets_of(labels, form.n_frames, f"{path}: {LABELS}")
    names = [name] if lengths is None else [f"{name} {number}" for number in range(len(bounds))]
    return [stored(reader, *each, targets) for each in zip(names, bounds, strict=True)]


def _beside(dataset: Any, name: str) -> NDArray[Any] | None:
    """The data set ``name`` in the group of ``dataset``; None where there is none."""
    import h5py

    from ann2sdnn.support.files.h5 import values_of

    other = dataset.parent.get(name)
    return values_of(other) if isinstance(other, h5py.Dataset) and other != dataset else None


def _datasets(file: Any) -> list[str]:
    import h5py

    names: list[str] = []
    file.visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return names


def _file(path: Path) -> AbstractContextManager[Any]:
    """Open a file for reading; damage becomes a DataError."""
    from ann2sdnn.support.files.h5 import reading_h5

    problem = "cannot be read as HDF5, it may be truncated"
    return reading_h5(path, problem, "copy or write it again", DataError)
