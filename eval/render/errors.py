"""Errors over frames and over outputs, of tasks without points: tables and a curve."""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from ann2sdnn.convert.render.verdict import LAVA_NAME, MIXED_NAME, SDNN_NAME
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.document import Picture, Sheet
from ann2sdnn.support.page.figures import (
    ANN,
    MEMORYLESS,
    MIXED,
    SDNN,
    Style,
    legend_above,
    new_figure,
)
from ann2sdnn.support.terminal import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHARES = (50, 75, 90, 95, 100)  # per cent of the frames, in the table
_MOST_OUTPUTS = 40  # rows of the table of outputs

_Curve = tuple[str, Style, tuple[float, ...]]


def errors_of_frames(evaluation: Evaluation) -> Sheet | None:
    """The error that a share of the frames has at most, of every network."""
    curves = tuple(_curves(evaluation.report))
    if not curves:
        return None
    return Sheet.of(
        f"{_error(evaluation.report)}: at most, in a share of the frames",
        curves,
        ("", lambda x: x[0]),
        *((f"{share}%", partial(_at, share=share)) for share in _SHARES),
    )


def _at(curve: _Curve, share: int) -> str:
    return number(curve[2][share * (len(curve[2]) - 1) // 100], ".3g")


def errors_of_outputs(evaluation: Evaluation) -> Sheet | None:
    """Mean absolute error of every output, of ANN and SDNN."""
    report = evaluation.report
    networks = [
        (name, network.per_output_error)
        for name, network in (("ANN", report.ann), ("SDNN", report.sdnn))
        if network is not None and network.per_output_error is not None
    ]
    if not networks or len(networks[0][1]) > _MOST_OUTPUTS:
        return None
    errors = zip_longest(*(values for _, values in networks))
    return Sheet(
        "Mean absolute error of each output",
        ("output", *(name for name, _ in networks)),
        tuple(
            (str(index), *(number(value, ".3g") for value in row))
            for index, row in enumerate(errors)
        ),
        on_demand=True,
    )


def error_curves(evaluation: Evaluation) -> Picture | None:
    """The same errors as curves."""
    curves = tuple(_curves(evaluation.report))
    if not curves:
        return None
    error = _error(evaluation.report)
    return Picture(
        "Error over frames",
        f"{error}: the share of the frames that have an error of at most that, for every network."
        " A curve further to the left is better.",
        partial(_draw, curves, error),
    )


def _curves(report: EvaluationReport) -> Iterator[_Curve]:
    networks = (
        ("ANN", ANN, report.ann),
        ("Memoryless SDNN", MEMORYLESS, report.memoryless),
        (SDNN_NAME if report.mixed is None else LAVA_NAME, SDNN, report.sdnn),
        (MIXED_NAME, MIXED, report.mixed),
    )
    for name, style, network in networks:
        if network is not None and network.error_curve is not None:
            yield name, style, network.error_curve


def _error(report: EvaluationReport) -> str:
    if report.task == "regress":
        return "Mean absolute error against the labels"
    return "Relative error against the ANN"


def _draw(curves: tuple[_Curve, ...], error: str) -> "Figure":
    figure, axes = new_figure(9.0, 3.2)
    for name, style, values in curves:
        shares = [100 * index / (len(values) - 1) for index in range(len(values))]
        axes.plot(values, shares, color=style.colour, marker=style.marker, markersize=4, label=name)
    axes.set_xlabel(f"{error[:1].lower()}{error[1:]}".replace("aNN", "ANN"))
    axes.set_ylabel("frames [%]")
    axes.set_xlim(left=0)
    legend_above(axes)
    return figure
