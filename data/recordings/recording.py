"""Reads recordings in the format of DHP19's own frame and label files, lazily.

A recording is two HDF5 files in one flat folder, as the data set's published Matlab code writes
them: ``S1_session2_mov3_7500events.h5`` with ``/DVS`` [N, 260, 346, 4] uint8 (one image per camera)
and ``S1_session2_mov3_7500events_label.h5`` with ``/XYZ`` [N, 3, 13] float64 in millimetres.

Frames of overlapping windows are stored as their parts: ``/HOPS`` [M, 4, 260, 346],
the event counts of each hop (attribute ``hops_per_window``: K), and ``/SCALE`` [N, 4], with
N = M - K + 1. Frame i is the sum of hops i to i + K - 1, normalised by row i of the scales.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import overlapping_frames
from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH, USED_WIDTH
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.h5 import H5Fields, reading_h5

FRAMES_DATASET = "DVS"
LABELS_DATASET = "XYZ"
HOPS_DATASET = "HOPS"
SCALES_DATASET = "SCALE"
HOPS_PER_WINDOW = "hops_per_window"
FRAME_SHAPE = (SENSOR_HEIGHT, SENSOR_WIDTH, N_CAMERAS)
HOPS_SHAPE = (N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH)
LABEL_SHAPE = (3, N_JOINTS)

_FRAMES_SUFFIX = "_7500events.h5"
_LABELS_SUFFIX = "_7500events_label.h5"
_NAME = re.compile(r"S(\d+)_session(\d+)_mov(\d+)(?:_7500events(?:_label)?\.h5)?")
# Frames decoded at once: one block is 6 MB, whatever the recording's length.
_BLOCK_FRAMES = 16


@dataclass(frozen=True, order=True)
class RecordingName:
    """Subject, session and movement of a recording, counted from 1 as in the data set."""

    subject: int
    session: int
    movement: int

    @classmethod
    def parse(cls, text: str) -> "RecordingName":
        """Read a stem such as ``S1_session2_mov3`` or the name of one of its two files.

        Raises DataError for anything else.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise DataError(
                f"{text} is not the name of a recording; "
                f"expected S<subject>_session<session>_mov<movement>{_FRAMES_SUFFIX}"
            )
        subject, session, movement = map(int, match.groups())
        return cls(subject, session, movement)

    @property
    def stem(self) -> str:
        """The name without suffix, for example ``S1_session2_mov3``."""
        return f"S{self.subject}_session{self.session}_mov{self.movement}"

    @property
    def frames_file(self) -> str:
        """Name of the file that holds the frames."""
        return self.stem + _FRAMES_SUFFIX

    @property
    def labels_file(self) -> str:
        """Name of the file that holds the labels."""
        return self.stem + _LABELS_SUFFIX


@dataclass(frozen=True)
class Recording:
    """One recording on disk; its files are open only while they are read.

    It can be sent to worker processes, since no HDF5 handle is shared.
    ``height`` and ``width`` are those of the frames it returns (the network's columns 0..343).
    ``hops_per_window`` is above 1 where windows overlap.
    """

    name: RecordingName
    frames_path: Path
    labels_path: Path
    n_frames: int
    hops_per_window: int = 1
    height: int = SENSOR_HEIGHT
    width: int = USED_WIDTH

    def frames(
        self, indices: Sequence[int] | NDArray[np.int64], channels: Sequence[int]
    ) -> NDArray[np.uint8]:
        """Frames [n, C, 260, 344] uint8 at ``indices``, in that order, of the given cameras.

        Raises DataError for an index or channel that does not exist and for a damaged file.
        """
        for channel in channels:
            if channel not in range(N_CAMERAS):
                raise DataError(
                    f"channel {channel} does not exist; {self.frames_path.name} has channels 0 to 3"
                )
        wanted = self._checked(indices)
        out = np.empty((len(wanted), len(channels), self.height, self.width), np.uint8)
        read = self._read_whole if self.hops_per_window == 1 else self._read_overlapping
        read(wanted, channels, out)
        return out

    def labels(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Labels [n, 3, 13] in mm at ``indices``, NaN where a joint was not seen.

        Raises DataError for an index that does not exist and for a damaged file.
        """
        wanted = self._checked(indices)
        with _dataset(self.labels_path, LABELS_DATASET) as dataset:
            labels = np.asarray(dataset[()], np.float64)[wanted]
        if np.isinf(labels).any():
            raise DataError(f"{self.labels_path} holds infinite coordinates; write it again")
        return labels

    def hops(self) -> NDArray[np.unsignedinteger[Any]]:
        """Event counts [M, 4, 260, 346] of every hop, as they are stored.

        Raises DataError for a damaged file, and where windows do not overlap.
        """
        with _dataset(self.frames_path, HOPS_DATASET) as dataset:
            return np.asarray(dataset[()])

    def _read_whole(
        self, wanted: NDArray[np.int64], channels: Sequence[int], out: NDArray[np.uint8]
    ) -> None:
        with _dataset(self.frames_path, FRAMES_DATASET) as dataset:
            for at, start, stop in _runs(wanted):
                # Whole chunks are read, then cut: HDF5 is slow at selecting single bytes.
                block = dataset[start:stop][:, :, : self.width, list(channels)]
                out[at : at + stop - start] = np.moveaxis(block, -1, 1)

    def _read_overlapping(
        self, wanted: NDArray[np.int64], channels: Sequence[int], out: NDArray[np.uint8]
    ) -> None:
        n = self.hops_per_window
        with (
            _dataset(self.frames_path, HOPS_DATASET) as hops,
            _dataset(self.frames_path, SCALES_DATASET) as scales,
        ):
            for at, start, stop in _runs(wanted):
                scale = scales[start:stop]
                if not (np.isfinite(scale) & (scale > 0)).all():
                    raise DataError(
                        f"{self.frames_path}: /{SCALES_DATASET} holds a scale that is not a"
                        " positive number; write the recording again"
                    )
                for position, channel in enumerate(channels):
                    counts = hops[start : stop + n - 1, channel]
                    frames = overlapping_frames(counts, scale[:, channel], n)
                    out[at : at + stop - start, position] = frames[:, :, : self.width]

    def _checked(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        wanted = np.asarray(indices, np.int64).reshape(-1)
        outside = wanted[(wanted < 0) | (wanted >= self.n_frames)]
        if outside.size:
            raise DataError(
                f"frame {outside[0]} of {self.name.stem} does not exist; "
                f"the recording has frames 0 to {self.n_frames - 1}"
            )
        return wanted


def recording_files(folder: Path) -> tuple[Path, ...]:
    """The files of all recordings in ``folder``, and ``folder`` itself, without opening them."""
    if not folder.is_dir():
        return (folder,)
    patterns = (_FRAMES_SUFFIX, _LABELS_SUFFIX)
    return (folder, *(path for end in patterns for path in sorted(folder.glob(f"*{end}"))))


def open_recordings(folder: Path) -> tuple[Recording, ...]:
    """Find and check every recording in ``folder``, sorted by subject, session and movement.

    Only shapes and types are read here. Raises DataError when there is no recording, when a file
    is missing or is not readable HDF5, and when a data set is missing or has the wrong form.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; expected one that holds *{_FRAMES_SUFFIX}")
    names = sorted(RecordingName.parse(path.name) for path in folder.glob(f"*{_FRAMES_SUFFIX}"))
    if not names:
        raise DataError(
            f"{folder} holds no recordings (*{_FRAMES_SUFFIX}); make some with synth or prepare"
        )
    return tuple(_open(folder, name) for name in names)


def _open(folder: Path, name: RecordingName) -> Recording:
    frames_path, labels_path = folder / name.frames_file, folder / name.labels_file
    if not labels_path.is_file():
        raise DataError(f"{labels_path} is missing; {frames_path.name} needs its labels beside it")
    n_frames, hops_per_window = count_frames(frames_path)
    n_labels = _count(labels_path, LABELS_DATASET, LABEL_SHAPE, np.dtype(np.float64))
    if n_frames != n_labels:
        raise DataError(
            f"{labels_path} has labels for {n_labels} frames but {frames_path.name} has {n_frames} "
            "frames; write both again"
        )
    return Recording(name, frames_path, labels_path, n_frames, hops_per_window)


def count_frames(path: Path) -> tuple[int, int]:
    """Frames in a frame file, and how many hops a window is long (1: windows do not overlap).

    Raises DataError when the file cannot be read, holds neither frames nor hops, or when their
    form or number is not as expected.
    """
    with _file(path) as file:
        overlapping = HOPS_DATASET in file
        per_window = H5Fields(file[HOPS_DATASET]).integer(HOPS_PER_WINDOW) if overlapping else 1
    if not overlapping:
        return _count(path, FRAMES_DATASET, FRAME_SHAPE, np.dtype(np.uint8)), 1
    n_hops = _count(path, HOPS_DATASET, HOPS_SHAPE, None)
    n_frames = _count(path, SCALES_DATASET, HOPS_SHAPE[:1], np.dtype(np.float64))
    if per_window < 1 or n_frames != n_hops - per_window + 1:
        raise DataError(
            f"{path} has {n_hops} hops, {per_window} a window, but scales for {n_frames} frames; "
            "write the recording again"
        )
    return n_frames, per_window


def _count(path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any] | None) -> int:
    """Length of the data set's first axis; checks its other axes and its type.

    ``dtype`` None accepts any unsigned integers.
    """
    with _dataset(path, key) as dataset:
        right = dataset.dtype == dtype if dtype else dataset.dtype.kind == "u"
        if dataset.shape[1:] != shape or not right:
            expected = ", ".join(map(str, shape))
            raise DataError(
                f"{path}: /{key} is {list(dataset.shape)} {dataset.dtype}, "
                f"expected [N, {expected}] {dtype or 'unsigned integers'}"
            )
        return int(dataset.shape[0])


@contextmanager
def _dataset(path: Path, key: str) -> Iterator[Any]:
    """Open one data set for reading."""
    with _file(path) as file:
        dataset = file.get(key)
        if not isinstance(dataset, h5py.Dataset):
            raise DataError(f"{path} has no data set /{key}; write the recording again")
        yield dataset


def _file(path: Path) -> AbstractContextManager[Any]:
    """Open a file for reading; damage becomes a DataError."""
    problem = "cannot be read as HDF5, it may be truncated"
    return reading_h5(path, problem, "copy or write it again", DataError)


def _runs(wanted: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Split indices into (position, start, stop) of consecutive frames, bounded in length."""
    at = 0
    while at < len(wanted):
        length = 1
        while (
            length < _BLOCK_FRAMES
            and at + length < len(wanted)
            and wanted[at + length] == wanted[at] + length
        ):
            length += 1
        yield at, int(wanted[at]), int(wanted[at]) + length
        at += length
