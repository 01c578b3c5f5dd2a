"""Searches thresholds for a budget and checks them on held-out recordings.

The budget bounds what thresholds add to the network without thresholds, whatever rounding costs. A
share of classes is a rare event on a few frames, so there the upper end of its interval has to keep
the budget.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ann2sdnn.calibration.thresholds.curves import LayerCurve, Memory
from ann2sdnn.calibration.thresholds.deviation import (
    Budget,
    Deviation,
)
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import (
    ROWS,
    Points,
    SearchResult,
    points_within,
    predicted_costs,
    predicted_error,
    search,
    with_points,
)
from ann2sdnn.calibration.thresholds.trials import Trial, TrialBench
from ann2sdnn.calibration.thresholds.unit_choice import (
    labelled_unit,
    refuse_unmeasurable,
    unlabelled_unit,
)
from ann2sdnn.calibration.thresholds.units import TASK_UNITS, UNITS, Unit
from ann2sdnn.data.sources.frames import Frames, beginnings, hold_out
from ann2sdnn.data.sources.labels import TargetKind, kind_of_targets
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter

RUN_FRAMES = 12
"""The longest piece of a recording that is run: errors of thresholds have built up by then."""

# Of curves and trials, and held out.
_CURVE_FRAMES, _FRAMES, _HELD_OUT_FRAMES = 64, 128, 64
# A changed class is a rare event, so a budget of classes is searched on more frames where the
# network is so small that a trial still takes seconds.
_CLASS_FRAMES, _NEURONS_IN_A_TRIAL = 1024, 2 * 10**8
_MAX_TRIALS = 5
_LARGEST_FIRST = 0.2  # relative error of the output where a search begins, unless asked for
_CHEAPER = 0.9  # operations of the engine's own operating point, over those of lava's
_WORTH_TRYING = 0.97  # predicted: it is never kept above _CHEAPER


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Trials on held-out frames: ``base`` with thresholds of 0, and the networks of ``Searched``.

    ``n_joints``: joints of which the ANN is confident.
    """

    base: Trial
    stateful: Trial
    mixed: Trial
    memoryless: Trial
    n_joints: int

    def says_something(self, unit: Unit) -> bool:
        """Whether anything could be measured in ``unit``."""
        if unit == "px":
            return self.n_joints > 0
        return unit == "error" or self.base.added.classes is not None


@dataclass(frozen=True)
class TrialRecord:
    """One run of the search: which layers were stateful, its operations and what it added."""

    memory: Memory
    operations: float
    added: Deviation


@dataclass(frozen=True, eq=False)
class BudgetSearch:
    """The search for ``budget``.

    ``base``: the trial with thresholds of 0; ``output_energy``: energy per frame of its output.
    ``stateful``, ``memoryless``: the best networks with layers of one kind; ``mixed``: the best
    that ``memory`` allows. ``held_out``: None without held-out recordings. ``trials``: all runs.
    ``message_cost``: operations that a message was worth.
    """

    budget: Budget
    memory: Memory
    curves: tuple[LayerCurve, ...]
    base: Trial
    output_energy: float
    stateful: SearchResult
    mixed: SearchResult
    memoryless: SearchResult
    held_out: HeldOut | None
    trials: tuple[TrialRecord, ...]
    message_cost: float = 0.0

    @property
    def points(self) -> OperatingPoints:
        """The operating points: the engine has its own where it is at least 10% cheaper."""
        mixed, stateful = (
            result.trial.cost(self.message_cost) for result in (self.mixed, self.stateful)
        )
        pays = mixed < _CHEAPER * stateful
        return OperatingPoints(
            lava=self.stateful.spec,
            engine=self.mixed.spec if pays and self.memory == "mixed" else None,
            memoryless=self.memoryless.spec,
        )

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of the layers whose thresholds are 0 because their effect was not measured."""
        named = zip(self.stateful.spec.layers, self.curves[1:], strict=False)
        return tuple(layer.name for layer, curve in named if curve.unmeasured(ROWS["all"]))


def search_budget(
    graph: Graph,
    spec: Spec,
    runs: Sequence[Frames],
    *,
    budget: Budget | None = None,
    task: str | None = None,
    memory: Memory = "mixed",
    message_cost: float = 0.0,
    reporter: Reporter = SILENT,
) -> BudgetSearch:
    """Search thresholds for ``spec``, which has thresholds of 0 and stateful layers.

    They keep the budget for the least sum of operations and, worth ``message_cost`` operations
    each, messages.

    ``budget`` None stands for the default in the unit of ``task``. ``task`` None stands for
    classify where outputs can be classes and all runs are labelled with them; for pose where the
    output is heat maps of the frames' size in which the ANN is confident of a joint; and for a
    relative error elsewhere. Raises ConversionError for a budget in pixels where the ANN is
    confident of no joint, and for one of classes where it names none.
    """
    labelled = kind_of_targets(runs)
    runs, held_out_runs = split_runs(runs)
    curves = measure_curves(spec, pieces(runs, _CURVE_FRAMES), reporter, message_cost=message_cost)
    unit = _known_unit(spec, budget, task, labelled)
    runs = pieces(runs, _n_frames(spec, unit, _FRAMES))
    n_frames = sum(run.n_frames for run in runs)
    # The number of trials is not known; the bar ends early when there are fewer.
    with reporter.task("Trials of thresholds", (2 * _MAX_TRIALS + 1) * n_frames, "frames") as bar:
        bench = TrialBench(graph, spec, runs, bar)
        unit = unit or unlabelled_unit(spec, bench)
        budget = budget or Budget(unit, UNITS[unit].default)
        refuse_unmeasurable(unit, bench)
        searcher = _Searcher(spec, curves, bench, budget, message_cost)
        first = _first_error(budget) ** 2 * bench.output_energy
        stateful = searcher.best("all", first)
        reached = predicted_error(curves, stateful.points) or first
        memoryless = searcher.best("none", reached)
        candidates = [stateful]
        if memory == "mixed":
            candidates.append(memoryless)
            if _mixing_pays(curves, stateful, reached):
                candidates.append(searcher.best("mixed", reached))
    result = BudgetSearch(
        budget=budget,
        memory=memory,
        curves=curves,
        base=bench.base,
        output_energy=bench.output_energy,
        stateful=stateful,
        mixed=min(candidates, key=lambda result: result.trial.cost(message_cost)),
        memoryless=memoryless,
        held_out=None,
        trials=tuple(searcher.records),
        message_cost=message_cost,
    )
    return replace(result, held_out=_held_out(graph, spec, result, held_out_runs, reporter))


def _known_unit(
    spec: Spec, budget: Budget | None, task: str | None, labelled: TargetKind | None
) -> Unit | None:
    """The unit of the budget, where no output is needed to know it."""
    if budget is not None:
        return budget.unit
    return TASK_UNITS[task] if task else labelled_unit(spec, labelled)


def _n_frames(spec: Spec, unit: Unit | None, least: int) -> int:
    """The most frames of a trial, of which ``least`` are run however large the network is."""
    if unit != "class":
        return least
    n_neurons = sum(math.prod(layer.preactivation_shape) for layer in spec.layers)
    return max(least, min(_CLASS_FRAMES, _NEURONS_IN_A_TRIAL // n_neurons))


def _mixing_pays(curves: Sequence[LayerCurve], stateful: SearchResult, error: float) -> bool:
    """Whether layers of both kinds are predicted to save enough for trials of them."""
    mixed = points_within(curves, error, "mixed")
    before = predicted_costs(curves, stateful.points)
    return predicted_costs(curves, mixed) < _WORTH_TRYING * before


def _first_error(budget: Budget) -> float:
    """Relative error of the output where the search begins."""
    error = budget.limit * UNITS[budget.unit].error
    return error if budget.unit == "error" else min(error, _LARGEST_FIRST)


class _Searcher:
    """Runs candidates once each, and keeps a record of every run."""

    def __init__(
        self,
        spec: Spec,
        curves: tuple[LayerCurve, ...],
        bench: TrialBench,
        budget: Budget,
        message_cost: float,
    ) -> None:
        self.records: list[TrialRecord] = []
        self._spec, self._curves, self._bench, self._budget = spec, curves, bench, budget
        self._known: dict[Points, SearchResult] = {}
        self._message_cost = message_cost

    def best(self, memory: Memory, first_error: float) -> SearchResult:
        """The cheapest network of ``memory`` within the budget."""

        def run(points: Points) -> SearchResult:
            if points not in self._known:
                candidate = with_points(self._spec, self._curves, points)
                trial = self._bench.run(candidate)
                self._known[points] = SearchResult(points, candidate, trial)
                self.records.append(TrialRecord(memory, trial.total_operations, trial.added))
            return self._known[points]

        return search(
            self._curves,
            memory,
            run=run,
            used=lambda trial: trial.added.used(self._budget),
            cost=lambda trial: trial.cost(self._message_cost),
            first_error=first_error,
            max_trials=_MAX_TRIALS,
        )


def _held_out(
    graph: Graph, base: Spec, found: BudgetSearch, runs: Sequence[Frames], reporter: Reporter
) -> HeldOut | None:
    if not runs:
        return None
    runs = pieces(runs, _n_frames(base, found.budget.unit, _HELD_OUT_FRAMES))
    n_frames = sum(run.n_frames for run in runs)
    specs = [found.stateful.spec, found.mixed.spec, found.memoryless.spec]
    different = list({id(spec): spec for spec in specs}.values())
    n_networks = 1 + len(different)
    with reporter.task("Check on held-out frames", n_networks * n_frames, "frames") as task:
        bench = TrialBench(graph, base, runs, task)
        trials = {id(spec): bench.run(spec) for spec in different}
        stateful, mixed, memoryless = (trials[id(spec)] for spec in specs)
        return HeldOut(bench.base, stateful, mixed, memoryless, bench.n_joints)


def split_runs(runs: Sequence[Frames]) -> tuple[tuple[Frames, ...], tuple[Frames, ...]]:
    """Runs to search on, and the held-out runs of every fourth recording (of at least two)."""
    return hold_out(runs, first=1, every=4, fewest=2)


def pieces(runs: Sequence[Frames], n_frames: int) -> tuple[Frames, ...]:
    """At most ``n_frames`` frames: beginnings (``RUN_FRAMES`` each) of evenly spaced ``runs``."""
    length = min(RUN_FRAMES, max(run.n_frames for run in runs))
    return beginnings(runs, max(1, n_frames // length), length)
