"""The two plots of a page's first screen: operations of all networks, and the search's trials."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ann2sdnn.calibration.thresholds.curves import Memory
from ann2sdnn.calibration.thresholds.units import UNITS, Unit
from ann2sdnn.convert.render.verdict import LAVA_NAME
from ann2sdnn.convert.report.search_curve import SearchCurve
from ann2sdnn.support.page.document import Picture
from ann2sdnn.support.page.figures import (
    MEMORYLESS,
    MIXED,
    SDNN,
    Style,
    new_figure,
)
from ann2sdnn.support.terminal import compact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = 5.9, 2.9  # inches; two of them stand side by side
_SERIES: tuple[tuple[Memory, Style], ...] = (
    ("none", MEMORYLESS),
    ("all", replace(SDNN, label=LAVA_NAME)),
    ("mixed", MIXED),
)

_AGAINST: dict[Unit, tuple[str, str]] = {
    "px": (
        "displacement",
        "the displacement that the thresholds add, each joint's capped at 5 px",
    ),
    "class": (
        "changed classes",
        "the share of frames whose class the thresholds change, estimated from margins",
    ),
    "error": ("error", "the relative error that the thresholds add to the output"),
}

Bar = tuple[str, Style, float]
"""Name, style and operations per frame of a network."""


def operation_bars(bars: Sequence[Bar]) -> "Figure":
    """Operations per frame of each network on a logarithmic scale, the first at the top."""
    figure, axes = new_figure(*_SIZE)
    # A logarithmic axis has no zero.
    shown = [max(synops, 1.0) for _, _, synops in bars]
    axes.barh(range(len(bars)), shown, 0.7, color=[style.colour for _, style, _ in bars])
    axes.set_xscale("log")
    axes.set_xlim(min(shown) / 10, max(shown) * 6)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#dddddd")
    for at, (_, _, synops) in enumerate(bars):
        axes.annotate(
            compact(synops), (shown[at], at), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_xlabel("operations per frame")
    return figure


def search_plot(curve: SearchCurve) -> "Figure":
    """Operations against added displacement of the search's trials; chosen ones are ringed."""
    figure, axes = new_figure(*_SIZE)
    factor = 100 if curve.unit == "class" else 1  # in per cent
    for memory, style in _SERIES:
        trials = curve.of(memory)
        if not trials:
            continue
        added, synops = zip(*trials, strict=True)
        axes.plot(
            [factor * each for each in added],
            synops,
            color=style.colour,
            marker=style.marker,
            label=style.label,
        )
        chosen = curve.chosen(memory)
        if chosen is not None:
            at, synops_there = chosen
            axes.plot(
                factor * at,
                synops_there,
                "o",
                markersize=14,
                markerfacecolor="none",
                color=style.colour,
            )
    if curve.budget is not None:
        axes.axvline(factor * curve.budget, color="#000000", linestyle="--", linewidth=1.0)
        axes.annotate(
            "budget",
            (factor * curve.budget, 1.0),
            (3, -10),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
        )
    axes.set_yscale("log")
    axes.set_xlabel(UNITS[curve.unit].axis)
    axes.set_ylabel("operations per frame")
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    # Above the plot, where it hides nothing; three names do not fit at full size.
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, frameon=False, fontsize=8.5)
    return figure


def search_picture(curve: SearchCurve) -> Picture | None:
    """The search's trials; None where there are none."""
    if not curve.trials:
        return None
    what, meaning = _AGAINST[curve.unit]
    return Picture(
        f"Operations against {what}, on the calibration frames",
        "Every trial of the search for thresholds: the operations per frame after the first, and"
        f" {meaning}. Ringed: the operating points, which keep the budget.",
        partial(search_plot, curve),
    )
