"""The result of an evaluation."""

from dataclasses import dataclass

from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.convert.report.search_curve import SearchCurve
from ann2sdnn.eval.drift.report import DriftReport
from ann2sdnn.eval.results.examples import Example, Film
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.eval.results.timeline import Timeline


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The numbers, a few frames to look at, and what is shown beside them: a measurement of
    `drift`, the conversion's search for a budget, frames of one sequence in order, errors of every
    frame, and the conversion's own report.
    """

    report: EvaluationReport
    examples: tuple[Example, ...]
    drift: DriftReport | None = None
    search: SearchCurve | None = None
    film: Film | None = None
    timeline: Timeline | None = None
    conversion: ConversionReport | None = None
