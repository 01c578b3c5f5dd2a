"""The conversion report as one page without external resources."""

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group

from ann2sdnn.convert.render import charts
from ann2sdnn.convert.render.budget_sheets import tuning_note, tuning_sheets
from ann2sdnn.convert.render.layer_plots import caption, layer_plot
from ann2sdnn.convert.render.lowering_tables import lowering_tables
from ann2sdnn.convert.render.sheets import layer_sheets
from ann2sdnn.convert.render.summary import summary_lines
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.files.writing import write_text
from ann2sdnn.support.page.page import Picture, render, small_picture

_WIDTH = 80
_LAYER_DPI = 100


@dataclass(frozen=True)
class LayerSection:
    """A layer's name as a title and as a link's target, and its plot."""

    name: str
    anchor: str
    picture: Picture


def write_html(
    report: ConversionReport, path: Path, *, force: bool, inputs: Iterable[Path] = ()
) -> None:
    """Write the page; raises what ``atomic_file`` raises."""
    write_text(path, render_html(report), force=force, inputs=inputs)


def render_html(report: ConversionReport) -> str:
    """The page."""
    return render(
        "convert.render/conversion.html.j2",
        report=report,
        summary=summary_lines(report),
        pictures=tuple(_pictures(report)),
        layers=tuple(_layers(report)),
        sheets=(*layer_sheets(report), *tuning_sheets(report)),
        notes=tuning_note(report),
        lowering=_lowering(report),
    )


def _pictures(report: ConversionReport) -> Iterator[Picture]:
    layers = report.layers
    if any(layer.foreseen_weight_error is not None for layer in layers):
        yield small_picture(
            "Where the error comes from",
            "Shares of the output's error that each layer is foreseen to cause: by rounding its"
            " weights, by flooring what it sends to whole message units and, where thresholds keep"
            " a budget, by its threshold. Effort belongs where a bar is high.",
            charts.error_chart(report),
        )
    meaning = (
        "Decibels: 20 dB is an error of a tenth, 40 dB of a hundredth. Of weights: the rounded"
        " against the float ones; rounding with errors made up for moves them further on purpose."
    )
    if report.probed_frames:
        meaning += (
            f" Of activations it is measured in {report.probed_frames} frames, what receivers of"
            " the SDNN have summed up against the float network; errors of all earlier layers are"
            " in it, so it mostly falls along the network."
        )
    yield small_picture("Signal to noise", meaning, charts.snr_chart(report))
    yield small_picture(
        "Bits in use",
        "What the largest weight, message and state need, of what there is (grey), signs included."
        f" A headroom of x{report.headroom:.3g} is {math.log2(report.headroom):.2f} bits and meant"
        " to stay free in the layers that are full; weights that use few bits are rounded"
        " coarsely.",
        charts.bits_chart(report),
    )
    yield small_picture(
        "Operations",
        "Share of the multiplications done in each layer because of what arrives there, on the"
        " calibration frames.",
        charts.operations_chart(report),
    )
    yield small_picture(
        "Messages",
        "A frame, on a logarithmic scale: what the layer could send, what is not zero in the ANN,"
        " the messages counted and those foreseen from statistics. Where the SDNN's line is above"
        " the ANN's, remembering costs more than it saves.",
        charts.events_chart(report),
    )


def _layers(report: ConversionReport) -> Iterator[LayerSection]:
    unit = 2.0 ** -(6 + report.spike_exp)
    for index, layer in enumerate(report.layers):
        seen = layer.distributions
        if seen is None:
            continue
        figure = layer_plot(layer, seen, report.headroom, unit)
        drawn = small_picture(layer.name, caption(layer, seen, unit), figure, dpi=_LAYER_DPI)
        yield LayerSection(layer.name, f"layer-{index}", drawn)


def _lowering(report: ConversionReport) -> str:
    """The lowered network's tables as text."""
    parts = lowering_tables(report.lowering)
    if not parts:
        return ""
    console = Console(width=_WIDTH, file=io.StringIO(), record=True)
    console.print(Group(*parts))
    return console.export_text()
