"""drift.png: error by frame number, one line per treatment."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.eval.drift.report import DriftCurve, DriftReport
from ann2sdnn.support.page.figures import legend_above, new_grid, numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), as in figures.py: the corrected neuron, the stock neuron, then the resets.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_BINS_PER_DECADE = 8


def drift_figure(report: DriftReport) -> "Figure":
    """The outputs' error, and below it the displacement of joints where there are any; frame
    numbers on a logarithmic axis.
    """
    n_rows = 1 + report.has_joints
    figure, grid = new_grid(9.0, 3.0 * n_rows, n_rows, 1, sharex=True)
    upper, lower = grid[0][0], grid[-1][0]
    edges = frame_bins(report.sequence.frames)
    for number, curve in enumerate(report.curves):
        _draw(upper, edges, curve, curve.heatmap_relative_error, number)
        if report.has_joints:
            _draw(lower, edges, curve, curve.displacement_px, number)
    upper.set_yscale("log")
    upper.set_ylabel(f"{report.outputs}: |SDNN - ANN| / |ANN|")
    if report.has_joints:
        lower.set_ylabel("joints moved [px]")
        lower.set_ylim(bottom=0)
    lower.set_xscale("log")
    lower.set_xlabel("frame number, from 1; a mark is the mean over the frames around it")
    legend_above(upper)
    return figure


def frame_bins(n_frames: int) -> NDArray[np.int64]:
    """Edges of ranges of frames, from 0 to ``n_frames``, about equally long in logarithms."""
    n_bins = max(2, round(_BINS_PER_DECADE * np.log10(n_frames + 1)))
    edges = np.rint(np.geomspace(1, n_frames + 1, n_bins + 1)).astype(np.int64) - 1
    unique: NDArray[np.int64] = np.unique(edges)
    return unique


def _draw(
    axes: "Axes",
    edges: NDArray[np.int64],
    curve: DriftCurve,
    values: Sequence[float | None],
    number: int,
) -> None:
    series = numbers(values)
    middles, heights = [], []
    for start, stop in pairwise(edges):
        inside = series[start:stop][np.isfinite(series[start:stop])]
        if inside.size:
            middles.append(np.sqrt((start + 1) * stop))
            heights.append(inside.mean())
    axes.plot(
        middles,
        heights,
        color=_COLOURS[number % len(_COLOURS)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
        label=curve.name,
    )
