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

from ann2sdnn.data.events.options import Normalisation
from ann2sdnn.data.raw.options import PrepareOptions
from ann2sdnn.data.raw.prepare import prepare
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.synthetic import raw_recording
from ann2sdnn.data.synthetic.generate import SUMMARY_FILE, synthesise
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.data.synthetic.scene import make_scene
from ann2sdnn.data.synthetic.stream import raw_events
from ann2sdnn.support.errors import DataError, OutputError, UsageError
from ann2sdnn.support.files.marker import MARKER

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


def addresses_of(seed: int, subject: int, entry: int) -> NDArray[np.uint32]:
    """The first 20,000 events."""
    chunks = raw_events(make_scene(seed, subject, CATALOGUE[entry]))
    return np.concatenate([chunk.address for chunk in islice(chunks, 8)])[:20_000]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "data"
    synthesise(folder, SMALL)
    return folder


def test_the_folder_holds_every_recording_in_the_format_of_the_data_set(small: Path) -> None:
    stems = [f"S{s}_session{e.session}_mov{e.movement}" for s in (3, 4) for e in CATALOGUE[:2]]
    expected = {f"{stem}_7500events{end}.h5" for stem in stems for end in ("", "_label")}
    assert {p.name for p in small.iterdir()} == {*expected, SUMMARY_FILE, MARKER}
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
    (hop,) = open_recordings(tmp_path / "hop")
    disjoint = next(one for one in open_recordings(small) if one.name == hop.name)
    assert (hop.n_frames, hop.hops_per_window) == (5, 4)
    frames = hop.frames(range(5), range(4))
    np.testing.assert_array_equal(frames[::4], disjoint.frames(range(2), range(4)))
    assert (frames[1] != frames[0]).any()


@pytest.mark.parametrize(
    ("frames", "hop_events", "normalise", "workers"),
    [(1, None, "frame", 2), (4, None, "fixed", 1), (7, 500, "frame", 1), (12, 250, "fixed", 2)],
)
def test_prepare_makes_the_same_of_the_raw_recordings(
    tmp_path: Path, frames: int, hop_events: int | None, normalise: Normalisation, workers: int
) -> None:
    options = replace(
        SMALL, frames=frames, hop_events=hop_events, normalise=normalise, workers=workers
    )
    synthesise(tmp_path / "out", options, raw=tmp_path / "raw")
    summary = prepare(tmp_path / "raw", tmp_path / "again", PrepareOptions(options.windows))
    assert [(row.status, row.frames) for row in summary.rows] == [("written", frames)] * 4
    for path in (tmp_path / "out").glob("*.h5"):
        with h5py.File(path) as made, h5py.File(tmp_path / "again" / path.name) as again:
            assert sorted(made) == sorted(again)
            for key in made:
                np.testing.assert_array_equal(made[key][()], again[key][()], strict=True)
    plain = tmp_path / "plain"
    synthesise(plain, replace(options, workers=1))
    assert contents(plain) == contents(tmp_path / "out")


def test_seed_subject_and_movement_all_change_the_events() -> None:
    base = addresses_of(0, 1, 0)
    np.testing.assert_array_equal(base, addresses_of(0, 1, 0))
    for other in (addresses_of(1, 1, 0), addresses_of(0, 2, 0), addresses_of(0, 1, 1)):
        assert (base[: len(other)] != other[: len(base)]).any()


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
        options = replace(SMALL, workers=workers)
        with pytest.raises(KeyboardInterrupt):
            synthesise(tmp_path / "out", options, raw=tmp_path / "raw", reporter=Interrupting())
        assert list(tmp_path.iterdir()) == []


def test_a_body_that_emits_too_little_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_recording, "_LONGEST_FRAME_S", -14.0)
    with pytest.raises(DataError, match=r"S3_session\d_mov\d moves too little: \d+ of 4000 events"):
        synthesise(tmp_path / "out", SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: SynthOptions(subjects=0), "--subjects 0; expected a whole number from 1 to 999"),
        (
            lambda: SynthOptions(movements=34),
            "--movements 34; expected a whole number from 1 to 33",
        ),
        (lambda: SynthOptions(frames=0), "--frames 0; expected a whole number from 1"),
        (lambda: SynthOptions(seed=-1), "--seed -1"),
        (lambda: SynthOptions(workers=0), "--workers 0"),
        (lambda: SynthOptions(window_events=10), "--window-events 10"),
        (lambda: SynthOptions(hop_events=7), "--hop-events 7; expected a divisor of the window"),
        (lambda: SynthOptions(hop_events=1), "--hop-events 1; a window .* 30000 hops long"),
        (lambda: SynthOptions(subjects=999, first_subject=2), "exceed the largest number, 999"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], SynthOptions], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        make()


def test_there_can_be_more_subjects_than_in_the_data_set(tmp_path: Path) -> None:
    assert SynthOptions().subjects == 17
    options = replace(SMALL, subjects=1, movements=1, first_subject=999)
    synthesise(tmp_path / "many", options)
    (recording,) = open_recordings(tmp_path / "many")
    assert recording.name.subject == 999


def test_kinds_choose_movements() -> None:
    options = SynthOptions(kinds=("walk", "star jump"))
    assert {entry.kind for entry in options.entries} == {"walk", "star jump"}
    assert len(SynthOptions(movements=5).entries) == 5
    with pytest.raises(UsageError, match="there is no movement 'fly'; choose from walk"):
        SynthOptions(kinds=("fly",))
    with pytest.raises(UsageError, match="--kinds walk,walk; name each kind once"):
        SynthOptions(kinds=("walk", "walk"))
