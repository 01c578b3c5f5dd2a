"""Writing the pair of HDF5 files that holds one recording's frames and labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.accumulate import FRAME_SHAPE
from ann2sdnn.data.joints import N_JOINTS
from ann2sdnn.data.recording import FRAMES_DATASET, LABELS_DATASET
from ann2sdnn.errors import DataError
from ann2sdnn.files import atomic_file, refuse_existing

_LABELS_PER_CHUNK = 64


class RecordingWriter:
    """Appends frames and labels to the two open files of one recording."""

    def __init__(self, frames: h5py.File, labels: h5py.File) -> None:
        self._frames = frames.create_dataset(
            FRAMES_DATASET,
            (0, *FRAME_SHAPE),
            "uint8",
            maxshape=(None, *FRAME_SHAPE),
            chunks=(1, *FRAME_SHAPE),
            compression="gzip",
            compression_opts=1,
        )
        self._labels = labels.create_dataset(
            LABELS_DATASET,
            (0, 3, N_JOINTS),
            "float64",
            maxshape=(None, 3, N_JOINTS),
            chunks=(_LABELS_PER_CHUNK, 3, N_JOINTS),
        )

    def __len__(self) -> int:
        return len(self._frames)

    def append(self, frame: NDArray[np.uint8], xyz_mm: NDArray[np.float64]) -> None:
        """Write one frame [260, 346, 4] and its label [3, 13].

        Raises DataError when a shape or the frame's type differs.
        """
        if frame.shape != FRAME_SHAPE or frame.dtype != np.uint8:
            raise DataError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 {FRAME_SHAPE}")
        if xyz_mm.shape != (3, N_JOINTS):
            raise DataError(f"a label has the shape {xyz_mm.shape}, expected {(3, N_JOINTS)}")
        n = len(self)
        self._frames.resize(n + 1, axis=0)
        self._frames[n] = frame
        self._labels.resize(n + 1, axis=0)
        self._labels[n] = xyz_mm


@contextmanager
def recording_writer(folder: Path, stem: str, *, force: bool = False) -> Iterator[RecordingWriter]:
    """Yield a writer of the recording ``stem`` ("S1_session2_mov3") in ``folder``.

    Both files, ``<stem>_7500events.h5`` with ``DVS`` [N, 260, 346, 4] uint8 and
    ``<stem>_7500events_label.h5`` with ``XYZ`` [N, 3, 13] float64 (mm), appear when the block
    succeeds; when it fails neither does. (7500 is the events a camera, as DHP19 names its files.)
    Raises OutputError when one exists and ``force`` is false, DataError when nothing was written.
    """
    frames_path = folder / f"{stem}_7500events.h5"
    labels_path = folder / f"{stem}_7500events_label.h5"
    for path in (frames_path, labels_path):
        refuse_existing(path, force=force)
    with (
        atomic_file(frames_path) as frames_part,
        atomic_file(labels_path) as labels_part,
        h5py.File(frames_part, "w") as frames,
        h5py.File(labels_part, "w") as labels,
    ):
        writer = RecordingWriter(frames, labels)
        yield writer
        if len(writer) == 0:
            raise DataError(f"recording {stem} has no frame; it is too short for one window")
