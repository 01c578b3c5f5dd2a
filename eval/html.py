"""report.html: one file without external resources, for readers new to sigma-delta networks."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from ann2sdnn.eval import plots
from ann2sdnn.eval.numbers import compact, decimals, percent
from ann2sdnn.eval.output import Evaluation
from ann2sdnn.eval.schema import EvaluationReport
from ann2sdnn.eval.summary import conclusions, summary_rows

_TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Picture:
    """A plot as it stands in the page: ``source`` is a data URI."""

    title: str
    meaning: str
    source: str


def render_html(evaluation: Evaluation) -> str:
    """The page."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(compact=compact, decimals=decimals, percent=percent)
    template = environment.from_string(
        files("ann2sdnn.eval").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    )
    report = evaluation.report
    return template.render(
        report=report,
        rows=summary_rows(report),
        conclusions=conclusions(report),
        pictures=tuple(_pictures(evaluation)),
    )


def _pictures(evaluation: Evaluation) -> Iterator[Picture]:
    report = evaluation.report
    if evaluation.examples:
        yield _picture(
            "What the networks see",
            "Camera frames (events are dark) with the labelled skeleton and the ones the networks "
            "answer, as far as the ANN is confident of a joint. Where the SDNN's thin line lies on "
            "the ANN's thick one, the conversion has changed nothing.",
            plots.skeletons(evaluation.examples),
        )
    yield _picture(
        "Error per joint",
        "Mean distance between answer and label, joint by joint; a bar above the mark of the mean "
        "pose is worse than guessing.",
        plots.joint_errors(report),
    )
    if report.comparison is not None and report.comparison.n_joints:
        yield _picture(
            "How far the conversion moves joints",
            f"Distance between the SDNN's and the ANN's answer, over {report.comparison.n_joints:,}"
            " joints that the ANN is confident of; the last bar holds all larger distances.",
            plots.displacements(report.comparison.displacement_histogram),
        )
    yield from _layer_pictures(report)


def _layer_pictures(report: EvaluationReport) -> Iterator[Picture]:
    yield _picture(
        "Messages per layer",
        "How many neurons of a layer send something on, in a frame. A dense network sends every "
        "value; the lower a line, the quieter the network. Logarithmic scale.",
        plots.layer_events(report),
    )
    yield _picture(
        "Operations per layer",
        "Multiplications done in a layer because of what the layer before it sent, in a frame. "
        "Logarithmic scale: a step of the grid is ten times more.",
        plots.layer_synops(report),
    )


def _picture(title: str, meaning: str, figure: Figure) -> Picture:
    encoded = base64.b64encode(plots.to_png(figure)).decode("ascii")
    return Picture(title, meaning, f"data:image/png;base64,{encoded}")
