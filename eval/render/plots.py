"""The evaluation report's plots, each a matplotlib figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ann2sdnn.eval.results.examples import Example, Points
from ann2sdnn.eval.results.schema import EvaluationReport, Histogram
from ann2sdnn.support.page.figures import (
    ANN,
    DENSE,
    LABEL,
    MEAN_POSE,
    MEMORYLESS,
    SDNN,
    SKIPPING,
    Style,
    Values,
    layer_lines,
    legend_above,
    new_figure,
    numbers,
)


def joint_errors(report: EvaluationReport) -> Figure:
    """Error of every joint in pixels: bars for ANN and SDNN, a mark for the mean pose."""
    figure, axes = new_figure(9.0, 3.6)
    networks = [(ANN, report.ann), (SDNN, report.sdnn)]
    series = [(style, one.per_joint_px) for style, one in networks if one is not None]
    width = 0.8 / max(len(series), 1)
    joints = tuple(report.baseline_mean_pose_per_joint_px)
    at = np.arange(len(joints))
    for index, (style, errors) in enumerate(series):
        heights = numbers([errors[joint] for joint in joints])
        offset = (index - (len(series) - 1) / 2) * width
        axes.bar(at + offset, heights, width, color=style.colour, label=style.label)
    baseline = numbers(list(report.baseline_mean_pose_per_joint_px.values()))
    axes.plot(
        at,
        baseline,
        linestyle="none",
        marker="_",
        markersize=22,
        markeredgewidth=2,
        color=MEAN_POSE.colour,
        label=MEAN_POSE.label,
    )
    axes.set_xticks(at, joints, rotation=35, ha="right")
    axes.set_ylabel("mean error [px]")
    legend_above(axes)
    return figure


def layer_events(report: EvaluationReport) -> Figure:
    """Messages a frame of every layer, on a logarithmic scale; all neurons for reference."""
    layers = report.layers
    return _layer_figure(
        report,
        "messages a frame",
        (
            (DENSE, [float(one.neurons) for one in layers]),
            (SKIPPING, [_times(one.ann_density, one.neurons) for one in layers]),
            (MEMORYLESS, [one.memoryless_events_per_frame for one in layers]),
            (SDNN, [one.events_per_frame for one in layers]),
        ),
    )


def layer_synops(report: EvaluationReport) -> Figure:
    """Operations a frame in every layer, on a logarithmic scale."""
    layers = report.layers
    return _layer_figure(
        report,
        "operations a frame",
        (
            (DENSE, [one.macs_per_frame for one in layers]),
            (SKIPPING, [one.nonzero_macs_per_frame for one in layers]),
            (MEMORYLESS, [one.memoryless_synops_per_frame for one in layers]),
            (SDNN, [one.synops_per_frame for one in layers]),
        ),
    )


def displacements(histogram: Histogram) -> Figure:
    """How many joints the SDNN moved how far."""
    figure, axes = new_figure(9.0, 2.8)
    total = max(sum(histogram.counts), 1)
    at = np.arange(len(histogram.counts))
    axes.bar(at, 100 * np.array(histogram.counts) / total, 0.9, color=SDNN.colour)
    names = [f"{edge:g}" for edge in histogram.edges_px]
    names[-1] = f"{names[-1]}+"
    axes.set_xticks(at - 0.5, names)
    axes.set_xlim(-0.6, len(at) - 0.4)
    axes.set_xlabel("distance between the SDNN's joint and the ANN's [px]")
    axes.set_ylabel("joints [%]")
    return figure


def skeletons(examples: Sequence[Example]) -> Figure:
    """Frames, events dark, with the label, the ANN's and the SDNN's skeleton over them."""
    columns = min(3, len(examples))
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.05 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, example in zip(grid.flat, examples, strict=False):
        _draw_example(axes, example)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_example(axes: Axes, example: Example) -> None:
    height, width = example.frame.shape
    # Less than full strength, so that the skeletons stand out.
    axes.imshow(example.frame, cmap="gray_r", vmin=0, vmax=320, interpolation="nearest")
    axes.set_title(example.title, fontsize=7)
    axes.add_patch(_outline(width, height))
    bones = example.bones
    _draw_points(axes, example.labels, bones, LABEL, linestyle=":", linewidth=1.0)
    if example.ann is not None:
        _draw_points(axes, example.ann, bones, ANN, linestyle="-", linewidth=2.4)
    if example.sdnn is not None:
        _draw_points(axes, example.sdnn, bones, SDNN, linestyle="-", linewidth=1.0)


def _draw_points(
    axes: Axes,
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


def _layer_figure(
    report: EvaluationReport, ylabel: str, series: Sequence[tuple[Style, Values]]
) -> Figure:
    return layer_lines([layer.name for layer in report.layers], ylabel, series)


def _outline(width: int, height: int) -> Rectangle:
    return Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor="#bbbbbb", linewidth=0.8)


def _times(fraction: float | None, neurons: int) -> float | None:
    return None if fraction is None else fraction * neurons
