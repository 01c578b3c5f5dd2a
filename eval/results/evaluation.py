"""The result of an evaluation."""

from dataclasses import dataclass

from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.results.schema import EvaluationReport


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The numbers, and a few frames to look at."""

    report: EvaluationReport
    examples: tuple[Example, ...]
