"""Plots of a network while it learns: gradients and events layer by layer, errors over steps.

The first two are those of the `dhp19_sdnn` experiment. Colours and markers as in ``plots``.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ann2sdnn.support.page.figures import legend_above, name_layers, new_figure, numbers, plain

# Okabe and Ito (2008); a line style of its own for each, as a second way to tell them apart.
_COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
_STYLES = ("-", "--", "-.", ":")
_MARKERS = "os^vD<>p"


class Curve(NamedTuple):
    """A named series, one value a step; None where there is none."""

    name: str
    values: Sequence[float | None]


def gradient_flow_plot(layers: Sequence[str], steps: Sequence[Curve]) -> Figure:
    """Size of each layer's gradient, a line a step; a gradient of exactly 0 is a cross below.

    ``steps`` holds one value a layer, None where a layer has nothing to train.
    """
    figure, axes = new_figure(9.0, 3.8)
    _layer_lines(axes, layers, steps)
    axes.set_ylabel("gradient norm of the weights")
    return figure


def events_plot(layers: Sequence[str], steps: Sequence[Curve]) -> Figure:
    """Events each layer sent, a line a step, on a logarithmic scale; none is a cross below."""
    figure, axes = new_figure(9.0, 3.8)
    _layer_lines(axes, layers, steps)
    axes.set_ylabel("events in the batch")
    return figure


def events_over_steps_plot(
    layers: Sequence[str], densities: Sequence[Sequence[float]], *, first_step: int = 1
) -> Figure:
    """Share of the neurons that send, a line a layer over steps: ``densities`` [steps][layers].

    Colours go from the first layer (dark) to the last (bright).
    """
    figure, axes = new_figure(9.0, 4.2)
    values = np.array(densities, np.float64)  # [steps, layers]
    at = np.arange(first_step, first_step + len(values))
    colours = colormaps["viridis"]
    for index, name in enumerate(layers):
        share = index / max(1, len(layers) - 1)
        heights = np.where(values[:, index] > 0, values[:, index], np.nan)
        axes.plot(at, heights, color=colours(0.9 * share), linestyle=_STYLES[index % 4], label=name)
    axes.set_yscale("log")
    if values.any():
        axes.set_ylim(10.0 ** np.floor(np.log10(values[values > 0].min())), 1.0)
    axes.set_xlabel("step")
    axes.set_ylabel("events / (neurons x frames)")
    figure.legend(loc="outside right upper", frameon=False, fontsize=7)
    return figure


def loss_plot(panels: Mapping[str, Sequence[Curve]]) -> Figure:
    """Errors over the error of predicting nothing, a panel a group of runs; 1 is silence."""
    figure = Figure(figsize=(4.4 * len(panels), 4.6), layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=True):
        axes.axhline(1.0, color="#bbbbbb", linewidth=4, zorder=0)
        for index, curve in enumerate(curves):
            at = np.arange(1, len(curve.values) + 1)
            axes.plot(
                at,
                numbers(curve.values),
                color=_COLOURS[index % len(_COLOURS)],
                linestyle=_STYLES[(index % 2 + index // len(_COLOURS) * 2) % 4],
                linewidth=1.4,
                label=curve.name,
            )
        plain(axes)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=7, frameon=False)
    grid[0, 0].set_ylabel("error / error of predicting nothing")
    grid[0, 0].set_ylim(*_limits([c for curves in panels.values() for c in curves]))
    return figure


def _layer_lines(axes: Axes, layers: Sequence[str], steps: Sequence[Curve]) -> None:
    at = np.arange(len(layers))
    every = np.concatenate([numbers(curve.values) for curve in steps])
    positive = every[np.nan_to_num(every) > 0]
    floor = float(positive.min()) / 10 if len(positive) else 1.0
    for index, curve in enumerate(steps):
        values = numbers(curve.values)
        colour = _COLOURS[index % len(_COLOURS)]
        there = ~np.isnan(values)
        shown = np.where(values > 0, values, np.nan)
        axes.plot(
            at[there],
            shown[there],
            color=colour,
            marker=_MARKERS[index % len(_MARKERS)],
            label=curve.name,
        )
        nothing = values == 0
        axes.plot(at[nothing], np.full(nothing.sum(), floor), "x", color=colour)
    axes.set_yscale("log")
    name_layers(axes, layers)
    legend_above(axes)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """What shows every end; a first error far above silence may leave the picture."""
    ends = [value for curve in curves for value in curve.values[-1:] if value is not None]
    lows = [value for curve in curves for value in curve.values if value is not None]
    return min([0.9, *lows]) - 0.05, min(max([1.3, *ends]) + 0.1, 3.0)
