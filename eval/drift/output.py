"""The files of a drift measurement, and its table in the terminal."""

import os
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ann2sdnn.eval.drift.report import SCHEMA, DriftReport, conclusions, rows, windows
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.json_text import read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.targets import check_files
from ann2sdnn.support.files.writing import atomic_file, files_in
from ann2sdnn.support.page.numbers import compact, decimals

DRIFT_JSON_FILE = "drift.json"
DRIFT_PICTURE_FILE = "drift.png"


def check_drift_files(out: Path, *, force: bool) -> None:
    """Raise OutputError unless the files can be written into ``out``."""
    check_files(out, (DRIFT_JSON_FILE, DRIFT_PICTURE_FILE), force=force)


def write_drift(report: DriftReport, out: Path) -> None:
    """Write the files into the folder ``out``, all or none, replacing old ones."""
    from ann2sdnn.eval.drift.plot import drift_figure
    from ann2sdnn.support.page.figures import to_png

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
    """Print the table, what it means, and ``last_line``."""
    console.print(drift_table(report))
    for sentence in conclusions(report):
        console.print(Text(sentence))
    console.print(Text(last_line), soft_wrap=True)


def drift_table(report: DriftReport) -> Table:
    """One row a treatment: relative heat-map errors by frame, then means over all frames."""
    shown = report.sequence
    played = (
        f", its {shown.recorded_frames} frames forwards and backwards"
        if shown.recorded_frames < shown.frames
        else ""
    )
    camera = "" if shown.channel is None else f", camera {shown.channel}"
    table = Table(
        title=f"{shown.recording}{camera}, {shown.height}x{shown.width}{played}:"
        " relative error of the heat maps by frame",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("neuron", no_wrap=True)
    for start, stop in windows(shown.frames):
        head = f"{start}" if stop - start == 1 else f"{start}-\n{stop - 1}"
        table.add_column(head, justify="right", no_wrap=True)
    for head in ("moved\npx", "messages\n/frame", "operations\n/frame"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows(report):
        table.add_row(
            row.name,
            *(decimals(error, 2) for error in row.errors),
            decimals(row.displacement_px, 2),
            compact(row.events_per_frame),
            compact(row.synops_per_frame),
        )
    return table
