"""The files of a drift measurement, and its table."""

import os
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ann2sdnn.eval.drift.plot import drift_figure
from ann2sdnn.eval.drift.report import SCHEMA, DriftReport, conclusions, mean
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.json_text import read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.targets import check_files
from ann2sdnn.support.files.writing import atomic_file, files_in
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.figures import to_png
from ann2sdnn.support.terminal import compact, number, sheet_text

DRIFT_JSON_FILE = "drift.json"
DRIFT_PICTURE_FILE = "drift.png"


def check_drift_files(out: Path, *, force: bool) -> None:
    """Raise OutputError unless the files can be written into ``out``."""
    check_files(out, (DRIFT_JSON_FILE, DRIFT_PICTURE_FILE), force=force)


def write_drift(report: DriftReport, out: Path) -> None:
    """Write the files into the folder ``out``, all or none, replacing old ones."""
    with (
        files_in(out),
        atomic_file(out / DRIFT_JSON_FILE) as json_part,
        atomic_file(out / DRIFT_PICTURE_FILE) as picture_part,
    ):
        json_part.write_text(report.model_dump_json(by_alias=True) + "\n", encoding="utf-8")
        picture_part.write_bytes(to_png(drift_figure(report)))


def read_drift(folder: Path) -> DriftReport | None:
    """The measurement in ``folder``; None where there is none, DataError for a damaged one."""
    path = folder / DRIFT_JSON_FILE
    if not os.path.lexists(path):
        return None
    refuse_lfs_pointer(path, DataError)
    try:
        return read_model(path, DriftReport, schema=SCHEMA)
    except ValueError as error:
        raise DataError(
            f"{path} is not what `ann2sdnn drift` writes ({error}); run it again with --force, or"
            " remove the file"
        ) from error


def print_drift(report: DriftReport, console: Console, *, last_line: str) -> None:
    """Print the table, the conclusions, and ``last_line``."""
    console.print(sheet_text(drift_sheet(report)))
    for sentence in conclusions(report):
        console.print(Text(sentence))
    console.print(Text(last_line), soft_wrap=True)


def drift_sheet(report: DriftReport) -> Sheet:
    """One row per treatment: relative errors by frame, then means over all frames."""
    shown = report.sequence
    repeated = shown.recorded_frames < shown.frames
    notes = (f"The {shown.recorded_frames} recorded frames are shown forwards and backwards.",)
    ranges = windows(shown.frames)
    moved = ("moved\npx",) if report.has_joints else ()
    camera = "" if shown.channel is None else f", camera {shown.channel}"
    return Sheet(
        f"{shown.recording}{camera}, {shown.height}x{shown.width}: relative error"
        f" of the {report.outputs} by frame",
        (
            "neuron",
            *(f"{a}" if b - a == 1 else f"{a}-\n{b - 1}" for a, b in ranges),
            *moved,
            "messages\n/frame",
            "operations\n/frame",
        ),
        tuple(
            (
                curve.name,
                *(number(mean(curve.heatmap_relative_error[a:b]), ".2f") for a, b in ranges),
                *(number(mean(curve.displacement_px), ".2f") for _ in moved),
                compact(mean(curve.events)),
                compact(mean(curve.synops)),
            )
            for curve in report.curves
        ),
        notes=notes if repeated else (),
    )


def windows(n_frames: int) -> tuple[tuple[int, int], ...]:
    """Ranges of frames [start, stop) to report: the first frame, then decades, then the end."""
    edges = [0, 1, *(e for e in (10, 100, 1000, 10_000) if e < n_frames), n_frames]
    return tuple((a, b) for a, b in pairwise(edges) if a < b)
