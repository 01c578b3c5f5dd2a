"""Example frames as pictures."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.data.sources.sheet import shown_range
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.examples import Example, Points
from ann2sdnn.support.page.document import Picture
from ann2sdnn.support.page.figures import ANN, LABEL, SDNN, Style, new_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = 3  # channels of a colour picture


def example_frames(evaluation: Evaluation) -> Picture | None:
    """A few frames with the answers of both networks."""
    if not evaluation.examples:
        return None
    if evaluation.report.task != "pose":
        return Picture(
            "Frames with the largest differences",
            "The frames in which the SDNN lies furthest from the ANN, the furthest first; those of"
            " another class come before all others.",
            partial(example_pictures, evaluation.examples),
            full_colour=True,
        )
    return Picture(
        "What the networks see",
        "Frames (events are dark) with the labelled skeleton and those of the networks, as far as"
        " the ANN is confident of a joint. Where the SDNN's thin line lies on the ANN's thick line,"
        " the conversion has changed nothing.",
        partial(example_pictures, evaluation.examples),
        full_colour=True,
    )


def example_pictures(examples: Sequence[Example]) -> "Figure":
    """Frames with the skeletons of the label, the ANN and the SDNN over them, or their answers
    below.
    """
    columns = min(3, len(examples))
    rows = -(-len(examples) // columns)
    figure, grid = new_grid(3.6 * columns, 3.05 * rows + 0.4, rows, columns)
    places = [axes for row in grid for axes in row]
    for axes, example in zip(places, examples, strict=False):
        _draw_example(axes, example)
    for axes in places[len(examples) :]:
        axes.set_axis_off()
    handles, labels = places[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_example(axes: "Axes", example: Example) -> None:
    _draw_frame(axes, example)
    axes.set_title(example.title, fontsize=7)
    axes.set_xlabel(example.caption, fontsize=8)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color="#bbbbbb", linewidth=0.8)
    bones = example.bones
    if example.labels is not None:
        _draw_points(axes, example.labels, bones, LABEL, linestyle=":", linewidth=1.0)
    if example.ann is not None:
        _draw_points(axes, example.ann, bones, ANN, linestyle="-", linewidth=2.4)
    if example.sdnn is not None:
        _draw_points(axes, example.sdnn, bones, SDNN, linestyle="-", linewidth=1.0)


def _draw_frame(axes: "Axes", example: Example) -> None:
    frame = example.frame
    if example.labels is not None and frame.ndim == 2:
        # Events are dark, and at less than full strength, so that the skeletons stand out.
        axes.imshow(frame, cmap="gray_r", vmin=0, vmax=320, interpolation="nearest")
        return
    channels = frame[None] if frame.ndim == 2 else frame
    if channels.shape[1] == 1:  # a signal
        axes.plot(channels[:, 0].T, linewidth=0.8)
        return
    ends = float(frame.min()), float(frame.max())
    low, high = shown_range(*ends, is_float=frame.dtype != np.uint8)
    scaled = (channels.astype(np.float32) - low) / max(high - low, 1e-30)
    if len(channels) == _COLOURS:
        axes.imshow(np.moveaxis(scaled, 0, 2), interpolation="nearest")
    else:
        axes.imshow(scaled.mean(axis=0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_points(
    axes: "Axes",
    points: Points,
    bones: Sequence[tuple[int, int]],
    style: Style,
    *,
    linestyle: str,
    linewidth: float,
) -> None:
    for a, b in bones:
        if points.shown[a] and points.shown[b]:
            axes.plot(
                points.pixels[[a, b], 0],
                points.pixels[[a, b], 1],
                color=style.colour,
                linestyle=linestyle,
                linewidth=linewidth,
            )
    shown = points.pixels[points.shown]
    axes.plot(
        shown[:, 0],
        shown[:, 1],
        color=style.colour,
        linestyle="none",
        marker=style.marker,
        markersize=2.0 + 1.5 * linewidth,
        label=style.label,
    )
