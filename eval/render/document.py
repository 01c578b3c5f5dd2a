"""The evaluation in the terminal and as an HTML page for readers new to sigma-delta networks."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from ann2sdnn.convert.render.folds import details
from ann2sdnn.convert.render.summary import named_groups
from ann2sdnn.eval.render import classes, energy, errors, plots, pose_errors, sheets, tail
from ann2sdnn.eval.render.frames import examples, film, over_time
from ann2sdnn.eval.render.verdict import verdict_of
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.document import Document, Folds, Section, parts_of
from ann2sdnn.support.terminal import compact, counted, document_text, number
from ann2sdnn.support.versions import versions, versions_text


def _conversion(evaluation: Evaluation) -> Folds | None:
    """What the conversion did, for the page only: the terminal has `inspect` for it."""
    report = evaluation.conversion
    return None if report is None else replace(details(report), is_page_only=True)


# Beside the verdict on the page's first screen.
FIRST: list[Section[Evaluation]] = [sheets.summary, plots.operations, plots.search]

# To add a section, append a function to this list.
SECTIONS: list[Section[Evaluation]] = [
    tail.outputs_of_file,
    energy.energy,
    classes.confusion_table,
    errors.errors_of_frames,
    errors.errors_of_outputs,
    film.moving,
    over_time.over_time,
    examples.example_frames,
    classes.confusion_plot,
    errors.error_curves,
    plots.joint_errors,
    pose_errors.errors_of_movements,
    pose_errors.errors_of_joints,
    pose_errors.errors_of_cameras,
    plots.displacements,
    plots.layer_events,
    plots.layer_operations,
    plots.drift_of_stock_neuron,
    sheets.layers,
    _conversion,
]


def document(evaluation: Evaluation) -> Document:
    """All sections that have something to show."""
    report = evaluation.report
    return Document(
        title="ANN against SDNN",
        subtitle=sheets.frames_shown(report),
        sentences=verdict_of(report),
        warnings=report.warnings,
        first=parts_of(evaluation, FIRST),
        parts=parts_of(evaluation, SECTIONS),
        introduction=(
            "The ANN computes every value again for every frame. The sigma-delta network (SDNN)"
            " made from it is stateful: a neuron sends a message only when its value has changed"
            " by at least a threshold, and receivers add up the messages. If little changes, little"
            " is computed, at the price of a small error. This page shows both."
        ),
        small_print=tuple(_small_print(report)),
    )


def print_evaluation(
    evaluation: Evaluation,
    console: Console,
    *,
    last_line: str,
    layers: bool = False,
    options: Collection[str] = (),
) -> None:
    """Print the tables, with ``layers`` that of the layers, and ``last_line`` at the end.

    ``options``: names of options whose tables are shown too, such as "energy".
    """
    console.print(document_text(document(evaluation), details=layers, options=options))
    # A path is one word: soft wrap leaves it in one piece to be copied.
    console.print(Text(last_line), soft_wrap=True)


def render_html(evaluation: Evaluation) -> str:
    """The HTML page."""
    from ann2sdnn.support.page.html import render

    return render(document(evaluation))


def _small_print(report: EvaluationReport) -> Iterator[str]:
    ann, sdnn = report.ann, report.sdnn
    if ann is not None and ann.offset_px:
        offsets = (
            f"camera {camera}: "
            + (f"({offset[0]:.1f}, {offset[1]:.1f}) px" if offset else "unknown")
            for camera, offset in ann.offset_px.items()
        )
        yield (
            f"The ANN's joints have a constant offset (column, row) to the labels,"
            f" {'; '.join(offsets)}. It is the median over these frames; without it the error would"
            f" be {number(ann.mpjpe_px_without_offset, '.2f')} px."
        )
    if ann is not None:
        simulated = (
            f", SDNN simulated by {sdnn.backend} {sdnn.seconds_per_frame:.3f}" if sdnn else ""
        )
        threads = counted(report.threads, "thread")
        yield (
            f"Wall-clock seconds per frame on this machine with {threads}: ANN"
            f" {ann.seconds_per_frame:.3f}{simulated}. They are the cost of this evaluation, not"
            " the speed of a chip."
        )
    if sdnn is not None:
        yield (
            "Rounding weights to integers sets some to zero: a dense network with the SDNN's"
            f" weights would need {compact(sdnn.dense_macs_per_frame)} operations per frame."
            f" {sdnn.overflows} states overflowed; {sdnn.oversized_messages} messages were too"
            " large for 16 bits."
        )
    yield named_groups(report.group_name, report.recordings)
    yield f"SHA-256 of the network's file: {report.source_sha256}."
    yield (
        f"Evaluated with {versions_text(versions())}. Intervals resample recordings with a fixed"
        " seed; nothing else here is drawn at random."
    )
