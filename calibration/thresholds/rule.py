"""The interface of a threshold rule, and the registry of rules.

A threshold is a whole number of the grid's threshold steps: 1/64 of the scaled activation, as lava
stores it, or finer with ``--threshold-bits``. To add a rule, decorate a frozen dataclass that
derives from ``ThresholdRule`` or ``StatisticsRule`` with ``register``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed_int
from ann2sdnn.support.options.fields import CheckedOptions, declared_of
from ann2sdnn.support.progress import SILENT, Reporter

if TYPE_CHECKING:
    from ann2sdnn.calibration.measure.statistics import LayerStatistics, Statistics
    from ann2sdnn.calibration.thresholds.budget import BudgetSearch
    from ann2sdnn.calibration.thresholds.curves import LayerCurve
    from ann2sdnn.graph.layers import Graph
    from ann2sdnn.sdnn.spec.points import OperatingPoints
    from ann2sdnn.sdnn.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class ThresholdInputs:
    """What thresholds are chosen from. ``spec`` has thresholds of 0 and stateful layers.

    For sweeps only, ``curves`` of ``spec`` and ``output_energy``, the energy per frame of its
    output.
    """

    graph: "Graph"
    spec: "Spec"
    statistics: "Statistics"
    frames: Sequence[Frames]
    reporter: Reporter = SILENT
    curves: "tuple[LayerCurve, ...]" = ()
    output_energy: float = 0.0


@dataclass(frozen=True)
class SweepCandidate:
    """A network of a sweep: a point of ``series`` at ``parameter``, and how to make it."""

    series: str
    parameter: float
    make: "Callable[[ThresholdInputs], Spec]"


@dataclass(frozen=True)
class Series:
    """A series of a sweep's plot; ``colour``, ``marker`` and ``line`` as in matplotlib."""

    name: str
    colour: str
    marker: str
    line: str = "-"


@dataclass(frozen=True)
class ThresholdRule(CheckedOptions, ABC):
    """How thresholds are chosen. The fields of a rule are its options.

    ``name``: its value of ``--thresholds``. ``series``: its series in a sweep.
    ``predicts_error``: the thresholds' share of the output error is known beforehand.
    """

    panel = "Thresholds"
    name: ClassVar[str]
    series: ClassVar[tuple[Series, ...]] = ()
    predicts_error: ClassVar[bool] = False

    def check(self, grid: Grid) -> None:
        """Raise UsageError for options that make no sense on ``grid``."""

    def check_output(self, output_shapes: Sequence[Shape]) -> None:
        """Raise UsageError for options that make no sense for outputs of these (C, H, W)."""

    @abstractmethod
    def choose(self, inputs: ThresholdInputs) -> "tuple[OperatingPoints, BudgetSearch | None]":
        """The spec with this rule's thresholds, and the measurements of a rule that searches.

        The threshold of an output that no layer reads stays 0: its messages go to the host only and
        cost no operations.
        """

    @classmethod
    def sweep(cls, grid: Grid) -> Sequence[SweepCandidate]:
        """The networks that ``convert --sweep`` runs for this rule, none by default."""
        return ()

    @classmethod
    def larger(cls) -> str:
        """Advice: the options that give larger thresholds."""
        if not fields(cls):
            return "--thresholds mean-delta"
        own = fields(cls)[0]
        option = declared_of(own).option
        return f"--thresholds {cls.name} with {option} above {own.default:g}, its default"


class StatisticsRule(ThresholdRule):
    """A rule that needs a layer's statistics and its scale only.

    ``swept``: values of the rule's first option in a sweep, the parameter of its only series.
    """

    swept: ClassVar[tuple[float, ...]] = ()

    @abstractmethod
    def threshold(self, seen: "LayerStatistics", scale: float) -> float:
        """Threshold of a layer in units of the scaled activation; ``scale``: scaled over original
        activation, after pooling.
        """

    def choose(self, inputs: ThresholdInputs) -> "tuple[OperatingPoints, None]":
        """See ``applied``; there is no search."""
        from ann2sdnn.sdnn.spec.points import OperatingPoints

        return OperatingPoints(self.applied(inputs)), None

    @classmethod
    def sweep(cls, grid: Grid) -> Sequence[SweepCandidate]:
        """One network for each of ``swept``."""
        return [cls._candidate(value) for value in cls.swept]

    @classmethod
    def _candidate(cls, value: float) -> SweepCandidate:
        rule = cls(**{fields(cls)[0].name: value})
        return SweepCandidate(cls.series[0].name, value, rule.applied)

    def applied(self, inputs: ThresholdInputs) -> "Spec":
        """The spec with this rule's thresholds. Relays are not part of the graph and keep 0, as
        layers do that no other reads.
        """
        spec = inputs.spec
        by_name = {layer.name: layer for layer in spec.layers}
        units = 1 / spec.grid.threshold_step
        thresholds = {}
        graph = inputs.graph
        for plane, layer in enumerate(graph.layers, start=1):
            if not graph.readers[plane]:
                continue
            seen = inputs.statistics.layers[plane - 1]
            # Where scales differ from channel to channel, their mean stands for all.
            scale = float(by_name[layer.name].scale.mean())
            thresholds[layer.name] = _steps(self.threshold(seen, scale) * units)
        layers = tuple(replace(x, threshold=thresholds.get(x.name, 0)) for x in spec.layers)
        return replace(spec, layers=layers)


RULES: dict[str, type[ThresholdRule]] = {}

_Rule = TypeVar("_Rule", bound=type[ThresholdRule])


def register(rule: _Rule) -> _Rule:
    """Class decorator that adds a rule to ``RULES`` by its name."""
    if RULES.setdefault(rule.name, rule) is not rule:
        raise ValueError(f"there is a threshold rule {rule.name} already")
    return rule


def _steps(threshold: float) -> int:
    """Rounded down; ConversionError where there is no such number of threshold steps."""
    floored = math.floor(threshold) if math.isfinite(threshold) else threshold
    return narrowed_int(
        floored,
        np.int64,
        "a threshold in the grid's steps",
        advice="choose a lower threshold",
        error=ConversionError,
    )
