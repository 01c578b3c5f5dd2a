"""The conversion report in the terminal and as an HTML page."""

from collections.abc import Collection, Iterable
from pathlib import Path

from rich.console import RenderableType

from ann2sdnn.convert.render import charts, folds, layer_plots, points
from ann2sdnn.convert.render.summary import named_groups, summary_lines
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.files.writing import write_text
from ann2sdnn.support.page.document import Document, Section, parts_of
from ann2sdnn.support.terminal import counted, document_text, number
from ann2sdnn.support.versions import versions_text

# Beside the verdict on the page's first screen.
FIRST: list[Section[ConversionReport]] = [points.table, points.operations, points.search]

# To add a section, append a function to this list.
SECTIONS: list[Section[ConversionReport]] = [
    charts.error_sources,
    charts.operations,
    charts.messages,
    folds.details,
    layer_plots.layers,
]


def document(report: ConversionReport) -> Document:
    """All sections that have something to show."""
    frames = counted(report.calibration_frames, "calibration frame")
    seconds = (f"{stage} {number(time, '.1f')}" for stage, time in report.seconds.items())
    return Document(
        title="Conversion report",
        subtitle=f"{counted(len(report.layers), 'layer')}, {frames}.",
        sentences=points.verdict_of(report),
        first=parts_of(report, FIRST),
        facts=summary_lines(report),
        warnings=tuple(report.warnings),
        parts=parts_of(report, SECTIONS),
        small_print=(
            "Operations are multiplications by a non-zero weight that messages cause, counted at"
            " the border-correct fan-out. They are no measure of time or energy on a device.",
            "Predicted errors are taken as small and independent of each other.",
            f"Seconds: {', '.join(seconds)}.",
            named_groups(report.group_name, report.calibration_recordings),
            f"SHA-256 of the network's file: {report.source_sha256}.",
            *([f"Converted with {versions_text(report.versions)}."] if report.versions else ()),
            "Random numbers come from fixed seeds: the same frames, options and versions give the"
            " same integers.",
        ),
    )


def report_tables(
    report: ConversionReport, *, layers: bool = False, options: Collection[str] = ()
) -> RenderableType:
    """The report for the terminal, at most 80 columns wide.

    Of many layers it shows blocks; with ``layers`` each layer. ``options``: names of options whose
    tables are shown too, such as "loihi".
    """
    return document_text(document(report), details=layers, options=options)


def render_html(report: ConversionReport) -> str:
    """The report as an HTML page."""
    from ann2sdnn.support.page.html import render

    return render(document(report))


def write_html(
    report: ConversionReport, path: Path, *, force: bool, inputs: Iterable[Path] = ()
) -> None:
    """Write the page; raises what ``write_text`` raises."""
    write_text(path, render_html(report), force=force, inputs=inputs)
