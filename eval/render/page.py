"""report.html: one file without external resources, for readers new to sigma-delta networks."""

from collections.abc import Iterator

from ann2sdnn.eval.drift.plot import drift_figure
from ann2sdnn.eval.drift.report import DriftReport
from ann2sdnn.eval.drift.report import conclusions as drift_conclusions
from ann2sdnn.eval.render import plots
from ann2sdnn.eval.render.summary import conclusions, summary_rows
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.page import Picture, picture, render


def render_html(evaluation: Evaluation, drift: DriftReport | None = None) -> str:
    """The page, with the plot of a ``drift`` run where there is one."""
    report = evaluation.report
    return render(
        "eval.render/report.html.j2",
        report=report,
        rows=summary_rows(report),
        conclusions=conclusions(report),
        pictures=(*_pictures(evaluation), *_drift_pictures(drift)),
    )


def _pictures(evaluation: Evaluation) -> Iterator[Picture]:
    report = evaluation.report
    if evaluation.examples:
        yield picture(
            "What the networks see",
            "Camera frames (events are dark) with the labelled skeleton and the ones the networks "
            "answer, as far as the ANN is confident of a joint. Where the SDNN's thin line lies on "
            "the ANN's thick one, the conversion has changed nothing.",
            plots.skeletons(evaluation.examples),
        )
    yield picture(
        "Error per joint",
        "Mean distance between answer and label, joint by joint; a bar above the mark of the mean "
        "pose is worse than guessing.",
        plots.joint_errors(report),
    )
    if report.comparison is not None and report.comparison.n_joints:
        yield picture(
            "How far the conversion moves joints",
            f"Distance between the SDNN's and the ANN's answer, over {report.comparison.n_joints:,}"
            " joints that the ANN is confident of; the last bar holds all larger distances.",
            plots.displacements(report.comparison.displacement_histogram),
        )
    yield from _layer_pictures(report)


def _drift_pictures(drift: DriftReport | None) -> Iterator[Picture]:
    if drift is not None:
        yield picture(
            "Drift of lava's stock neuron",
            "The same network with lava-nc's released neuron, which loses what it rounds off, frame"
            " by frame. " + " ".join(drift_conclusions(drift)),
            drift_figure(drift),
        )


def _layer_pictures(report: EvaluationReport) -> Iterator[Picture]:
    yield picture(
        "Messages per layer",
        "How many neurons of a layer send something on, in a frame. A dense network sends every "
        "value; the lower a line, the quieter the network. Logarithmic scale.",
        plots.layer_events(report),
    )
    yield picture(
        "Operations per layer",
        "Multiplications done in a layer because of what the layer before it sent, in a frame. "
        "Logarithmic scale: a step of the grid is ten times more.",
        plots.layer_synops(report),
    )
