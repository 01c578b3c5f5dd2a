"""The result of an evaluation."""

from dataclasses import dataclass

from ann2sdnn.eval.drift.report import DriftReport
from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.results.schema import EvaluationReport


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The numbers, a few frames to look at, and a measurement of `drift` to show beside them."""

    report: EvaluationReport
    examples: tuple[Example, ...]
    drift: DriftReport | None = None
