"""Writes the pair of HDF5 files that holds one recording's frames and labels.

Disjoint windows are stored as in DHP19, frame by frame. Of overlapping windows each event is stored
once: the counts of every hop and the scale of every frame, from which ``Recording.frames`` computes
the same frames again.
"""

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import Counts
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.events.windows import FRAME_SHAPE, LabelledFrame
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.recordings.recording import (
    FRAMES_DATASET,
    HOPS_DATASET,
    HOPS_PER_WINDOW,
    HOPS_SHAPE,
    LABELS_DATASET,
    SCALES_DATASET,
)
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.h5 import writing_h5
from ann2sdnn.support.files.targets import refuse_file
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.integers import narrowed

SOURCE_ATTRIBUTE = "source"

_GROWTH = 64  # rows that a data set grows by; what is left over is cut off at the end


class RecordingWriter:
    """Appends frames and labels to the two open files of one recording."""

    def __init__(self, frames: h5py.File, labels: h5py.File, windows: Windows) -> None:
        self._labels = _Rows(labels, LABELS_DATASET, (3, N_JOINTS))
        self._scales: _Rows | None = None
        if windows.hops_per_window == 1:
            self._images = _Chunks(frames, FRAMES_DATASET, FRAME_SHAPE, np.dtype(np.uint8))
            return
        # The smallest type that holds every event of a hop, should all come from one pixel.
        dtype = np.min_scalar_type(windows.hop)
        self._images = _Chunks(frames, HOPS_DATASET, HOPS_SHAPE, dtype, (1, *HOPS_SHAPE[1:]))
        self._images.dataset.attrs[HOPS_PER_WINDOW] = windows.hops_per_window
        self._scales = _Rows(frames, SCALES_DATASET, HOPS_SHAPE[:1])

    def append(self, frame: NDArray[np.uint8], xyz_mm: NDArray[np.float64]) -> None:
        """Write one frame [260, 346, 4] and its label [3, 13].

        Raises DataError when a shape or the frame's type differs.
        """
        if frame.shape != FRAME_SHAPE or frame.dtype != np.uint8:
            raise DataError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 {FRAME_SHAPE}")
        self._labels.append(xyz_mm)
        self._images.append(frame)

    def append_window(self, window: LabelledFrame) -> None:
        """Write one window: its frame, or its new hops where windows overlap."""
        if self._scales is None:
            self.append(window.frame, window.xyz_mm)
            return
        for hop in window.window.hops:
            self._images.append(_by_camera(hop, self._images.dataset.dtype))
        self._scales.append(window.scale)
        self._labels.append(window.xyz_mm)

    def close(self, stem: str) -> int:
        """Give the data sets their final length; returns the number of frames.

        Raises DataError where there is none.
        """
        n_frames = len(self._labels)
        if n_frames == 0:
            raise DataError(f"recording {stem} has no frame; it is too short for one window")
        for part in (self._images, self._scales, self._labels):
            if part is not None:
                part.close()
        return n_frames


def write_recording(
    folder: Path,
    stem: str,
    frames: Iterable[LabelledFrame],
    windows: Windows,
    *,
    source: str = "",
    force: bool = False,
) -> int:
    """Write the frames of one recording, cut with ``windows``; returns the number of frames.

    ``source`` says what the recording was made from and is kept with its labels. Raises what
    ``recording_writer`` raises.
    """
    with _pair(folder, stem, force=force) as (frames_file, labels_file):
        if source:
            labels_file.attrs[SOURCE_ATTRIBUTE] = source
        writer = RecordingWriter(frames_file, labels_file, windows)
        for frame in frames:
            writer.append_window(frame)
        return writer.close(stem)


@contextmanager
def recording_writer(folder: Path, stem: str, *, force: bool = False) -> Iterator[RecordingWriter]:
    """Yield a writer of the recording ``stem`` ("S1_session2_mov3") in ``folder``.

    Both files, ``<stem>_7500events.h5`` with ``DVS`` [N, 260, 346, 4] uint8 and
    ``<stem>_7500events_label.h5`` with ``XYZ`` [N, 3, 13] float64 (mm), appear when the block
    succeeds; when it fails neither does. (7500 is the events per camera, as DHP19 names its files.)
    Raises OutputError when one exists and ``force`` is false, DataError when nothing was written.
    """
    with _pair(folder, stem, force=force) as (frames, labels):
        writer = RecordingWriter(frames, labels, Windows())
        yield writer
        writer.close(stem)


@contextmanager
def _pair(folder: Path, stem: str, *, force: bool) -> Iterator[tuple[h5py.File, h5py.File]]:
    frames_path = folder / f"{stem}_7500events.h5"
    labels_path = folder / f"{stem}_7500events_label.h5"
    for path in (frames_path, labels_path):
        refuse_file(path, force=force)
    with (
        atomic_file(frames_path) as frames_part,
        atomic_file(labels_path) as labels_part,
        writing_h5(frames_part, frames_path) as frames,
        writing_h5(labels_part, labels_path) as labels,
    ):
        yield frames, labels


def _by_camera(counts: Counts, dtype: np.dtype[np.unsignedinteger[Any]]) -> Counts:
    """Counts [260, 346, 4] as the hops are stored: [4, 260, 346].

    Raises DataError for a count that ``dtype`` cannot hold.
    """
    return narrowed(np.moveaxis(counts, -1, 0), dtype, "a hop's count of events", error=DataError)


class _Chunks:
    """A data set that grows by images, compressed here and handed to HDF5 as finished chunks.

    The filter is gzip. zlib looks for runs only, of which sparse images consist: faster than its
    level 1, and a fifth smaller.
    """

    def __init__(
        self,
        file: h5py.File,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[np.unsignedinteger[Any]],
        chunk: tuple[int, ...] | None = None,
    ) -> None:
        self._chunk = chunk or shape
        self._shape = shape
        self.dataset = file.create_dataset(
            name,
            (0, *shape),
            dtype,
            maxshape=(None, *shape),
            chunks=(1, *self._chunk),
            compression="gzip",
            compression_opts=1,
            shuffle=dtype.itemsize > 1,
        )
        self._n = 0

    def append(self, image: Counts) -> None:
        """Write the next image."""
        if self._n == len(self.dataset):
            self.dataset.resize(self._n + _GROWTH, axis=0)
        for part in range(self._shape[0] // self._chunk[0]):
            piece = image[part * self._chunk[0] : (part + 1) * self._chunk[0]]
            offset = (self._n, part * self._chunk[0], *(0 for _ in self._shape[1:]))
            self.dataset.id.write_direct_chunk(offset, _deflated(piece))
        self._n += 1

    def close(self) -> None:
        """Cut the data set to the images it got."""
        self.dataset.resize(self._n, axis=0)


class _Rows:
    """A data set that grows by small rows, written in blocks."""

    def __init__(self, file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
        self._dataset = file.create_dataset(
            name, (0, *shape), "float64", maxshape=(None, *shape), chunks=(_GROWTH, *shape)
        )
        self._waiting: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        return len(self._dataset) + len(self._waiting)

    def append(self, row: NDArray[np.float64]) -> None:
        """Add the next row; raises DataError for another shape."""
        expected = self._dataset.shape[1:]
        if row.shape != expected:
            raise DataError(f"a label has the shape {row.shape}, expected {expected}")
        self._waiting.append(row)
        if len(self._waiting) == _GROWTH:
            self.close()

    def close(self) -> None:
        """Write the rows that wait."""
        if self._waiting:
            n = len(self._dataset)
            self._dataset.resize(n + len(self._waiting), axis=0)
            self._dataset[n:] = np.stack(self._waiting)
            self._waiting = []


def _deflated(piece: Counts) -> bytes:
    """The piece as HDF5's filters would leave it: bytes of like weight together, then gzip."""
    plain = np.ascontiguousarray(piece)
    if plain.itemsize > 1:
        plain = np.ascontiguousarray(plain.reshape(-1).view(np.uint8).reshape(-1, plain.itemsize).T)
    stream = zlib.compressobj(1, zlib.DEFLATED, strategy=zlib.Z_RLE)
    return stream.compress(plain.data) + stream.flush()
