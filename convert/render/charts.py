"""The conversion report's plots along the network: bits, errors, operations, messages."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ann2sdnn.convert.report.layer import MESSAGE_BITS, STATE_BITS, LayerReport
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.convert.report.shares import error_parts
from ann2sdnn.support.page.figures import (
    DENSE,
    SDNN,
    SKIPPING,
    Style,
    layer_lines,
    legend_above,
    name_layers,
    new_figure,
    numbers,
    plain,
)

_WEIGHTS = Style("rounding of weights", "#0072b2", "o")
_MESSAGES = Style("flooring of messages", "#e69f00", "D")
_THRESHOLDS = Style("thresholds", "#cc79a7", "v")
_ACTIVATIONS = Style("activations (measured)", "#d55e00", "s")
_FORESEEN = Style("messages, foreseen", "#000000", "x")
_SPARE = "#e4e4e4"


def snr_chart(report: ConversionReport) -> Figure:
    """Signal-to-noise ratios of weights and activations along the network."""
    figure, axes = new_figure(9.0, 3.4)
    at = np.arange(len(report.layers))
    series = (
        (Style("weights", _WEIGHTS.colour, "o"), [one.weight_snr_db for one in report.layers]),
        (_ACTIVATIONS, [one.activation_snr_db for one in report.layers]),
    )
    for style, values in series:
        if all(value is None for value in values):
            continue
        axes.plot(at, numbers(values), color=style.colour, marker=style.marker, label=style.label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_ylabel("signal-to-noise ratio [dB]")
    name_layers(axes, _names(report))
    legend_above(axes)
    return figure


def error_chart(report: ConversionReport) -> Figure:
    """Where the output's error is foreseen to come from: shares of its energy."""
    figure, axes = new_figure(9.0, 3.4)
    energies = np.array([error_parts(layer) for layer in report.layers], np.float64)
    total = float(energies.sum())
    parts = 100 * energies / total if total else energies
    bottom = np.zeros(len(parts))
    for column, style in enumerate((_WEIGHTS, _MESSAGES, _THRESHOLDS)):
        heights = parts[:, column]
        if not heights.any():
            continue
        at = np.arange(len(parts))
        axes.bar(at, heights, 0.75, bottom, color=style.colour, label=style.label)
        bottom += heights
    axes.set_ylabel("of the foreseen error [%]")
    name_layers(axes, _names(report))
    legend_above(axes)
    return figure


def operations_chart(report: ConversionReport) -> Figure:
    """Operations done in every layer: shares of all."""
    figure, axes = new_figure(9.0, 3.0)
    total = sum(layer.synops_per_frame_measured for layer in report.layers) or 1.0
    shares = [100 * layer.synops_per_frame_measured / total for layer in report.layers]
    axes.bar(np.arange(len(shares)), shares, 0.75, color=SDNN.colour)
    axes.set_ylabel("of the operations [%]")
    name_layers(axes, _names(report))
    return figure


def events_chart(report: ConversionReport) -> Figure:
    """Messages a frame, measured and foreseen, beside the float network's active neurons."""
    layers = report.layers
    return layer_lines(
        _names(report),
        "a frame",
        (
            (Style("values to send", DENSE.colour, DENSE.marker), [x.outputs for x in layers]),
            (
                Style("not zero in the ANN", SKIPPING.colour, SKIPPING.marker),
                [_active(x) for x in layers],
            ),
            (
                Style("messages, measured", SDNN.colour, SDNN.marker),
                [x.events_per_frame_measured for x in layers],
            ),
            (_FORESEEN, [x.events_per_frame_predicted for x in layers]),
        ),
    )


def bits_chart(report: ConversionReport) -> Figure:
    """Bits that the largest weight, message and state use, of those there are."""
    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    top, middle, low = figure.subplots(3, 1, sharex=True)
    layers = report.layers
    weights = [one.weight_bits_available for one in layers]
    _bits(top, "weights", [one.weight_bits for one in layers], weights, _WEIGHTS.colour)
    messages = [MESSAGE_BITS - one.message_headroom_bits for one in layers]
    _bits(middle, "messages", messages, [MESSAGE_BITS] * len(layers), _MESSAGES.colour)
    states = [STATE_BITS - one.state_headroom_bits for one in layers]
    _bits(low, "states", states, [STATE_BITS] * len(layers), "#009e73")
    name_layers(low, _names(report))
    return figure


def _bits(
    axes: Axes, what: str, used: Sequence[float | None], available: Sequence[int], colour: str
) -> None:
    plain(axes)
    at = np.arange(len(used))
    axes.bar(at, available, 0.75, color=_SPARE)
    axes.bar(at, numbers(used), 0.75, color=colour)
    axes.set_yticks(np.linspace(0, max(available) // 4 * 4, 3))
    axes.set_ylabel(f"{what} [bits]")


def _active(layer: LayerReport) -> float | None:
    """Reports of earlier versions do not say how many values a layer sends; of the input that a
    relay repeats nothing is known.
    """
    if layer.outputs is None or layer.density is None:
        return None
    return layer.density * layer.outputs


def _names(report: ConversionReport) -> list[str]:
    return [layer.name for layer in report.layers]
