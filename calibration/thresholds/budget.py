"""Searches thresholds for a budget in pixels and checks them on held-out recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ann2sdnn.calibration.thresholds.curves import LayerCurve
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import (
    ROWS,
    Memory,
    SearchResult,
    predicted_error,
    search,
)
from ann2sdnn.calibration.thresholds.trials import Trial, TrialBench
from ann2sdnn.data.sources.frames import Frames, beginnings, hold_out
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.progress import SILENT, Reporter

# Frames of curves and trials, the longest piece of a recording, and held-out frames.
_FRAMES, _RUN_FRAMES, _HELD_OUT_FRAMES = 64, 12, 32
_MAX_TRIALS = 5
_PX_PER_ERROR = 4.5  # displacement over relative error of the output; where the search begins

Bounds = Literal["ann", "added"]
"""The displacement that a budget bounds: against the ANN, or what thresholds add to it."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Trials on held-out frames: ``base`` with thresholds of 0, and the ``chosen`` network."""

    base: Trial
    chosen: Trial


@dataclass(frozen=True, eq=False)
class BudgetSearch:
    """The search for ``budget_px``.

    ``bounds``: "ann" unless rounding alone exceeds the budget (``base.ann_px``). ``base``: the
    trial with thresholds of 0; ``output_energy``: energy per frame of its output. ``stateful``: the
    best network whose layers are all stateful; ``mixed``: the best of all. ``held_out``: None
    without held-out recordings.
    """

    budget_px: float
    memory: Memory
    bounds: Bounds
    curves: tuple[LayerCurve, ...]
    base: Trial
    output_energy: float
    stateful: SearchResult
    mixed: SearchResult
    held_out: HeldOut | None

    @property
    def chosen(self) -> SearchResult:
        """The best network that ``memory`` allows."""
        return self.mixed if self.memory == "mixed" else self.stateful

    @property
    def warnings(self) -> list[str]:
        """One sentence for each thing that the user should know."""
        warnings = []
        if self.bounds == "added":
            warnings.append(
                f"rounding alone moves joints by {self.base.ann_px:.2f} px, more than the budget of"
                f" {self.budget_px:g} px, so the budget bounds what thresholds add: together"
                f" {self.chosen.trial.ann_px:.2f} px from the ANN"
            )
        if self.held_out is not None:
            warnings += self._checked(self.held_out.chosen)
        if self.unmeasured:
            warnings.append(
                f"thresholds of {', '.join(self.unmeasured)} stay 0: no error that they would cause"
                " reached the output in the calibration frames measured, so their effect is"
                " unknown; calibrate on more frames, in which more moves"
            )
        return warnings

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of the layers whose thresholds are 0 because their effect was not measured."""
        named = zip(self.chosen.spec.layers, self.curves[1:], strict=False)
        rows = ROWS[self.memory]
        return tuple(layer.name for layer, curve in named if curve.unmeasured(rows))

    def _checked(self, trial: Trial) -> list[str]:
        if trial.n_joints == 0:
            return [
                f"on {trial.n_frames} held-out frames the ANN is confident of no joint, so"
                " nothing checks these thresholds; calibrate on more recordings"
            ]
        px = trial.displacement_px(self.bounds)
        if px <= self.budget_px:
            return []
        return [
            f"on {trial.n_frames} held-out frames joints move by {px:.2f} px, more than the"
            f" budget of {self.budget_px:g} px; calibrate on more varied recordings, or ask for"
            " less"
        ]


def search_budget(
    graph: Graph,
    spec: Spec,
    runs: Sequence[Frames],
    *,
    budget_px: float,
    memory: Memory = "all",
    reporter: Reporter = SILENT,
) -> BudgetSearch:
    """Search thresholds for ``spec``, which has thresholds of 0 and stateful layers.

    Raises ConversionError when the ANN is confident of no joint, so that nothing can be measured.
    """
    runs, held_out_runs = split_runs(runs)
    runs = pieces(runs, _FRAMES)
    curves = measure_curves(spec, runs, reporter)
    n_frames = sum(run.n_frames for run in runs)
    # The number of trials is not known; the bar ends early when there are fewer.
    with reporter.task("Trials of thresholds", (2 * _MAX_TRIALS + 1) * n_frames, "frames") as task:
        bench = TrialBench(graph, spec, runs, task)
        refuse_without_joints(bench)
        bounds: Bounds = "ann" if bench.base.ann_px <= budget_px else "added"

        def best(memory: Memory, first_error: float) -> SearchResult:
            return search(
                curves,
                spec,
                memory,
                run=bench.run,
                displacement_px=lambda trial: trial.displacement_px(bounds),
                budget_px=budget_px,
                first_error=first_error,
                max_trials=_MAX_TRIALS,
            )

        first = (budget_px / _PX_PER_ERROR) ** 2 * bench.output_energy
        stateful = best("all", first)
        mixed = best("mixed", predicted_error(curves, stateful.points) or first)
    if stateful.trial.total_operations < mixed.trial.total_operations:
        mixed = stateful
    result = BudgetSearch(
        budget_px, memory, bounds, curves, bench.base, bench.output_energy, stateful, mixed, None
    )
    held_out = _held_out(graph, spec, result.chosen.spec, held_out_runs, reporter)
    return replace(result, held_out=held_out)


def refuse_without_joints(bench: TrialBench) -> None:
    """ConversionError when the ANN is confident of no joint: no displacement can be measured."""
    if bench.base.n_joints == 0:
        raise ConversionError(
            f"the ANN is confident of no joint on {bench.base.n_frames} calibration frames, so no"
            " displacement can be measured; calibrate on other recordings, or use --thresholds"
            " percentile or mean-delta without --sweep"
        )


def _held_out(
    graph: Graph, base: Spec, chosen: Spec, runs: Sequence[Frames], reporter: Reporter
) -> HeldOut | None:
    if not runs:
        return None
    runs = pieces(runs, _HELD_OUT_FRAMES)
    n_frames = sum(run.n_frames for run in runs)
    with reporter.task("Check on held-out frames", 2 * n_frames, "frames") as task:
        bench = TrialBench(graph, base, runs, task)
        return HeldOut(bench.base, bench.run(chosen))


def split_runs(runs: Sequence[Frames]) -> tuple[tuple[Frames, ...], tuple[Frames, ...]]:
    """Runs to search on, and the held-out runs of every fourth recording (of at least two)."""
    return hold_out(runs, first=1, every=4, fewest=2)


def pieces(runs: Sequence[Frames], n_frames: int) -> tuple[Frames, ...]:
    """At most ``n_frames`` frames: the beginnings of evenly spaced ``runs``, 12 frames at most."""
    length = min(_RUN_FRAMES, max(run.n_frames for run in runs))
    return beginnings(runs, max(1, n_frames // length), length)
