"""Turns raw DHP19 recordings (event and Vicon files) into pairs of HDF5 files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.raw.folder import (
    append_to_log,
    close_empty,
    delete_recordings,
    find_recordings,
    frames_on_disk,
    open_output,
    source_of,
)
from ann2sdnn.data.raw.options import PrepareOptions
from ann2sdnn.data.raw.recording import RawRecording, prepare_recording
from ann2sdnn.data.recordings.label_check import warn_of_labels
from ann2sdnn.data.recordings.recording import RecordingName, open_recordings
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.memory import available_bytes, check_workers
from ann2sdnn.support.processes.pool import run_jobs
from ann2sdnn.support.progress import SILENT, Reporter


@dataclass(frozen=True)
class PreparedRecording:
    """The outcome of one recording.

    ``kept``: an earlier run wrote it. ``skipped``: it has no frames but a ``reason``.
    """

    recording: RecordingName
    status: Literal["written", "kept", "skipped"]
    frames: int
    reason: str = ""

    def __str__(self) -> str:
        outcome = self.reason if self.status == "skipped" else f"{self.frames} frames"
        return f"{self.recording.stem} {self.status}: {outcome}"


@dataclass(frozen=True)
class PrepareSummary:
    """One row per recording, sorted by subject, session and movement. ``warnings``: one sentence
    per implausible thing about the labels.
    """

    rows: tuple[PreparedRecording, ...]
    warnings: tuple[str, ...] = ()

    def with_status(self, status: str) -> tuple[PreparedRecording, ...]:
        """The rows that are ``written``, ``kept`` or ``skipped``."""
        return tuple(row for row in self.rows if row.status == status)


def prepare(
    root: Path,
    out: Path,
    options: PrepareOptions | None = None,
    *,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> PrepareSummary:
    """Turn every recording of the DHP19 folder ``root`` into frames and labels in ``out``.

    A recording that is damaged, lacks its labels or is too short for a frame is skipped with a
    warning and its reason. ``out`` also gets ``prepare.json``, the options, and ``prepare.log``;
    where every recording was skipped nothing stays behind.
    Run again with the same options, it keeps the recordings ``out`` holds, unless their files have
    changed since, and does the rest; with ``force`` it does all of them again. Progress counts the
    bytes of the event files.

    Raises DataError when ``root`` holds no recording; OutputError when ``out`` holds other files
    or was prepared with other options (and ``force`` is false) or cannot be written.
    """
    options = options or PrepareOptions()
    if options.scheduler is not None:  # its workers have another working directory
        root, out = root.absolute(), out.absolute()
    recordings = find_recordings(root)
    check_workers(min(options.workers, len(recordings)), available=available_bytes())
    existed = out.is_dir()
    open_output(out, options.windows, force=force)
    rows, missing = [], []
    for raw in recordings:
        frames = frames_on_disk(out, raw)
        if frames is None:
            missing.append(raw)
        else:
            rows.append(PreparedRecording(raw.name, "kept", frames))
    # Old files would stay if the recording were skipped now.
    delete_recordings(out, [raw.name for raw in missing])
    with reporter.task("prepare", sum(raw.n_bytes for raw in missing), "bytes") as task:
        work = partial(_prepare_one, out=out, windows=options.windows)
        if options.workers > 1 or options.scheduler is not None:
            # The longest first, so that workers end together.
            missing.sort(key=lambda raw: raw.n_bytes, reverse=True)
        hint = ", finished recordings are kept"
        prepared = run_jobs(
            work, missing, options.workers, task.advance, hint=hint, scheduler=options.scheduler
        )
        for row in prepared:
            rows.append(row)
            append_to_log(out, str(row))
            if row.status == "skipped":
                reporter.message(str(row))
    written = {row.recording for row in rows if row.status != "skipped"}
    if not written:
        close_empty(out, existed=existed)
        return PrepareSummary(tuple(rows), ())
    there = [one for one in open_recordings(out) if one.name in written]
    warnings = warn_of_labels(there, reporter)
    for sentence in warnings:
        append_to_log(out, f"Warning: {sentence}")
    return PrepareSummary(tuple(sorted(rows, key=lambda row: row.recording)), warnings)


def _prepare_one(
    raw: RawRecording, advance: Callable[[int], None], *, out: Path, windows: Windows
) -> PreparedRecording:
    done = 0

    def count(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        advance(n_bytes)

    source = source_of(raw)  # before the files are read: a change meanwhile is noticed next time
    try:
        frames = prepare_recording(raw, out, windows, count, source=source)
        row = PreparedRecording(raw.name, "written", frames)
    except DataError as error:
        row = PreparedRecording(raw.name, "skipped", 0, str(error))
    advance(raw.n_bytes - done)  # the header, and what was skipped or lies behind the labels
    return row
