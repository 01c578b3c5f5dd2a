"""Frames of overlapping windows: stored as hops, read as frames."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from damage import accepted, byte_damages, h5_damages
from numpy.typing import NDArray

from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.events.windows import (
    Events,
    LabelledFrame,
    labelled_frames,
)
from ann2sdnn.data.recordings.recording import Recording, open_recordings
from ann2sdnn.data.recordings.writer import write_recording
from ann2sdnn.support.errors import DataError

STEM = "S1_session1_mov1"
FRAMES = f"{STEM}_7500events.h5"
N_EVENTS = 12_000


def frames_of(windows: Windows, *, one_pixel: bool = False) -> Iterator[LabelledFrame]:
    """Clusters of events that wander over the pictures; or all events from one pixel."""
    rng = np.random.default_rng(7)
    drift = np.arange(N_EVENTS) * 200 / N_EVENTS
    events = Events(
        (drift + 20 * rng.random(N_EVENTS) + 120 * (rng.random(N_EVENTS) < 0.3)).astype(np.uint16),
        (60 + drift / 2 + 30 * rng.random(N_EVENTS)).astype(np.uint16),
        rng.integers(0, 4, N_EVENTS).astype(np.uint8),
        np.arange(N_EVENTS) * 100,
    )
    if one_pixel:
        same = np.zeros(N_EVENTS, np.uint16)
        events = Events(same, same, same.astype(np.uint8), events.t_us)
    labels_mm = rng.normal(size=(130, 13, 3))
    return labelled_frames([events], labels_mm, 0, windows)


def read(recording: Recording, indices: list[int]) -> NDArray[np.uint8]:
    """Frames [n, 260, 346, 4]."""
    return np.moveaxis(replace(recording, width=346).frames(indices, range(4)), 1, -1)


def write(folder: Path, windows: Windows, *, one_pixel: bool = False) -> Recording:
    write_recording(folder, STEM, frames_of(windows, one_pixel=one_pixel), windows)
    return open_recordings(folder)[0]


@pytest.mark.parametrize(
    "windows",
    [
        Windows(2000, 250),
        Windows(2000, 1000),
        Windows(2000, 500, normalise="fixed"),
        Windows(6000, 100, normalise="fixed"),
    ],
)
def test_frames_are_rebuilt_to_the_last_bit(tmp_path: Path, windows: Windows) -> None:
    recording = write(tmp_path, windows)
    made = list(frames_of(windows))
    assert recording.n_frames == len(made) == (N_EVENTS - windows.window_events) // windows.hop + 1
    assert recording.hops_per_window == windows.window_events // windows.hop
    expected = np.stack([one.frame for one in made])
    assert (np.diff(expected.astype(int), axis=0) != 0).any(axis=(1, 2, 3)).all()
    everything = list(range(len(made)))
    np.testing.assert_array_equal(read(recording, everything), expected, strict=True)
    some = [len(made) - 1, 0, 1, 2, 1, len(made) // 2]
    np.testing.assert_array_equal(read(recording, some), expected[some], strict=True)
    np.testing.assert_array_equal(
        recording.frames([1], [2])[0, 0], expected[1, :, :344, 2], strict=True
    )
    labels = np.stack([one.xyz_mm for one in made])
    np.testing.assert_array_equal(recording.labels(everything), labels)


def test_counts_do_not_overflow_should_all_events_come_from_one_pixel(tmp_path: Path) -> None:
    for hop, dtype in ((250, np.uint8), (500, np.uint16)):
        windows = Windows(2000, hop)
        recording = write(tmp_path / str(hop), windows, one_pixel=True)
        with h5py.File(recording.frames_path) as file:
            assert file["HOPS"].dtype == dtype
            assert file["HOPS"][3, 0, 0, 0] == hop
        frame = read(recording, [5])[0]
        assert frame[0, 0, 0] == 255
        assert frame.sum() == 255


def test_an_overlap_costs_less_disk_than_its_frames(tmp_path: Path) -> None:
    windows = Windows(4000, 500)
    write_recording(tmp_path / "hops", STEM, frames_of(windows), windows)
    write_recording(tmp_path / "whole", STEM, frames_of(windows), Windows(4000))
    sizes = [(tmp_path / one / FRAMES).stat().st_size for one in ("hops", "whole")]
    assert sizes[0] < 0.7 * sizes[1]  # much of files as small as these is not frames


def test_windows_that_do_not_overlap_keep_the_published_format(tmp_path: Path) -> None:
    recording = write(tmp_path, Windows(2000, 2000))
    with h5py.File(recording.frames_path) as file:
        assert list(file) == ["DVS"]
        assert file["DVS"].compression == "gzip"
        expected = np.stack([one.frame for one in frames_of(Windows(2000))])
        np.testing.assert_array_equal(file["DVS"][()], expected, strict=True)


def test_a_file_whose_parts_disagree_is_refused(tmp_path: Path) -> None:
    write(tmp_path, Windows(2000, 500))
    with h5py.File(tmp_path / FRAMES, "a") as file:
        file["HOPS"].attrs["hops_per_window"] = 3
    with pytest.raises(DataError, match="24 hops, 3 a window, but scales for 21 frames"):
        open_recordings(tmp_path)
    with h5py.File(tmp_path / FRAMES, "a") as file:
        del file["SCALE"]
    with pytest.raises(DataError, match="no data set /SCALE"):
        open_recordings(tmp_path)


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, Windows(2000, 250))

    def everything(path: Path) -> None:
        for recording in open_recordings(path.parent):
            recording.frames(range(recording.n_frames), range(4))
            recording.labels(range(recording.n_frames))

    frames, labels = tmp_path / FRAMES, tmp_path / f"{STEM}_7500events_label.h5"
    assert accepted(frames, everything, byte_damages(frames), h5_damages(frames)) == set()
    found = accepted(labels, everything, byte_damages(labels), h5_damages(labels))
    assert found == {"XYZ NaN"}, "a joint may not have been seen"
