"""Parts that all plots share: styles, axes, legends, PNG files.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; every series
has its own marker as well. matplotlib is imported when the first plot is drawn.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float | None]


@dataclass(frozen=True)
class Style:
    """How one series looks in every plot."""

    label: str
    colour: str
    marker: str


DENSE = Style("dense", "#999999", "s")
MEAN_POSE = Style("mean pose", "#cc79a7", "v")
ANN = Style("ANN", "#0072b2", "o")
SKIPPING = Style("ANN, skipping zeros", "#56b4e9", "D")
MEMORYLESS = Style("memoryless SDNN", "#009e73", "^")
SDNN = Style("SDNN", "#d55e00", "o")
MIXED = Style("SDNN (engine, mixed)", "#e69f00", "P")
LABEL = Style("label", "#000000", "+")


def new_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of so many inches with one pair of axes."""
    figure, ((axes,),) = new_grid(width, height, 1, 1)
    return figure, axes


def new_grid(
    width: float, height: float, rows: int, columns: int, *, sharex: bool = False
) -> "tuple[Figure, list[list[Axes]]]":
    """A figure of so many inches, and its axes by row and column."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=sharex, squeeze=False)
    for axes in grid.flat:
        plain(axes)
    return figure, grid.tolist()


def plain(axes: "Axes") -> None:
    """No frame at the top and right, light lines across, behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)


def legend_above(axes: "Axes") -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False)


def name_layers(axes: "Axes", names: Sequence[str]) -> None:
    """Layers along the axis, at 0, 1, 2, ..."""
    axes.set_xticks(np.arange(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")


def layer_lines(
    names: Sequence[str], ylabel: str, series: Sequence[tuple[Style, Values]]
) -> "Figure":
    """One line per series along the layers, on a logarithmic scale."""
    figure, axes = new_figure(9.0, 3.8)
    at = np.arange(len(names))
    for style, values in series:
        heights = numbers(values)
        heights[heights == 0] = np.nan  # a logarithmic axis has no zero
        axes.plot(at, heights, color=style.colour, marker=style.marker, label=style.label)
    axes.set_yscale("log")
    name_layers(axes, names)
    axes.set_ylabel(ylabel)
    legend_above(axes)
    return figure


def numbers(values: Values) -> NDArray[np.float64]:
    """NaN, which is not drawn, for None."""
    return np.array([np.nan if value is None else value for value in values], np.float64)


def to_png(figure: "Figure", dpi: int = 110) -> bytes:
    """The figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def to_small_png(figure: "Figure", dpi: int = 110) -> bytes:
    """The figure as a PNG file of 48 colours, all that lines and bars need: a third as large."""
    from PIL import Image

    stream = io.BytesIO()
    with Image.open(io.BytesIO(to_png(figure, dpi))) as image:
        image.convert("RGB").quantize(48).save(stream, format="png", optimize=True)
    return stream.getvalue()
