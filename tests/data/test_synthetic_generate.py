"""Whole recordings: reproducible, independent of workers, and different where they should be."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.accumulate import Events, Windows
from ann2sdnn.data.cameras import FRONT_CHANNELS, camera
from ann2sdnn.data.synthetic import generate
from ann2sdnn.data.synthetic.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.generate import SUMMARY_FILE, SynthOptions, synthesise
from ann2sdnn.data.synthetic.recording import Scene, events, make_scene, record
from ann2sdnn.data.synthetic.sensor import SensorOptions
from ann2sdnn.errors import DataError, OutputError, UsageError

SMALL = SynthOptions(subjects=2, movements=2, frames=2, window_events=2000, first_subject=3)


class CountingReporter:
    """Remembers how much was announced and counted."""

    def __init__(self) -> None:
        self.total = self.done = 0

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator["CountingReporter"]:
        assert unit == "frames"
        self.total += total
        yield self

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount

    def message(self, text: str) -> None:
        raise AssertionError(text)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def frames_of(seed: int, subject: int, entry: int) -> NDArray[np.uint8]:
    scene = make_scene(seed, subject, CATALOGUE[entry])
    return np.stack([f.frame for f in record(scene, 1, Windows(2000))])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    synthesise(folder, SMALL)
    return folder


def test_the_folder_holds_every_recording_in_the_format_of_the_data_set(small: Path) -> None:
    stems = [f"S{s}_session{e.session}_mov{e.movement}" for s in (3, 4) for e in CATALOGUE[:2]]
    expected = {f"{stem}_7500events{end}.h5" for stem in stems for end in ("", "_label")}
    assert {p.name for p in small.iterdir()} == {*expected, SUMMARY_FILE}
    for stem in stems:
        with h5py.File(small / f"{stem}_7500events.h5") as file:
            assert file["DVS"].shape == (2, 260, 346, 4)
            assert (file["DVS"][:] > 0).any(axis=(1, 2)).all()
        with h5py.File(small / f"{stem}_7500events_label.h5") as file:
            assert file["XYZ"].shape == (2, 3, 13)
            assert np.isfinite(file["XYZ"][:]).all()


def test_every_subject_and_movement_has_its_own_frames(small: Path) -> None:
    frames = [path.read_bytes() for path in small.glob("*events.h5")]
    assert len(frames) == 4
    assert len(set(frames)) == 4
    summary = json.loads((small / SUMMARY_FILE).read_text())
    assert len({r["height_mm"] for r in summary["recordings"]}) == 2


def test_the_summary_says_what_was_made(small: Path) -> None:
    summary = json.loads((small / SUMMARY_FILE).read_text())
    assert summary["schema"] == 1
    assert summary["options"]["seed"] == 0
    assert "workers" not in summary["options"]
    walk = next(r for r in summary["recordings"] if r["stem"] == "S3_session2_mov1")
    assert walk["movement"] == "walk"
    assert walk["frames"] == 2
    assert walk["events"] == 4000
    assert 1_000 < walk["duration_us"] < 1_000_000


def test_two_workers_write_the_same_bytes_as_one(small: Path, tmp_path: Path) -> None:
    reporter = CountingReporter()
    summary = synthesise(tmp_path / "data", replace(SMALL, workers=2), reporter=reporter)
    assert contents(tmp_path / "data") == contents(small)
    assert summary.frames == 8
    assert (reporter.total, reporter.done) == (8, 8)


def test_a_recording_does_not_depend_on_the_others(small: Path, tmp_path: Path) -> None:
    synthesise(tmp_path / "one", replace(SMALL, subjects=1, movements=1, first_subject=4))
    files = contents(tmp_path / "one")
    name = "S4_session2_mov1_7500events.h5"
    assert files[name] == contents(small)[name]


def test_overlapping_windows_hold_the_disjoint_ones(small: Path, tmp_path: Path) -> None:
    options = replace(SMALL, subjects=1, movements=1, frames=5, hop_events=500)
    summary = synthesise(tmp_path / "hop", options)
    assert summary.recordings[0].events == 4000
    name = "S3_session2_mov1_7500events.h5"
    with h5py.File(tmp_path / "hop" / name) as hop, h5py.File(small / name) as disjoint:
        np.testing.assert_array_equal(hop["DVS"][::4], disjoint["DVS"][:])
        assert (hop["DVS"][1] != hop["DVS"][0]).any()


def test_seed_subject_and_movement_all_change_the_frames() -> None:
    base = frames_of(0, 1, 0)
    np.testing.assert_array_equal(base, frames_of(0, 1, 0))
    for other in (frames_of(1, 1, 0), frames_of(0, 2, 0), frames_of(0, 1, 1)):
        assert (base != other).any()


def test_an_existing_folder_is_kept_without_force(small: Path) -> None:
    before = contents(small)
    with pytest.raises(OutputError, match="exists already"):
        synthesise(small, SMALL)
    assert contents(small) == before


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    class Interrupting(CountingReporter):
        def advance(self, amount: int = 1, note: str = "") -> None:
            raise KeyboardInterrupt

    for workers in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            synthesise(tmp_path / "out", replace(SMALL, workers=workers), reporter=Interrupting())
        assert list(tmp_path.iterdir()) == []


def test_a_body_that_emits_too_little_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_frame_less(scene: Scene, frames: int, windows: Windows) -> Iterator[object]:
        return islice(record(scene, frames, windows), frames - 1)

    monkeypatch.setattr(generate, "record", one_frame_less)
    with pytest.raises(DataError, match="gave 1 of 2 frames"):
        synthesise(tmp_path / "out", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: SynthOptions(subjects=0), "subjects is 0; expected 1 to 17"),
        (lambda: SynthOptions(movements=34), "movements is 34; expected 1 to 33"),
        (lambda: SynthOptions(frames=0), "frames is 0; expected at least 1"),
        (lambda: SynthOptions(seed=-1), "seed is -1"),
        (lambda: SynthOptions(workers=0), "workers is 0"),
        (lambda: SynthOptions(window_events=10), "window_events is 10"),
        (lambda: SynthOptions(hop_events=7), "the hop must be positive and divide"),
        (lambda: SynthOptions(subjects=17, first_subject=2), "exceed the 17"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], SynthOptions], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        make()


def first_events(n_chunks: int, options: SensorOptions | None = None) -> list[Events]:
    return list(islice(events(make_scene(0, 1, CATALOGUE[0]), options), n_chunks))


def test_events_come_in_order_of_time_from_all_cameras() -> None:
    chunks = first_events(20)
    t_us = np.concatenate([c.t_us for c in chunks])
    assert (np.diff(t_us) >= 0).all()
    assert set(np.concatenate([c.camera for c in chunks]).tolist()) == {0, 1, 2, 3}


def test_without_noise_all_events_come_from_the_body() -> None:
    quiet = SensorOptions(noise_hz=0.0)
    scene = make_scene(0, 1, CATALOGUE[0])
    chunks = first_events(60, quiet)
    x, y, c = (np.concatenate([getattr(k, f) for k in chunks]) for f in ("x", "y", "camera"))
    last_us = int(chunks[-1].t_us.max())
    joints = scene.performance.markers(np.arange(0, last_us, 5000) * 1e-6)
    for channel in FRONT_CHANNELS:
        here = c == channel
        points = camera(channel).project(joints).reshape(-1, 2)
        distance = np.hypot(x[here][:, None] - points[:, 0], y[here][:, None] - points[:, 1]).min(
            axis=1
        )
        assert np.median(distance) < 15
        assert distance.max() < 45


def test_kinds_choose_movements() -> None:
    options = SynthOptions(kinds=("walk", "star jump"))
    assert {entry.kind.value for entry in options.entries} == {"walk", "star jump"}
    assert len(SynthOptions(movements=5).entries) == 5
    with pytest.raises(UsageError, match="there is no movement 'fly'; choose from walk"):
        SynthOptions(kinds=("fly",))
