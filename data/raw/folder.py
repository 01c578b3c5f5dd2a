"""The folders of ``prepare``: DHP19's own, and the output with its options file."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import h5py

from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.raw.recording import RawRecording
from ann2sdnn.data.recordings.recording import LABELS_DATASET, RecordingName, count_frames
from ann2sdnn.data.recordings.writer import SOURCE_ATTRIBUTE
from ann2sdnn.support.errors import DataError, OutputError
from ann2sdnn.support.files.h5 import DAMAGE, H5Fields
from ann2sdnn.support.files.marker import MARKER, holds_nothing
from ann2sdnn.support.files.targets import check_files, refuse_use
from ann2sdnn.support.files.writing import files_in, remove_own, write_error, write_text

OPTIONS_FILE = "prepare.json"
LOG_FILE = "prepare.log"

_EVENTS_PATTERN = "DVS_movies/S*/session*/mov*.aedat"
_EVENTS_NAME = re.compile(r"S([1-9]\d*)/session([1-9]\d*)/mov([1-9]\d*)\.aedat")
_RECORDING_FILE = re.compile(r"S\d+_session\d+_mov\d+_7500events(_label)?\.h5")
# What ``atomic_file`` leaves of these when the process is killed.
_PARTIAL_FILE = re.compile(r"\." + _RECORDING_FILE.pattern + r"\..+\.h5")


def find_recordings(root: Path) -> tuple[RawRecording, ...]:
    """Every ``DVS_movies/S{s}/session{n}/mov{m}.aedat`` under ``root``, sorted.

    The labels of each have to be ``Vicon_data/S{s}_{n}_{m}.mat``; whether they are there is not
    checked here. Raises DataError when there is no recording.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise DataError(f"{root} {found}; give the folder that DHP19 was unpacked into")
    recordings = []
    for path in root.glob(_EVENTS_PATTERN):
        match = _EVENTS_NAME.fullmatch(path.relative_to(root / "DVS_movies").as_posix())
        if match:
            recordings.append(RawRecording.at(root, RecordingName(*map(int, match.groups()))))
    if not recordings:
        raise DataError(
            f"{root} holds no recordings (DVS_movies/S1/session1/mov1.aedat and so on); "
            "give the folder that DHP19 was unpacked into"
        )
    return tuple(sorted(recordings, key=lambda raw: raw.name))


def open_output(out: Path, windows: Windows, *, force: bool) -> None:
    """Make ``out`` ready for frames cut with ``windows``, keeping those it has from before.

    With ``force`` the recordings that `prepare` wrote there are deleted. Raises OutputError,
    without ``force``, when it holds other files or recordings made with other options, and always
    when it holds recordings that somebody else wrote, or cannot be written.
    """
    options_path = out / OPTIONS_FILE
    fresh = force or not options_path.is_file()
    if fresh:
        refuse_use(out, options_path, force=force)
    check_files(out, _own_names(out) if fresh else (), force=True)
    if not fresh:
        _check_options(options_path, windows)
    with files_in(out):
        if fresh:
            # In this order, recordings never stand beside options they were not made with.
            remove_own((options_path, out / LOG_FILE))
            remove_own(_matching(out, _RECORDING_FILE))
            write_text(options_path, _describe(windows))
        for path in _matching(out, _PARTIAL_FILE):
            path.unlink()


def close_empty(out: Path, *, existed: bool) -> None:
    """Delete the files that ``open_output`` made in ``out``, where no recording was written.

    The folder is deleted too, unless it ``existed`` before.
    """
    remove_own((out / OPTIONS_FILE, out / LOG_FILE))
    if not holds_nothing(out):
        return
    (out / MARKER).unlink(missing_ok=True)
    if not existed:
        out.rmdir()


def _own_names(out: Path) -> tuple[str, ...]:
    """Files that `prepare` will write or delete in ``out``."""
    return (OPTIONS_FILE, LOG_FILE, *(path.name for path in _matching(out, _RECORDING_FILE)))


def _check_options(path: Path, windows: Windows) -> None:
    """Raise OutputError unless the options file in ``path`` is that of ``windows``."""
    found = path.read_text(encoding="utf-8", errors="replace")
    if found == _describe(windows):
        return
    try:
        whole = isinstance(json.loads(found), dict)
    except (ValueError, RecursionError):
        whole = False
    says = "says that its recordings were made with other options" if whole else "is damaged"
    raise OutputError(f"{path} {says}; choose another OUT or add --force to replace them")


def source_of(raw: RawRecording) -> str:
    """Size and time of change of a recording's two files, to notice changes."""
    stamps = {}
    for kind, path in (("events", raw.events_path), ("labels", raw.labels_path)):
        try:
            state = path.stat()
        except OSError:  # reported when the file is read
            stamps[kind] = "missing"
        else:
            stamps[kind] = f"{state.st_size} bytes, changed at {state.st_mtime_ns} ns"
    return json.dumps(stamps)


def frames_on_disk(out: Path, raw: RawRecording) -> int | None:
    """Number of frames of a recording in ``out``; None where it is incomplete or damaged, or was
    made from files that have changed since.
    """
    try:
        with h5py.File(out / raw.name.labels_file, "r") as labels:
            n_labels = len(labels[LABELS_DATASET])
            source = H5Fields(labels).text(SOURCE_ATTRIBUTE)
        n_frames, _ = count_frames(out / raw.name.frames_file)
    except (*DAMAGE, DataError):  # absent, or damaged after it was written: do it again
        return None
    return n_frames if n_frames == n_labels and source == source_of(raw) else None


def delete_recordings(out: Path, names: Iterable[RecordingName]) -> None:
    """Delete the frames and labels that ``out`` may hold of some recordings.

    Raises OutputError, before anything is deleted, for files of another program.
    """
    files = [file for name in names for file in (name.frames_file, name.labels_file)]
    check_files(out, files, force=True)
    remove_own(out / file for file in files)


def append_to_log(out: Path, line: str) -> None:
    """Add one line to the log of ``out``."""
    path = out / LOG_FILE
    if not path.exists():
        write_text(path, "")
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        raise write_error(path, error) from error


def _describe(windows: Windows) -> str:
    """The options that decide what a recording becomes, as the text of the options file."""
    options = {
        "schema": 1,
        "window_events": windows.window_events,
        "hop_events": windows.hop,
        "normalise": windows.normalise,
    }
    return json.dumps(options, indent=2) + "\n"


def _matching(out: Path, names: re.Pattern[str]) -> list[Path]:
    found = sorted(out.glob("*")) if out.is_dir() else ()
    return [path for path in found if names.fullmatch(path.name)]
