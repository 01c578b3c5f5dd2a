"""Draws a sweep: operations against the error that thresholds add, one line per series.

Each rule names the colours and markers of its series. Those of this package are from Okabe and Ito
(2008): colour-blind readers can distinguish them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.calibration.thresholds.units import UNITS, Unit
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.page.figures import DENSE, MEMORYLESS, SDNN, SKIPPING

# Line and colour of the levels. The third and fourth often lie on the second.
_LEVELS = (
    ("-", DENSE.colour),
    ("--", SKIPPING.colour),
    ("-.", SDNN.colour),
    (":", MEMORYLESS.colour),
)
# Smaller errors are drawn at the first, as the axis is logarithmic; networks beyond the second are
# broken.
_ENDS: Mapping[Unit, tuple[float, float]] = {"px": (0.005, 30.0), "error": (0.0002, 1.0)}

Series = Mapping[str, Sequence[tuple[float, float]]]


def draw(path: Path, series: Series, levels: Mapping[str, float], unit: Unit) -> None:
    """Draw (error, operations per frame) of every series, ``levels`` as lines across.

    Errors are in ``unit``, "px" or "error". Networks with more than 30 px, or a relative error
    above 1, are left out, and the legend counts them. Writes a PNG in one step.
    """
    smallest, broken = _ENDS[unit]
    styles = {style.name: style for rule in RULES.values() for style in rule.series}
    figure = Figure(figsize=(9.0, 5.4), layout="constrained")
    axes = figure.subplots()
    for (name, value), (line, colour) in zip(levels.items(), _LEVELS, strict=True):
        axes.axhline(value, color=colour, linestyle=line, linewidth=1.8, label=name)
    for name, points in series.items():
        style = styles[name]
        ordered = sorted(point for point in points if point[0] <= broken)
        n_broken = len(points) - len(ordered)
        axes.plot(
            [max(error, smallest) for error, _ in ordered],
            [operations for _, operations in ordered],
            color=style.colour,
            marker=style.marker,
            markersize=9 if style.line != "-" else 6,
            linewidth=1.5,
            linestyle=style.line,
            zorder=3 if style.line != "-" else 2,
            label=f"{name} ({n_broken} beyond {broken:g}{UNITS[unit].suffix})"
            if n_broken
            else name,
        )
    _label(axes, unit)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _label(axes: Axes, unit: Unit) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    meaning = "mean displacement of joints that thresholds add [px]"
    if unit != "px":
        meaning = UNITS[unit].axis
    axes.set_xlabel(f"{meaning} (less than {_ENDS[unit][0]:g} is drawn there)")
    axes.set_ylabel("synaptic operations per frame [millions]")
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(plain)
    millions = FuncFormatter(lambda value, _: f"{value / 1e6:g}")
    axes.yaxis.set_major_formatter(millions)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.grid(visible=True, which="both", color="#e6e6e6", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
