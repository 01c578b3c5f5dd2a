"""The folders ``prepare`` works on: what DHP19's holds, and what the output says of itself."""

import json
import re
from pathlib import Path

import h5py

from ann2sdnn.data.accumulate import Windows
from ann2sdnn.data.h5 import SOURCE_ATTRIBUTE
from ann2sdnn.data.prepare_recording import RawRecording
from ann2sdnn.data.recording import LABELS_DATASET, RecordingName, count_frames
from ann2sdnn.errors import DataError, OutputError
from ann2sdnn.files import refuse_existing, write_text

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
    found = []
    for path in root.glob(_EVENTS_PATTERN):
        match = _EVENTS_NAME.fullmatch(path.relative_to(root / "DVS_movies").as_posix())
        if match:
            found.append(RawRecording.at(root, RecordingName(*map(int, match.groups()))))
    if not found:
        raise DataError(
            f"{root} holds no recordings (DVS_movies/S1/session1/mov1.aedat and so on); "
            "give the folder that DHP19 was unpacked into"
        )
    return tuple(sorted(found, key=lambda raw: raw.name))


def open_output(out: Path, windows: Windows, *, force: bool) -> None:
    """Make ``out`` ready for frames cut with ``windows``, keeping those it has from before.

    With ``force`` the recordings it has are deleted. Raises OutputError, without ``force``, when
    it holds other files or recordings made with other options, and when it cannot be written.
    """
    options_path = out / OPTIONS_FILE
    options = _describe(windows)
    try:
        if force or not options_path.is_file():
            refuse_existing(out, force=force and (out.is_dir() or not out.exists()))
            # In this order, recordings never stand beside options they were not made with.
            options_path.unlink(missing_ok=True)
            (out / LOG_FILE).unlink(missing_ok=True)
            _delete(out, _RECORDING_FILE)
            write_text(options_path, options)
        elif options_path.read_text(encoding="utf-8", errors="replace") != options:
            raise OutputError(
                f"{options_path} says that its recordings were made with other options; choose "
                "another --out or add --force to replace them"
            )
        _delete(out, _PARTIAL_FILE)
    except OSError as error:
        raise OutputError(f"cannot write into {out}: {error.strerror}") from error


def source_of(raw: RawRecording) -> str:
    """Size and time of change of a recording's two files: other bytes have another source."""
    stamps = {}
    for kind, path in (("events", raw.events_path), ("labels", raw.labels_path)):
        try:
            state = path.stat()
        except OSError:  # whoever reads it next says so
            stamps[kind] = "missing"
        else:
            stamps[kind] = f"{state.st_size} bytes, changed at {state.st_mtime_ns} ns"
    return json.dumps(stamps)


def frames_on_disk(out: Path, raw: RawRecording) -> int | None:
    """Frames of a recording that ``out`` holds completely, None when it does not.

    Nor does it where they were made from files that have changed since.
    """
    try:
        with h5py.File(out / raw.name.labels_file, "r") as labels:
            n_labels = len(labels[LABELS_DATASET])
            source = labels.attrs.get(SOURCE_ATTRIBUTE)
        n_frames, _ = count_frames(out / raw.name.frames_file)
    except (OSError, KeyError, DataError):  # absent, or damaged after it was written: do it again
        return None
    return n_frames if n_frames == n_labels and source == source_of(raw) else None


def delete_recording(out: Path, name: RecordingName) -> None:
    """Delete the frames and labels that ``out`` may hold of a recording."""
    for file in (name.frames_file, name.labels_file):
        (out / file).unlink(missing_ok=True)


def append_to_log(out: Path, line: str) -> None:
    """Add one line to the log of ``out``."""
    with (out / LOG_FILE).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def _describe(windows: Windows) -> str:
    """The options that decide what a recording becomes, as the text of the options file."""
    options = {
        "schema": 1,
        "window_events": windows.window_events,
        "hop_events": windows.hop,
        "normalise": "fixed" if windows.fixed_scale else "frame",
    }
    return json.dumps(options, indent=2) + "\n"


def _delete(out: Path, names: re.Pattern[str]) -> None:
    for path in out.glob("*") if out.is_dir() else ():
        if names.fullmatch(path.name):
            path.unlink()
