"""The threshold rules of ``convert --thresholds``."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from ann2sdnn.calibration.thresholds.rule import (
    RULES,
    Series,
    StatisticsRule,
    SweepCandidate,
    ThresholdInputs,
    ThresholdRule,
    register,
)
from ann2sdnn.calibration.thresholds.units import TASK_UNITS
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import choice, number, share

if TYPE_CHECKING:
    from ann2sdnn.calibration.measure.statistics import LayerStatistics
    from ann2sdnn.calibration.thresholds.budget import BudgetSearch
    from ann2sdnn.calibration.thresholds.curves import Memory
    from ann2sdnn.calibration.thresholds.deviation import Budget
    from ann2sdnn.sdnn.spec.points import OperatingPoints
    from ann2sdnn.sdnn.spec.spec import Spec

__all__ = ["RULES", "Fixed", "MeanDelta", "NoThresholds", "Percentile", "RateDistortion"]

_UNITS = (64, 128, 256, 512, 1024)  # fixed thresholds of a sweep, in units of a message
_ERRORS = (0.01, 0.02, 0.04, 0.08, 0.16)  # predicted relative errors of the output


@register
@dataclass(frozen=True)
class NoThresholds(StatisticsRule):
    """0 everywhere: every change of a message unit is sent."""

    name = "none"
    predicts_error = True

    def threshold(self, seen: "LayerStatistics", scale: float) -> float:
        return 0.0


@register
@dataclass(frozen=True)
class Fixed(StatisticsRule):
    """The same threshold in every layer, as a network trained in slayer has it."""

    name = "fixed"
    series = (Series("fixed", "#999999", "s"),)

    # Messages reach 512 with a spike_exp of 0, and less with any other.
    value: float = number(0.1, at_least=0, at_most=512, option="--threshold")
    """Threshold of every layer in units of the scaled activation, as in slayer."""

    def check(self, grid: Grid) -> None:
        if self.value > grid.message_limit:
            raise UsageError(
                f"--threshold {self.value:g}; messages reach {grid.message_limit:g} with a"
                f" spike_exp of {grid.spike_exp}, so nothing would ever be sent: choose less"
            )

    def threshold(self, seen: "LayerStatistics", scale: float) -> float:
        return self.value

    @classmethod
    def sweep(cls, grid: Grid) -> Sequence[SweepCandidate]:
        return [cls._candidate(units * grid.message_step) for units in _UNITS]


@register
@dataclass(frozen=True)
class Percentile(StatisticsRule):
    """In each layer the magnitude below which a percentage of its changes lie."""

    name = "percentile"
    series = (Series("percentile", "#cc79a7", "v"),)
    swept = (10.0, 25.0, 50.0, 75.0, 90.0)

    percent: float = number(50.0, at_least=0, at_most=100, option="--percentile")
    """Percentage of a layer's changes that lie below its threshold."""

    def threshold(self, seen: "LayerStatistics", scale: float) -> float:
        return seen.changes.percentile(self.percent) * scale


@register
@dataclass(frozen=True)
class MeanDelta(StatisticsRule):
    """In each layer a multiple of the mean magnitude of its changes."""

    name = "mean-delta"
    series = (Series("mean-delta", "#e69f00", "D"),)
    swept = (0.125, 0.25, 0.5, 1.0, 2.0)

    # No change is a thousand times the mean change of a layer with more than a few neurons.
    factor: float = number(1.0, at_least=0, at_most=1000, option="--factor")
    """Factor on the mean change of each layer."""

    def threshold(self, seen: "LayerStatistics", scale: float) -> float:
        return self.factor * seen.changes.mean * scale


_SERIES: "dict[Memory, Series]" = {
    "all": Series("rate-distortion", "#d55e00", "o"),
    # Often the same network as the memoryless one: both must show.
    "mixed": Series("rate-distortion, mixed", "#0072b2", "*", "--"),
    "none": Series("rate-distortion, memoryless", "#009e73", "^"),
}


@register
@dataclass(frozen=True)
class RateDistortion(ThresholdRule):
    """The fewest operations for a budget of displacement, changed classes or error, found with real
    runs.

    Without a budget it is 0.2 px for heat maps of joints, 0.5% of the frames for outputs whose
    frames are labelled with classes, and a relative error of 0.02 elsewhere.
    """

    name = "rate-distortion"
    series = tuple(_SERIES.values())
    predicts_error = True

    budget_px: float | None = number(
        None,
        above=0,
        at_most=1000,
        unit="px",
        option="--budget-px",
        shown_default="0.2 for heat maps of joints",
    )
    """Displacement of joints that thresholds may add, in px: mean distance, where each counts at
    most 5 px; in proportion, 1% of the joints may move by more than 5 px for 0.2 px."""
    budget_class: float | None = share(
        None, above=0, at_most=1, option="--budget-class", shown_default="0.5% for labelled classes"
    )
    """Share of frames whose class thresholds may change, such as 0.5%."""
    budget_error: float | None = number(
        None, above=0, at_most=10, option="--budget-error", shown_default="0.02 for other outputs"
    )
    """Relative L2 error of the output that thresholds may add."""
    task: str | None = choice(
        None, TASK_UNITS, option="--task", shown_default="from network and labels"
    )
    """What the network is for, which decides the default budget: 0.2 px for pose, 0.5% for
    classify, a relative error of 0.02 for regress and output."""
    memory: Literal["all", "mixed"] = choice("mixed", option="--memory")
    """mixed: where memoryless layers save operations, the engine gets thresholds and memory of its
    own beside lava's, in which every layer is stateful. all: only lava's."""

    # The upper bound is more than a message of any network causes: only messages count then.
    message_cost: float = number(0.0, at_least=0, at_most=1e6, option="--message-cost")
    """Operations that a message itself is worth, beside those that it causes. With 0 output layers
    send every change, because nobody reads them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        budgets = {
            "--budget-px": self.budget_px,
            "--budget-class": self.budget_class,
            "--budget-error": self.budget_error,
        }
        given = [option for option, budget in budgets.items() if budget is not None]
        if len(given) > 1:
            many = "two" if len(given) == 2 else "three"
            raise UsageError(f"{' and '.join(given)} are {many} budgets; give one of them")
        if given and self.task is not None:
            raise UsageError(
                f"--task {self.task} chooses the default budget, and {given[0]} states one; give"
                " one of them"
            )

    def check_output(self, output_shapes: Sequence[Shape]) -> None:
        budget = self.budget()
        unit = budget.unit if budget else TASK_UNITS[self.task] if self.task else None
        option = f"--task {self.task}" if self.task else f"--budget-{unit}"
        one_pixel = [shape for shape in output_shapes if shape[1:] == (1, 1)]
        alone = len(output_shapes) == 1
        found = " and ".join(map(str, output_shapes))
        has = f"the network's output{' is' if alone else 's are'} {found}; use --budget-error"
        if unit == "px" and not (alone and not one_pixel):
            raise UsageError(f"{option} needs heat maps, and {has}")
        if unit == "class" and not (alone and one_pixel and one_pixel[0][0] > 1):
            raise UsageError(f"{option} needs two or more outputs of one pixel, and {has}")

    def choose(self, inputs: ThresholdInputs) -> "tuple[OperatingPoints, BudgetSearch]":
        from ann2sdnn.calibration.thresholds.budget import search_budget

        search = search_budget(
            inputs.graph,
            inputs.spec,
            inputs.frames,
            budget=self.budget(),
            task=self.task,
            memory=self.memory,
            message_cost=self.message_cost,
            reporter=inputs.reporter,
        )
        return search.points, search

    def budget(self) -> "Budget | None":
        """The budget that was stated, or None."""
        from ann2sdnn.calibration.thresholds.deviation import Budget

        if self.budget_px is not None:
            return Budget("px", self.budget_px)
        if self.budget_class is not None:
            return Budget("class", self.budget_class)
        return None if self.budget_error is None else Budget("error", self.budget_error)

    @classmethod
    def sweep(cls, grid: Grid) -> Sequence[SweepCandidate]:
        return [
            SweepCandidate(series.name, error, partial(_with_error, error=error, memory=memory))
            for memory, series in _SERIES.items()
            for error in _ERRORS
        ]

    @classmethod
    def larger(cls) -> str:
        return "a larger --budget-px, --budget-class or --budget-error"


def _with_error(inputs: ThresholdInputs, *, error: float, memory: "Memory") -> "Spec":
    from ann2sdnn.calibration.thresholds.rate_distortion import points_within, with_points

    points = points_within(inputs.curves, error**2 * inputs.output_energy, memory)
    return with_points(inputs.spec, inputs.curves, points)
