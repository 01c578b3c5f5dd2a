"""The pair of files of one recording."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ann2sdnn.data.recordings.writer import recording_writer
from ann2sdnn.support.errors import DataError, OutputError

STEM = "S1_session2_mov3"
NAMES = [f"{STEM}_7500events.h5", f"{STEM}_7500events_label.h5"]


def write(folder: Path, n: int, *, force: bool = False, first: int = 0) -> None:
    rng = np.random.default_rng(0)
    with recording_writer(folder, STEM, force=force) as writer:
        for i in range(first, first + n):
            frame = np.full((260, 346, 4), i, np.uint8)
            writer.append(frame, rng.normal(size=(3, 13)))


def test_the_files_hold_what_was_appended(tmp_path: Path) -> None:
    write(tmp_path, 3)
    assert sorted(p.name for p in tmp_path.iterdir()) == NAMES
    with h5py.File(tmp_path / NAMES[0]) as file:
        frames = file["DVS"]
        assert frames.shape == (3, 260, 346, 4)
        assert frames.dtype == np.uint8
        assert frames.chunks == (1, 260, 346, 4)
        assert [frame.min() for frame in frames] == [0, 1, 2]
        assert [frame.max() for frame in frames] == [0, 1, 2]
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / NAMES[1]) as file:
        labels = file["XYZ"]
        assert labels.dtype == np.float64
        np.testing.assert_array_equal(labels[:], rng.normal(size=(3, 3, 13)))


def test_nothing_is_left_of_a_recording_that_failed(tmp_path: Path) -> None:
    def interrupted() -> None:
        with recording_writer(tmp_path, STEM) as writer:
            writer.append(np.zeros((260, 346, 4), np.uint8), np.zeros((3, 13)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no frame"), recording_writer(tmp_path, STEM):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_existing_recording_is_kept_without_force(tmp_path: Path) -> None:
    write(tmp_path, 1)
    with pytest.raises(OutputError, match="exists already"):
        write(tmp_path, 1, first=7)
    with h5py.File(tmp_path / NAMES[0]) as file:
        assert file["DVS"][0].max() == 0
    write(tmp_path, 2, force=True, first=7)
    with h5py.File(tmp_path / NAMES[0]) as file:
        assert [frame.max() for frame in file["DVS"]] == [7, 8]


@pytest.mark.parametrize(
    ("shape", "dtype", "label", "found"),
    [
        ((260, 344, 4), np.uint8, (3, 13), "344"),
        ((260, 346, 4), np.float32, (3, 13), "float32"),
        ((260, 346, 4), np.uint8, (13, 3), "13, 3"),
    ],
)
def test_wrong_shapes_and_types_are_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: Any, label: tuple[int, ...], found: str
) -> None:
    with pytest.raises(DataError, match=found), recording_writer(tmp_path, STEM) as writer:
        writer.append(np.zeros(shape, dtype), np.zeros(label))
    assert list(tmp_path.iterdir()) == []
