"""Recordings in the file format of DHP19's own frame and label files, read lazily.

A recording is two HDF5 files in one flat folder, as the data set's published Matlab code writes
them: ``S1_session2_mov3_7500events.h5`` with ``/DVS`` [N, 260, 346, 4] uint8 (one image a camera)
and ``S1_session2_mov3_7500events_label.h5`` with ``/XYZ`` [N, 3, 13] float64 in millimetres.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH, USED_WIDTH
from ann2sdnn.data.joints import N_JOINTS
from ann2sdnn.errors import DataError

FRAMES_DATASET = "DVS"
LABELS_DATASET = "XYZ"
FRAME_SHAPE = (SENSOR_HEIGHT, SENSOR_WIDTH, N_CAMERAS)
LABEL_SHAPE = (3, N_JOINTS)

_FRAMES_SUFFIX = "_7500events.h5"
_LABELS_SUFFIX = "_7500events_label.h5"
_NAME = re.compile(r"S(\d+)_session(\d+)_mov(\d+)(?:_7500events(?:_label)?\.h5)?")
# Frames decoded at once: one block is 6 MB, whatever the recording's length.
_BLOCK_FRAMES = 16


@dataclass(frozen=True, order=True)
class RecordingName:
    """Which recording: subject, session and movement, counted from 1 as in the data set."""

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
    """One recording on disk; its files are open only while something is read from them.

    That makes it safe to hand to worker processes: no HDF5 handle is ever shared.
    ``height`` and ``width`` are those of the frames it returns (the network's columns 0..343).
    """

    name: RecordingName
    frames_path: Path
    labels_path: Path
    n_frames: int
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
        with _dataset(self.frames_path, FRAMES_DATASET) as dataset:
            for at, start, stop in _runs(wanted):
                # Whole chunks are read, then cut: HDF5 picks single bytes very slowly.
                block = dataset[start:stop][:, :, : self.width, list(channels)]
                out[at : at + stop - start] = np.moveaxis(block, -1, 1)
        return out

    def labels(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Labels [n, 3, 13] in mm at ``indices``, NaN where a joint was not seen.

        Raises DataError for an index that does not exist and for a damaged file.
        """
        wanted = self._checked(indices)
        with _dataset(self.labels_path, LABELS_DATASET) as dataset:
            return np.asarray(dataset[()], np.float64)[wanted]

    def _checked(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        wanted = np.asarray(indices, np.int64).reshape(-1)
        outside = wanted[(wanted < 0) | (wanted >= self.n_frames)]
        if outside.size:
            raise DataError(
                f"frame {outside[0]} of {self.name.stem} does not exist; "
                f"the recording has frames 0 to {self.n_frames - 1}"
            )
        return wanted


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
    n_frames = _count(frames_path, FRAMES_DATASET, FRAME_SHAPE, np.dtype(np.uint8))
    n_labels = _count(labels_path, LABELS_DATASET, LABEL_SHAPE, np.dtype(np.float64))
    if n_frames != n_labels:
        raise DataError(
            f"{labels_path} has labels for {n_labels} frames but {frames_path.name} has {n_frames} "
            "frames; write both again"
        )
    return Recording(name, frames_path, labels_path, n_frames)


def _count(path: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Length of the data set's first axis, once the rest of its form is as expected."""
    with _dataset(path, key) as dataset:
        if dataset.shape[1:] != shape or dataset.dtype != dtype:
            expected = ", ".join(map(str, shape))
            raise DataError(
                f"{path}: /{key} is {list(dataset.shape)} {dataset.dtype}, "
                f"expected [N, {expected}] {dtype}"
            )
        return int(dataset.shape[0])


@contextmanager
def _dataset(path: Path, key: str) -> Iterator[Any]:
    """Open one data set for reading; whatever HDF5 complains about becomes a DataError."""
    try:
        with h5py.File(path, "r") as file:
            dataset = file.get(key)
            if not isinstance(dataset, h5py.Dataset):
                raise DataError(f"{path} has no data set /{key}; write the recording again")
            yield dataset
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{path} cannot be read as HDF5, it may be truncated ({reason}); copy or write it again"
        ) from error


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
