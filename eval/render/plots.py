"""The plots of the evaluation."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ann2sdnn.convert.render.first_screen import Bar, operation_bars, search_picture
from ann2sdnn.convert.render.verdict import (
    LAVA_NAME,
    MIXED_NAME,
    NONZERO_NAME,
    SDNN_NAME,
    is_pruned,
)
from ann2sdnn.eval.drift.plot import drift_figure
from ann2sdnn.eval.drift.report import conclusions as drift_conclusions
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport, Histogram
from ann2sdnn.support.page.document import Picture, picture
from ann2sdnn.support.page.figures import (
    ANN,
    DENSE,
    MEAN_POSE,
    MEMORYLESS,
    MIXED,
    SDNN,
    SKIPPING,
    Style,
    Values,
    layer_lines,
    legend_above,
    new_figure,
    numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def operations(evaluation: Evaluation) -> Picture | None:
    """Operations per frame of all networks."""
    report = evaluation.report
    ann, both = report.ann, report.mixed is not None
    points = (
        ("Memoryless SDNN", MEMORYLESS, report.memoryless),
        (LAVA_NAME if both else SDNN_NAME, SDNN, report.sdnn),
        (MIXED_NAME, MIXED, report.mixed),
    )
    bars: list[Bar] = []
    if ann is not None:
        bars.append(("ANN (dense)", DENSE, ann.all_macs_per_frame))
        if is_pruned(ann.all_macs_per_frame, ann.macs_per_frame):
            bars.append((NONZERO_NAME, DENSE, ann.macs_per_frame))
        bars.append(("ANN, skipping zeros", SKIPPING, ann.sustained_nonzero_macs_per_frame))
    bars += [(name, style, x.sustained_synops_per_frame) for name, style, x in points if x]
    return Picture(
        "Operations per frame",
        "Multiplications per frame after the first of a sequence, but for the dense ANN by non-zero"
        " weights only, on a logarithmic scale: one step of the grid is a factor of ten.",
        partial(operation_bars, bars),
    )


def search(evaluation: Evaluation) -> Picture | None:
    """The trials of the conversion's search, if there was one."""
    return None if evaluation.search is None else search_picture(evaluation.search)


def joint_errors(evaluation: Evaluation) -> Picture | None:
    """Error of every joint in pixels."""
    if not evaluation.report.baseline_mean_pose_per_joint_px:
        return None
    return Picture(
        "Error per joint",
        "Mean distance between joint and label; a bar above the mark of the mean pose is worse than"
        " guessing.",
        partial(_draw_joint_errors, evaluation.report),
    )


def _draw_joint_errors(report: EvaluationReport) -> "Figure":
    figure, axes = new_figure(9.0, 3.6)
    networks = [(ANN, report.ann), (SDNN, report.sdnn)]
    series = [(style, result.per_joint_px) for style, result in networks if result is not None]
    width = 0.8 / max(len(series), 1)
    joints = tuple(report.baseline_mean_pose_per_joint_px)
    at = np.arange(len(joints))
    for index, (style, errors) in enumerate(series):
        heights = numbers([errors[joint] for joint in joints])
        offset = (index - (len(series) - 1) / 2) * width
        axes.bar(at + offset, heights, width, color=style.colour, label=style.label)
    axes.plot(
        at,
        numbers(list(report.baseline_mean_pose_per_joint_px.values())),
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


def displacements(evaluation: Evaluation) -> Picture | None:
    """How far the SDNN moves joints."""
    comparison = evaluation.report.comparison
    histogram = None if comparison is None else comparison.displacement_histogram
    if comparison is None or not comparison.n_joints or histogram is None:
        return None
    return Picture(
        "Displacement of joints",
        f"Distance between the SDNN's and the ANN's joint, over {comparison.n_joints:,} joints that"
        " the ANN is confident of; the last bar holds all larger distances.",
        partial(_draw_displacements, histogram),
    )


def _draw_displacements(histogram: Histogram) -> "Figure":
    figure, axes = new_figure(9.0, 2.8)
    total = max(sum(histogram.counts), 1)
    at = np.arange(len(histogram.counts))
    axes.bar(at, 100 * np.array(histogram.counts) / total, 0.9, color=SDNN.colour)
    names = [f"{edge:g}" for edge in histogram.edges_px]
    axes.set_xticks(at - 0.5, [*names[:-1], f"{names[-1]}+"])
    axes.set_xlim(-0.6, len(at) - 0.4)
    axes.set_xlabel("distance between the SDNN's joint and the ANN's [px]")
    axes.set_ylabel("joints [%]")
    return figure


@picture(
    "Messages per layer",
    "Neurons of a layer that send something in a frame, on a logarithmic scale. A dense network"
    " sends every value.",
)
def layer_events(evaluation: Evaluation) -> "Figure":
    """Messages per frame of every layer; all neurons for reference."""
    layers = evaluation.report.layers
    return layer_lines(
        [layer.name for layer in layers],
        "messages per frame",
        (
            (DENSE, [layer.neurons for layer in layers]),
            (SKIPPING, [x.ann_density and x.ann_density * x.neurons for x in layers]),
            (MEMORYLESS, [layer.memoryless_events_per_frame for layer in layers]),
            (SDNN, [layer.events_per_frame for layer in layers]),
            *_engines_point(evaluation, [layer.mixed_events_per_frame for layer in layers]),
        ),
        [layer.pixels for layer in layers],
    )


@picture(
    "Operations per layer",
    "Multiplications done in a layer per frame, caused by the layer before it, on a logarithmic"
    " scale: one step of the grid is a factor of ten.",
)
def layer_operations(evaluation: Evaluation) -> "Figure":
    """Operations per frame in every layer."""
    layers = evaluation.report.layers
    return layer_lines(
        [layer.name for layer in layers],
        "operations per frame",
        (
            (DENSE, [layer.all_macs_per_frame for layer in layers]),
            (SKIPPING, [layer.nonzero_macs_per_frame for layer in layers]),
            (MEMORYLESS, [layer.memoryless_synops_per_frame for layer in layers]),
            (SDNN, [layer.synops_per_frame for layer in layers]),
            *_engines_point(evaluation, [layer.mixed_synops_per_frame for layer in layers]),
        ),
        [layer.pixels for layer in layers],
    )


def _engines_point(evaluation: Evaluation, values: Values) -> tuple[tuple[Style, Values], ...]:
    return ((MIXED, values),) if evaluation.report.mixed is not None else ()


def drift_of_stock_neuron(evaluation: Evaluation) -> Picture | None:
    """The error of lava's stock neuron over a long sequence, if `drift` measured it."""
    drift = evaluation.drift
    if drift is None:
        return None
    return Picture(
        "Drift of lava's stock neuron",
        "The same network with lava-nc's released neuron, which loses its rounding remainder, frame"
        " by frame. " + " ".join(drift_conclusions(drift)),
        partial(drift_figure, drift),
    )
