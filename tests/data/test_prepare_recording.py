"""One raw recording to frames and labels, against a slow plain reference."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from raw_recordings import Scene, hot_scene, labels, moving_scene, reference, write_raw

from ann2sdnn.data.events.aedat import CHUNK_RECORDS, open_aedat
from ann2sdnn.data.events.interval import Interval
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.raw.folder import find_recordings
from ann2sdnn.data.raw.recording import find_hot_pixels, find_interval, prepare_recording
from ann2sdnn.data.recordings.recording import Recording, open_recordings
from ann2sdnn.support.errors import DataError, OutputError

FloatArray = NDArray[np.float64]
EVENTS = "DVS_movies/S1/session1/mov1.aedat"


def prepare_one(
    root: Path, out: Path, windows: Windows
) -> tuple[NDArray[np.uint8], FloatArray, list[int]]:
    (raw,) = find_recordings(root)
    advanced: list[int] = []
    out.mkdir(exist_ok=True)
    n_frames = prepare_recording(raw, out, windows, advanced.append)
    (recording,) = open_recordings(out)
    assert recording.n_frames == n_frames
    return whole_frames(recording), recording.labels(range(n_frames)), advanced


def whole_frames(recording: Recording) -> NDArray[np.uint8]:
    """Frames [n, 260, 346, 4]: from the file where it holds them, else all columns as read."""
    with h5py.File(recording.frames_path) as file:
        if "DVS" in file:
            return np.asarray(file["DVS"][()])
    read = replace(recording, width=346).frames(range(recording.n_frames), range(4))
    return np.moveaxis(read, 1, -1)


def assert_agrees(
    folder: Path, scene: Scene, labels_mm: FloatArray, windows: Windows, *, at_least: int = 2
) -> None:
    write_raw(folder, scene, labels_mm)
    frames, means = reference(
        folder / EVENTS,
        labels_mm,
        windows.window_events,
        windows.hop_events,
        windows.normalise == "fixed",
    )
    assert len(frames) >= at_least  # or the comparison says little
    got_frames, got_means, _ = prepare_one(folder, folder / "out", windows)
    np.testing.assert_array_equal(got_frames, np.stack(frames), strict=True)
    np.testing.assert_array_equal(got_means, np.stack(means), strict=True)


@pytest.mark.parametrize(
    "special_us",
    [
        (),
        (150_000,),
        (1_900_000,),
        (150_000, 150_001),
        (1_900_000, 1_900_001),
        (150_000, 150_001, 1_850_000),
        (150_000, 150_000, 150_000, 150_001),
        (150_000, 150_000, 150_000, 150_001, 1_850_000),
    ],
)
def test_every_case_of_special_events(tmp_path: Path, special_us: tuple[int, ...]) -> None:
    scene = moving_scene(len(special_us))
    scene.special(*special_us)
    assert_agrees(tmp_path, scene, labels(1, 190), Windows(300))


@pytest.mark.parametrize(
    "windows",
    [
        Windows(300),
        Windows(300, 100),
        Windows(300, 300, "fixed"),
        Windows(301, 43, "fixed"),
        Windows(20),
    ],
)
def test_every_way_to_cut_windows(tmp_path: Path, windows: Windows) -> None:
    scene = moving_scene(7)
    scene.special(100_000, 100_001, 900_000)
    assert_agrees(tmp_path, scene, labels(2, 200), windows)


def test_timestamps_that_wrap(tmp_path: Path) -> None:
    scene = moving_scene(3, start_us=2**32 - 900_000)
    scene.special(100_000, 100_001)
    assert_agrees(tmp_path, scene, labels(3, 180), Windows(300), at_least=5)


def test_frames_end_where_the_labels_do(tmp_path: Path) -> None:
    scene = moving_scene(4)
    scene.special(0, 0, 1_990_000)
    assert_agrees(tmp_path, scene, labels(4, 120), Windows(200))
    write_raw(tmp_path / "more", scene, labels(4, 199))
    more, _, _ = prepare_one(tmp_path / "more", tmp_path / "more/out", Windows(200))
    fewer, _, _ = prepare_one(tmp_path, tmp_path / "out", Windows(200))
    assert 1 < len(fewer) < len(more)
    np.testing.assert_array_equal(fewer, more[: len(fewer)])


def test_a_recording_of_several_chunks(tmp_path: Path) -> None:
    scene = moving_scene(10, n=60_000, start_us=2**32 - 1_000_000)
    assert len(scene.rows) > CHUNK_RECORDS
    assert_agrees(tmp_path, scene, labels(10, 201), Windows(7000), at_least=5)


def test_hot_pixels(tmp_path: Path) -> None:
    scene = hot_scene(5)
    assert_agrees(tmp_path, scene, labels(5, 200), Windows(1000))
    aedat = open_aedat(tmp_path / EVENTS)
    interval = find_interval(aedat, 200)
    assert interval == Interval(3_300_000, 4_900_000)
    hot = find_hot_pixels(aedat, interval).reshape(260, 4, 346)
    assert np.argwhere(hot).tolist() == [[50, 2, 100]]


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(100, 220),
    st.sampled_from([(None, 150), (50, 150), (75, 150)]),
    st.booleans(),
    st.integers(0, 5),
)
def test_any_recording(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    start_us: int,
    n_labels: int,
    hop_and_window: tuple[int | None, int],
    fixed: bool,
    n_special: int,
) -> None:
    scene = moving_scene(seed, n=1500, start_us=start_us)
    scene.special(*np.random.default_rng(seed).integers(0, 2_000_000, n_special).tolist())
    folder = tmp_path_factory.mktemp("any")
    hop, window = hop_and_window
    labels_mm = labels(seed, n_labels)
    write_raw(folder, scene, labels_mm)
    frames, means = reference(folder / EVENTS, labels_mm, window, hop, fixed)
    windows = Windows(window, hop, "fixed" if fixed else "frame")
    if not frames:
        with pytest.raises(DataError, match="too short"):
            prepare_one(folder, folder / "out", windows)
        return
    got_frames, got_means, _ = prepare_one(folder, folder / "out", windows)
    np.testing.assert_array_equal(got_frames, np.stack(frames), strict=True)
    np.testing.assert_array_equal(got_means, np.stack(means), strict=True)


def test_progress_counts_the_bytes_of_the_events(tmp_path: Path) -> None:
    scene = moving_scene(6)
    write_raw(tmp_path, scene, labels(6, 250))
    _, _, advanced = prepare_one(tmp_path, tmp_path / "out", Windows(300))
    assert sum(advanced) == 8 * len(scene.rows)


def test_damage_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    crowded = moving_scene(8)
    crowded.special(*range(800))
    write_raw(tmp_path / "crowded", crowded, labels(8, 200))
    with pytest.raises(DataError, match="more than 5 special events"):
        prepare_one(tmp_path / "crowded", out, Windows(300))

    write_raw(tmp_path / "short", moving_scene(8), labels(8, 200))
    with pytest.raises(DataError, match="too short for one window"):
        prepare_one(tmp_path / "short", out, Windows(30_000))

    empty = Scene()
    empty.special(1, 2)
    write_raw(tmp_path / "empty", empty, labels(8, 200))
    with pytest.raises(DataError, match="no polarity event"):
        prepare_one(tmp_path / "empty", out, Windows(300))

    write_raw(tmp_path / "unlabelled", moving_scene(8), labels(8, 200))
    (tmp_path / "unlabelled/Vicon_data/S1_1_1.mat").unlink()
    with pytest.raises(DataError, match=r"S1_1_1\.mat is missing"):
        prepare_one(tmp_path / "unlabelled", out, Windows(300))
    assert list(out.iterdir()) == []


def test_files_that_cannot_be_written_are_not_the_recordings_fault(tmp_path: Path) -> None:
    write_raw(tmp_path, moving_scene(9), labels(9, 200))
    (raw,) = find_recordings(tmp_path)
    (tmp_path / "out").write_text("a file where a folder has to be")
    with pytest.raises(OutputError, match="cannot"):
        prepare_recording(raw, tmp_path / "out", Windows(300), lambda n_bytes: None)
