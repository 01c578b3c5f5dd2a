"""A folder of raw recordings to a folder of frames: damage, resuming, workers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from raw_recordings import labels, moving_scene, write_raw

from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.raw.options import PrepareOptions
from ann2sdnn.data.raw.prepare import PrepareSummary, prepare
from ann2sdnn.data.recordings.recording import RecordingName, open_recordings
from ann2sdnn.support.errors import DataError, OutputError, UsageError
from ann2sdnn.support.files.marker import MARKER
from ann2sdnn.support.progress import Task

OPTIONS = PrepareOptions(Windows(300))


class RecordingReporter:
    """Remembers what it is told; stops the work after ``most`` bytes."""

    def __init__(self, most: int | None = None) -> None:
        self.most, self.total, self.done = most, 0, 0
        self.messages: list[str] = []

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        self.total = total
        yield self

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        if self.most is not None and self.done > self.most:
            raise KeyboardInterrupt

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good recordings, of which the tenth movement sorts behind the second."""
    folder = tmp_path_factory.mktemp("dhp19")
    for index, name in enumerate([(1, 1, 2), (1, 1, 10), (2, 1, 1)]):
        scene = moving_scene(index)
        scene.special(10_000, 10_001, 1_900_000)
        write_raw(folder, scene, labels(index, 200), name)
    return folder


@pytest.fixture(scope="module")
def prepared(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "data"
    prepare(root, out, OPTIONS)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.h5")}


def statuses(summary: PrepareSummary) -> list[tuple[str, str]]:
    return [(row.recording.stem, row.status) for row in summary.rows]


def test_recordings_become_files_that_the_project_reads(root: Path, tmp_path: Path) -> None:
    reporter = RecordingReporter()
    summary = prepare(root, tmp_path / "out", OPTIONS, reporter=reporter)
    assert statuses(summary) == [
        ("S1_session1_mov2", "written"),
        ("S1_session1_mov10", "written"),
        ("S2_session1_mov1", "written"),
    ]
    recordings = open_recordings(tmp_path / "out")
    assert [row.recording for row in summary.rows] == [one.name for one in recordings]
    assert [row.frames for row in summary.rows] == [one.n_frames for one in recordings]
    assert all(row.frames > 2 for row in summary.rows)
    size = sum(path.stat().st_size for path in root.glob("DVS_movies/*/*/*.aedat"))
    assert reporter.done == reporter.total == size
    assert reporter.messages == []


def test_two_workers_give_the_same_bytes(root: Path, prepared: Path, tmp_path: Path) -> None:
    crowded = moving_scene(5)
    crowded.special(*range(6))
    for path in root.rglob("*.*"):
        target = tmp_path / "raw" / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    write_raw(tmp_path / "raw", crowded, labels(5, 200), (4, 3, 4))
    reporter = RecordingReporter()
    out = tmp_path / "out"
    summary = prepare(
        tmp_path / "raw", out, PrepareOptions(Windows(300), workers=2), reporter=reporter
    )
    assert contents(out) == contents(prepared)
    assert [row.recording.stem for row in summary.with_status("skipped")] == ["S4_session3_mov4"]
    assert len(summary.with_status("written")) == 3
    assert reporter.done == reporter.total
    assert len(reporter.messages) == 1


def test_an_interrupted_run_with_workers_stops_them(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare(
            root,
            out,
            PrepareOptions(Windows(300), workers=2),
            reporter=RecordingReporter(most=0),
        )
    assert [path.name for path in out.glob(".*")] == [MARKER]  # nothing half-written


def test_damaged_recordings_are_skipped_with_their_reason(tmp_path: Path) -> None:
    root, out = tmp_path / "raw", tmp_path / "out"
    for session in range(1, 7):
        write_raw(root, moving_scene(session), labels(session, 200), (1, session, 1))
    events = root / "DVS_movies/S1"
    (events / "session2/mov1.aedat").write_bytes((events / "session2/mov1.aedat").read_bytes()[:-3])
    (events / "session3/mov1.aedat").write_bytes(b"")
    (root / "Vicon_data/S1_4_1.mat").unlink()
    (root / "Vicon_data/S1_5_1.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    crowded = moving_scene(6)
    crowded.special(*range(700))
    write_raw(root, crowded, labels(6, 200), (1, 6, 1))
    write_raw(root, moving_scene(7, n=30), labels(7, 200), (1, 7, 1))

    reporter = RecordingReporter()
    summary = prepare(root, out, OPTIONS, reporter=reporter)
    reasons = [row.reason for row in summary.rows]
    for reason, says in zip(
        reasons,
        [
            "",
            "truncated",
            "not an AEDAT 2.0 file",
            "S1_4_1.mat is missing",
            "S1_5_1.mat cannot be read",
            "more than 5 special events",
            "too short for one window",
        ],
        strict=True,
    ):
        assert says in reason
    assert [row.status for row in summary.rows] == ["written"] + ["skipped"] * 6
    assert [row.frames > 0 for row in summary.rows] == [True] + [False] * 6
    assert len(contents(out)) == 2
    assert [path.name for path in out.glob(".*")] == [MARKER]
    log = (out / "prepare.log").read_text().splitlines()
    assert log == [str(row) for row in summary.rows]
    assert reporter.messages == log[1:]
    assert reporter.done == reporter.total

    # Mended, it is done by the next run; the good one stays.
    write_raw(root, moving_scene(4), labels(4, 200), (1, 4, 1))
    again = prepare(root, out, OPTIONS)
    assert [row.status for row in again.rows] == ["kept"] + ["skipped"] * 2 + ["written"] + [
        "skipped"
    ] * 3


def test_an_interrupted_run_goes_on_where_it_stopped(
    root: Path, prepared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    size = (root / "DVS_movies/S1/session1/mov2.aedat").stat().st_size
    with pytest.raises(KeyboardInterrupt):
        prepare(root, out, OPTIONS, reporter=RecordingReporter(most=size + 1000))
    assert {path.name for path in out.iterdir()} == {
        "S1_session1_mov2_7500events.h5",
        "S1_session1_mov2_7500events_label.h5",
        "prepare.json",
        "prepare.log",
        MARKER,
    }
    done = (out / "S1_session1_mov2_7500events.h5").stat().st_mtime_ns
    summary = prepare(root, out, OPTIONS)
    assert [row.status for row in summary.rows] == ["kept", "written", "written"]
    assert (out / "S1_session1_mov2_7500events.h5").stat().st_mtime_ns == done
    assert contents(out) == contents(prepared)


def test_what_a_killed_run_left_is_cleared_and_done_again(
    root: Path, prepared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = prepare(root, out, OPTIONS)
    names = [row.recording for row in first.rows]
    (out / names[0].labels_file).unlink()
    damaged = out / names[1].frames_file
    damaged.write_bytes(damaged.read_bytes()[:1000])
    (out / f".{names[2].frames_file}.x1y2z3_.h5").write_bytes(b"half of a file")
    (out / "notes.h5").write_bytes(b"somebody's")
    summary = prepare(root, out, OPTIONS)
    assert [row.status for row in summary.rows] == ["written", "written", "kept"]
    assert [row.frames for row in summary.rows] == [row.frames for row in first.rows]
    assert contents(out) == contents(prepared) | {"notes.h5": b"somebody's"}


def test_other_options_are_refused_unless_forced(
    root: Path, prepared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    other = PrepareOptions(Windows(300, 100))
    prepare(root, out, other)
    assert json.loads((out / "prepare.json").read_text()) == {
        "schema": 1,
        "window_events": 300,
        "hop_events": 100,
        "normalise": "frame",
    }
    before = contents(out)
    for options in (OPTIONS, PrepareOptions(Windows(300, 100, normalise="fixed"))):
        with pytest.raises(OutputError, match="other options"):
            prepare(root, out, options)
    assert contents(out) == before
    # A recording that the folder no longer gets must not stay behind with the old options.
    write_raw(tmp_path / "raw", moving_scene(9), labels(9, 200), (9, 1, 1))
    prepare(tmp_path / "raw", out, other)
    assert (out / RecordingName(9, 1, 1).frames_file).exists()
    summary = prepare(root, out, OPTIONS, force=True)
    assert [row.status for row in summary.rows] == ["written"] * 3
    assert contents(out) == contents(prepared)
    # Windows that follow each other without overlap are one option, however it is put.
    same = prepare(root, out, PrepareOptions(Windows(300, 300), workers=7))
    assert [row.status for row in same.rows] == ["kept"] * 3


def test_folders_that_hold_something_else_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        prepare(root, tmp_path, OPTIONS)
    for force in (False, True):
        with pytest.raises(OutputError, match=r"notes\.txt"):
            prepare(root, tmp_path / "notes.txt", OPTIONS, force=force)
    with pytest.raises(OutputError, match="cannot"):
        prepare(root, tmp_path / "notes.txt" / "out", OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_folders_without_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        prepare(tmp_path / "nowhere", tmp_path / "out", OPTIONS)
    (tmp_path / "DVS_movies/S1/session1").mkdir(parents=True)
    (tmp_path / "DVS_movies/S1/session1/movie.aedat").touch()
    with pytest.raises(DataError, match="holds no recordings"):
        prepare(tmp_path, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="--workers 0"):
        PrepareOptions(workers=0)


@pytest.mark.parametrize("file", ["DVS_movies/S1/session1/mov1.aedat", "Vicon_data/S1_1_1.mat"])
def test_a_recording_whose_files_changed_is_done_again(tmp_path: Path, file: str) -> None:
    root, out = tmp_path / "raw", tmp_path / "out"
    for subject in (1, 2):
        write_raw(root, moving_scene(subject), labels(subject, 200), (subject, 1, 1))
    prepare(root, out, OPTIONS)
    first = contents(out)
    # The same size, other numbers: what differs on disk is the time of the change.
    other = tmp_path / "other"
    write_raw(other, moving_scene(3), labels(3, 200), (1, 1, 1))
    assert (other / file).stat().st_size == (root / file).stat().st_size
    (other / file).replace(root / file)
    assert [row.status for row in prepare(root, out, OPTIONS).rows] == ["written", "kept"]
    changed = {name for name, content in contents(out).items() if content != first[name]}
    assert "S1_session1_mov1_7500events_label.h5" in changed
    assert all(name.startswith("S1_") for name in changed)
    assert [row.status for row in prepare(root, out, OPTIONS).rows] == ["kept", "kept"]


def test_frames_of_a_recording_that_is_now_damaged_do_not_stay(tmp_path: Path) -> None:
    root, out = tmp_path / "raw", tmp_path / "out"
    write_raw(root, moving_scene(1), labels(1, 200))
    prepare(root, out, PrepareOptions(Windows(300, 100)))
    (root / "Vicon_data/S1_1_1.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    summary = prepare(root, out, PrepareOptions(Windows(300, 100)))
    assert [row.status for row in summary.rows] == ["skipped"]
    assert contents(out) == {}
