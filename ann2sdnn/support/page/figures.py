"""Parts that all plots share: styles, axes, legends, PNG files.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; every series
has its own marker as well. matplotlib is imported when the first plot is drawn.
"""

import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.support.page.blocks import MOST_LAYERS, blocks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float | None]
_MARKER, _SMALL_MARKER = 6.0, 3.5  # points; small where there are many layers


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


def name_layers(axes: "Axes", names: Sequence[str], sizes: Sequence[Hashable] = ()) -> None:
    """Layers along the axis, at 0, 1, 2, ...; many are named by block, with a line between blocks.

    ``sizes``: as in ``blocks_of``.
    """
    blocks = blocks_of(names, sizes)
    middles = [(block.start + block.stop - 1) / 2 for block in blocks]
    labels = [block.label for block in blocks]
    axes.set_xticks(middles, labels, rotation=45, ha="right", rotation_mode="anchor")
    if len(blocks) < len(names):
        for block in blocks[1:]:
            axes.axvline(block.start - 0.5, color="#bbbbbb", linewidth=0.8, zorder=0.5)
        axes.set_xlim(-0.8, len(names) - 0.2)


def line_names(names: Sequence[str]) -> list[str]:
    """What a legend calls lines of the layers ``names``: of many, the first of each block only, by
    the name of the block.
    """
    blocks = blocks_of(names)
    return [
        block.label if index == block.start else "_"
        for block in blocks
        for index in range(block.start, block.stop)
    ]


def layer_lines(
    names: Sequence[str],
    ylabel: str,
    series: Sequence[tuple[Style, Values]],
    sizes: Sequence[Hashable] = (),
) -> "Figure":
    """One line per series along the layers, on a logarithmic scale; ``sizes``: as in
    ``blocks_of``.
    """
    figure, axes = new_figure(9.0, 3.8)
    at = np.arange(len(names))
    for style, values in series:
        heights = numbers(values)
        heights[heights == 0] = np.nan  # a logarithmic axis has no zero
        (line,) = axes.plot(at, heights, color=style.colour, marker=style.marker, label=style.label)
        line.set_markersize(_MARKER if len(names) <= MOST_LAYERS else _SMALL_MARKER)
    axes.set_yscale("log")
    name_layers(axes, names, sizes)
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
