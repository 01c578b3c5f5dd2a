"""Plots gradients and events over layers, and events over steps.

The first two kinds are those of the `dhp19_sdnn` experiment.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from ann2sdnn.support.page.figures import (
    Values,
    legend_above,
    line_names,
    name_layers,
    new_figure,
    numbers,
)

# Okabe and Ito (2008); every curve has its own line style or marker as well.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
LINE_STYLES = ("-", "--", "-.", ":")
_MARKERS = "os^vD<>p"


def layer_plot(layers: Sequence[str], steps: Mapping[str, Values], ylabel: str) -> Figure:
    """One line per step, one value per layer, on a logarithmic scale; a 0 is a cross below."""
    figure, axes = new_figure(9.0, 3.8)
    at = np.arange(len(layers))
    every = np.concatenate([numbers(values) for values in steps.values()])
    positive = every[np.nan_to_num(every) > 0]
    floor = float(positive.min()) / 10 if len(positive) else 1.0
    for index, (name, series) in enumerate(steps.items()):
        values = numbers(series)
        colour, marker = COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)]
        present = ~np.isnan(values)
        shown = np.where(values > 0, values, np.nan)[present]
        axes.plot(at[present], shown, color=colour, marker=marker, label=name)
        zero = values == 0
        axes.plot(at[zero], np.full(zero.sum(), floor), "x", color=colour)
    axes.set_yscale("log")
    axes.set_ylabel(ylabel)
    name_layers(axes, layers)
    legend_above(axes)
    return figure


def events_over_steps_plot(layers: Sequence[str], densities: Sequence[Sequence[float]]) -> Figure:
    """Share of the neurons that send, over steps: ``densities`` [steps][layers].

    One line per layer, from the first (dark) to the last (bright); of many, a name per block.
    """
    figure, axes = new_figure(9.0, 4.2)
    values = np.array(densities, np.float64)  # [steps, layers]
    at = np.arange(1, len(values) + 1)
    colours = colormaps["viridis"]
    for index, name in enumerate(line_names(layers)):
        share = index / max(1, len(layers) - 1)
        heights = np.where(values[:, index] > 0, values[:, index], np.nan)
        style = LINE_STYLES[index % len(LINE_STYLES)]
        axes.plot(at, heights, color=colours(0.9 * share), linestyle=style, label=name)
    axes.set_yscale("log")
    if values.any():
        axes.set_ylim(10.0 ** np.floor(np.log10(values[values > 0].min())), 1.0)
    axes.set_xlabel("step")
    axes.set_ylabel("events / (neurons x frames)")
    figure.legend(loc="outside right upper", frameon=False, fontsize=7)
    return figure
