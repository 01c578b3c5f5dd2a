"""What the plots of all reports share: styles, axes, legends, PNG. Colours are those of Okabe and
Ito (2008), which colour-blind readers can tell apart, and every series has its own marker as well.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

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
LABEL = Style("label", "#000000", "+")


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """No frame at the top and right, light lines across, behind what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd")
    axes.set_axisbelow(True)


def legend_above(axes: Axes) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False)


def name_layers(axes: Axes, names: Sequence[str]) -> None:
    """Layers along the axis, at 0, 1, 2, ..."""
    axes.set_xticks(np.arange(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")


def layer_lines(
    names: Sequence[str], ylabel: str, series: Sequence[tuple[Style, Values]]
) -> Figure:
    """A line a series along the layers, on a logarithmic scale."""
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


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return stream.getvalue()


def to_small_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file of 48 colours, all that lines and bars need: a third as large."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(to_png(figure, dpi))) as image:
        image.convert("RGB").quantize(48).save(stream, format="png", optimize=True)
    return stream.getvalue()
