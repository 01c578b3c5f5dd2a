"""The plots of the conversion report along the network: errors, bits, operations, messages."""

from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.convert.render.sheets import layer_sizes
from ann2sdnn.convert.report.layer import MESSAGE_BITS, STATE_BITS, energy
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.page.document import picture
from ann2sdnn.support.page.figures import (
    DENSE,
    SDNN,
    SKIPPING,
    Style,
    Values,
    layer_lines,
    legend_above,
    name_layers,
    new_figure,
    new_grid,
    numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WEIGHTS = Style("rounding of weights", "#0072b2", "o")
_MESSAGES = Style("flooring of messages", "#e69f00", "D")
_THRESHOLDS = Style("thresholds", "#cc79a7", "v")
_ACTIVATIONS = Style("activations (measured)", "#d55e00", "s")
_PREDICTED = Style("messages, predicted", "#000000", "x")
_SPARE = "#e4e4e4"


@picture(
    "Sources of the error",
    "Predicted shares of the energy of the output error. A layer adds to it by rounding its"
    " weights, by flooring its messages to whole units and, with a budget, by its threshold."
    " Improve the layers with high bars first.",
)
def error_sources(report: ConversionReport) -> "Figure":
    """Each layer's share of the predicted output error."""
    figure, axes = new_figure(9.0, 3.4)
    parts = [[energy([error]) or 0.0 for error in x.predicted_errors] for x in report.layers]
    energies = np.array(parts, np.float64)
    shares = 100 * energies / (energies.sum() or 1.0)
    at, bottom = np.arange(len(shares)), np.zeros(len(shares))
    for heights, style in zip(shares.T, (_WEIGHTS, _MESSAGES, _THRESHOLDS), strict=True):
        if heights.any():
            axes.bar(at, heights, 0.75, bottom, color=style.colour, label=style.label)
            bottom += heights
    axes.set_ylabel("of the predicted error [%]")
    name_layers(axes, _names(report), layer_sizes(report))
    legend_above(axes)
    return figure


@picture(
    "Signal to noise",
    "In decibels: 20 dB is an error of a tenth, 40 dB of a hundredth. Weights: rounded against"
    " float; error-compensated rounding moves them further on purpose. Activations, measured in"
    " {report.probed_frames} frames: the sums at the receivers against the float network. They"
    " include the errors of all earlier layers, so they mostly fall along the network.",
)
def signal_to_noise(report: ConversionReport) -> "Figure":
    """Signal-to-noise ratios of weights and activations."""
    figure, axes = new_figure(9.0, 3.4)
    series = (
        (Style("weights", _WEIGHTS.colour, "o"), [x.weight_snr_db for x in report.layers]),
        (_ACTIVATIONS, [x.activation_snr_db for x in report.layers]),
    )
    for style, values in series:
        if any(value is not None for value in values):
            axes.plot(numbers(values), color=style.colour, marker=style.marker, label=style.label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_ylabel("signal-to-noise ratio [dB]")
    name_layers(axes, _names(report), layer_sizes(report))
    legend_above(axes)
    return figure


@picture(
    "Bits in use",
    "Bits of the largest weight, message and state, of the available bits (grey), signs included."
    " A headroom of x{report.headroom:.3g} keeps {report.headroom_bits:.2f} bits free in full"
    " layers. Weights that use few bits are rounded coarsely.",
)
def bits_in_use(report: ConversionReport) -> "Figure":
    """Bits used by the largest weight, message and state."""
    figure, ((top,), (middle,), (low,)) = new_grid(9.0, 5.0, 3, 1, sharex=True)
    layers = report.layers
    messages = [MESSAGE_BITS - layer.message_headroom_bits for layer in layers]
    states = [STATE_BITS - layer.state_headroom_bits for layer in layers]
    available = [layer.weight_bits_available for layer in layers]
    _draw_used(top, "weights", [x.weight_bits for x in layers], available, _WEIGHTS.colour)
    _draw_used(middle, "messages", messages, [MESSAGE_BITS] * len(layers), _MESSAGES.colour)
    _draw_used(low, "states", states, [STATE_BITS] * len(layers), "#009e73")
    name_layers(low, _names(report), layer_sizes(report))
    return figure


def _draw_used(axes: "Axes", name: str, used: Values, available: list[int], colour: str) -> None:
    at = np.arange(len(used))
    axes.bar(at, available, 0.75, color=_SPARE)
    axes.bar(at, numbers(used), 0.75, color=colour)
    axes.set_yticks(np.linspace(0, max(available) // 4 * 4, 3))
    axes.set_ylabel(f"{name} [bits]")


@picture("Operations", "Share of each layer in the multiplications on the calibration frames.")
def operations(report: ConversionReport) -> "Figure":
    """Operations done in every layer: shares of all."""
    figure, axes = new_figure(9.0, 3.0)
    shares = [100 * (layer.share_of_operations or 0.0) for layer in report.layers]
    axes.bar(np.arange(len(shares)), shares, 0.75, color=SDNN.colour)
    axes.set_ylabel("of the operations [%]")
    name_layers(axes, _names(report), layer_sizes(report))
    return figure


@picture(
    "Messages",
    "Per frame, on a logarithmic scale: all values of a layer, those that are not zero in the ANN,"
    " and the messages, measured and predicted from statistics. Where the SDNN's line is above the"
    " ANN's, a stateful layer costs more than it saves.",
)
def messages(report: ConversionReport) -> "Figure":
    """Messages per frame, measured and predicted, beside the float network's active neurons."""
    layers = report.layers
    active = [None if x.density is None else x.density * x.outputs for x in layers]
    return layer_lines(
        _names(report),
        "per frame",
        (
            (Style("all values", DENSE.colour, DENSE.marker), [x.outputs for x in layers]),
            (Style("not zero in the ANN", SKIPPING.colour, SKIPPING.marker), active),
            (
                Style("messages, measured", SDNN.colour, SDNN.marker),
                [x.events_per_frame_measured for x in layers],
            ),
            (_PREDICTED, [x.events_per_frame_predicted for x in layers]),
        ),
        layer_sizes(report),
    )


def _names(report: ConversionReport) -> list[str]:
    return [layer.name for layer in report.layers]
