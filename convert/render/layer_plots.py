"""Histograms of each layer's values, with the threshold and the limits of the grid."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.convert.render.sheets import layer_sizes
from ann2sdnn.convert.report.layer import MESSAGE_BITS, STATE_BITS, HalfOctaves, LayerReport
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.page.blocks import blocks_of
from ann2sdnn.support.page.document import Gallery, Picture
from ann2sdnn.support.page.figures import new_grid
from ann2sdnn.support.terminal import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POSITIVE, _NEGATIVE, _ACTIVATIONS, _CHANGES = "#0072b2", "#cc79a7", "#0072b2", "#e69f00"
_LIMIT, _HEADROOM, _THRESHOLD = "#000000", "#999999", "#d55e00"
_LEAST = 1e-7  # of the values: rarer ones are not drawn


def layers(report: ConversionReport) -> Gallery:
    """Two histograms per layer, by block where there are many layers."""
    unit = report.message_unit
    names = [layer.name for layer in report.layers]
    blocks = blocks_of(names, layer_sizes(report))
    return Gallery(
        "Layer by layer",
        "Histograms of the float network's values on the grid of the converted network"
        f" ({report.probed_frames} frames): the share of all neurons with a value in an octave of"
        " magnitude; zeros are left out. Left: the weighted sums in the 24-bit state, with the"
        " negative ones that the ReLU drops; a state beyond the limit wraps. Right: the values"
        " sent: activations in a first frame, later their changes from frame to frame; changes"
        " below the threshold are held back. The dashed line is the limit divided by the headroom;"
        " the largest values of the calibration, often rarer than is drawn here, may reach it.",
        tuple(
            Picture(layer.name, caption(layer, unit), partial(_draw, layer, report.headroom, unit))
            for layer in report.layers
        ),
        blocks=blocks if len(blocks) < len(names) else (),
    )


def caption(layer: LayerReport, unit: float) -> str:
    """The two histograms in one sentence; ``unit``: of a message, as in ``_draw``."""
    seen = layer.distributions
    text = (
        f"{_percent(seen.positive.nonzero)} of the pre-activations are positive and"
        f" {_percent(seen.negative.nonzero)} negative; the largest state leaves"
        f" {layer.state_headroom_bits:.1f} of {STATE_BITS} bits and the largest message"
        f" {layer.message_headroom_bits:.1f} of {MESSAGE_BITS};"
        f" {_percent(seen.activations.nonzero)} of the activations"
    )
    if seen.changes.total:
        text += f" and {_percent(seen.changes.nonzero)} of the changes between frames"
    text += " are not zero"
    if layer.threshold > 0:
        least = max(layer.threshold / unit, 1.0)
        name, held = (
            ("changes", seen.changes) if seen.changes.total else ("activations", seen.activations)
        )
        text += (
            f", and the threshold of {layer.threshold_ann:.3g} in the ANN's units holds back"
            f" {_percent(smaller(held, least))} of those {name}"
        )
    else:
        lost = smaller(seen.activations, 1.0)
        text += f", and {_percent(lost)} of those activations are less than a message unit"
    return f"{text} (activations' SNR {number(layer.activation_snr_db, '.1f')} dB)."


def _draw(layer: LayerReport, headroom: float, unit: float) -> "Figure":
    """States and sent values, on the grid's own logarithmic scale.

    ``unit``: of a message, in units of the scaled activation.
    """
    seen = layer.distributions
    figure, ((left, right),) = new_grid(9.0, 2.1, 1, 2)
    _curves(left, ((seen.positive, _POSITIVE, "positive"), (seen.negative, _NEGATIVE, "negative")))
    _limits(left, STATE_BITS, headroom)
    left.set_xlabel("pre-activation [units of the 24-bit state]")
    _curves(
        right,
        ((seen.activations, _ACTIVATIONS, "activations"), (seen.changes, _CHANGES, "changes")),
    )
    _limits(right, MESSAGE_BITS, headroom)
    if layer.threshold > 0:
        at = np.log2(layer.threshold / unit)
        right.axvline(at, color=_THRESHOLD, linewidth=1.8, label="threshold")
    right.set_xlabel("sent [units of the 16-bit message]")
    left.set_ylabel("neurons [%/octave]")
    for axes in (left, right):
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=5,
            frameon=False,
            fontsize=8,
            handlelength=1.2,
            columnspacing=0.9,
        )
    return figure


def smaller(seen: HalfOctaves, units: float) -> float:
    """Fraction of the non-zero values that are smaller than ``units`` (1 or more)."""
    edges = half_octave_edges(len(seen.counts))
    inside = np.clip((units - edges[:-1]) / np.diff(edges), 0, 1)
    counts = np.array(seen.counts, np.float64)
    total = counts.sum() + seen.below
    return float((counts @ inside + seen.below) / total) if total else 0.0


def half_octave_edges(n_bins: int) -> NDArray[np.float64]:
    """1, 1.5, 2, 3, 4, 6, ...: [n_bins + 1]."""
    at = np.arange(n_bins + 1)
    return np.asarray(2.0 ** (at // 2) * np.where(at % 2, 1.5, 1.0), np.float64)


def _curves(axes: "Axes", series: Sequence[tuple[HalfOctaves, str, str]]) -> None:
    for seen, colour, label in series:
        if not any(seen.counts):
            continue
        at = np.log2(half_octave_edges(len(seen.counts)))
        # Halves of an octave differ in width on this scale, so they are compared by density.
        heights = 100 * np.array(seen.counts, np.float64) / seen.total / np.diff(at)
        heights = np.maximum(heights, 100 * _LEAST)
        axes.stairs(heights, at, baseline=100 * _LEAST, fill=True, color=colour, alpha=0.3)
        axes.stairs(heights, at, baseline=None, color=colour, label=label)
    axes.set_yscale("log")
    axes.set_ylim(100 * _LEAST, 100)
    axes.set_yticks([1e-4, 1e-2, 1, 100], ["0.0001", "0.01", "1", "100"])
    axes.minorticks_off()


def _limits(axes: "Axes", bits: int, headroom: float) -> None:
    """Of numbers of so many ``bits``, one of which is the sign."""
    axes.axvline(bits - 1, color=_LIMIT, linewidth=1.8, label="limit")
    axes.axvline(
        bits - 1 - np.log2(headroom),
        color=_HEADROOM,
        linewidth=1.2,
        linestyle="--",
        label="headroom",
    )
    step = 4 if bits > 16 else 3
    ticks = range(0, bits, step)
    axes.set_xticks(list(ticks), [rf"$2^{{{tick}}}$" for tick in ticks])
    axes.set_xlim(-0.2, bits - 0.6)


def _percent(fraction: float) -> str:
    return f"{fraction:.1%}" if fraction >= 0.001 or fraction == 0 else f"{100 * fraction:.1g}%"
