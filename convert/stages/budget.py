"""Thresholds for a budget in pixels: curves, search and the check on recordings kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ann2sdnn.calibration.thresholds.curves import LayerCurve, measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import Memory, SearchResult, search
from ann2sdnn.calibration.thresholds.rules import ThresholdOptions, ThresholdRule
from ann2sdnn.calibration.thresholds.trials import Trial, TrialBench
from ann2sdnn.data.sources.frames import Frames, beginnings, hold_out
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ConversionError, UsageError
from ann2sdnn.support.progress import SILENT, Reporter

# Frames that curves and trials run on, the longest piece of a recording, and those kept apart.
_FRAMES, _RUN_FRAMES, _HELD_OUT_FRAMES = 64, 12, 32
_N_PROBES = 12
_MAX_TRIALS = 5
# Displacement over relative error of the maps, px: where the search begins, nothing more.
_PX_PER_ERROR = 4.5

Bounds = Literal["ann", "added"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """``base`` (thresholds 0) and the ``chosen`` network on ``n_frames`` frames that nothing was
    chosen on, in which the ANN is confident of ``n_joints`` joints.
    """

    base: Trial
    chosen: Trial
    n_frames: int
    n_joints: int


@dataclass(frozen=True, eq=False)
class Tuning:
    """What was found.

    ``bounds``: the displacement that the budget bounds, against the ANN or, where rounding alone
    exceeds the budget (``base.ann_px``), what thresholds add to it. ``remembering`` and ``mixed``:
    the best network whose layers all remember, and the best of all; ``chosen`` is one of them.
    ``held_out``: on recordings kept apart, None without any.
    """

    budget_px: float
    bounds: Bounds
    curves: tuple[LayerCurve, ...]
    base: Trial
    output_energy: float
    remembering: SearchResult
    mixed: SearchResult
    chosen: SearchResult
    held_out: HeldOut | None
    n_frames: int
    memory: Memory

    def displacement_px(self, trial: Trial) -> float:
        """The displacement that the budget bounds."""
        return trial.ann_px if self.bounds == "ann" else trial.added_px

    @property
    def warnings(self) -> list[str]:
        """What the user should know, a sentence each."""
        found = []
        if self.bounds == "added":
            found.append(
                f"rounding alone moves joints by {self.base.ann_px:.2f} px, more than the budget of"
                f" {self.budget_px:g} px, so the budget bounds what thresholds add: together"
                f" {self.chosen.trial.ann_px:.2f} px from the ANN"
            )
        if self.held_out is not None:
            found += self._checked(self.held_out)
        if self.unmeasured:
            found.append(
                f"thresholds of {', '.join(self.unmeasured)} stay 0: nothing that they would keep"
                " back reached the output in the calibration frames looked at, so what it does"
                " there is not known; calibrate on more frames, in which more moves"
            )
        return found

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Names of the layers whose thresholds are 0 because their effect was not measured."""
        named = zip(self.chosen.spec.layers, self.curves[1:], strict=False)
        kinds = self.memory.kinds
        return tuple(layer.name for layer, curve in named if curve.unmeasured(kinds))

    def _checked(self, held_out: HeldOut) -> list[str]:
        if held_out.n_joints == 0:
            return [
                f"on {held_out.n_frames} frames kept apart the ANN is confident of no joint, so"
                " nothing checks these thresholds; calibrate on more recordings"
            ]
        px = self.displacement_px(held_out.chosen)
        if px <= self.budget_px:
            return []
        return [
            f"on {held_out.n_frames} frames kept apart joints move by {px:.2f} px, more than the"
            f" budget of {self.budget_px:g} px; calibrate on more varied recordings, or ask for"
            " less"
        ]


def refuse_budget_without_maps(
    graph: Graph, options: ThresholdOptions, *, swept: bool = False
) -> None:
    """UsageError when thresholds are to keep a budget in pixels, or are to be ``swept`` against
    pixels, and the output is no heat map.
    """
    if graph.output_shape[1:] != (1, 1):
        return
    found = f"needs heat maps, and the network's output is {graph.output_shape};"
    if options.rule is ThresholdRule.RATE_DISTORTION:
        raise UsageError(f"a budget in pixels {found} use --thresholds percentile or mean-delta")
    if swept:
        raise UsageError(f"--sweep {found} convert without it")


def refuse_without_joints(bench: TrialBench) -> None:
    """ConversionError when the ANN is confident of no joint: no displacement can be measured."""
    if bench.n_joints == 0:
        raise ConversionError(
            f"the ANN is confident of no joint on {bench.n_frames} calibration frames, so no"
            " displacement can be measured; calibrate on other recordings, or use --thresholds"
            " percentile or mean-delta without --sweep"
        )


def tune(
    graph: Graph,
    spec: Spec,
    runs: Sequence[Frames],
    options: ThresholdOptions,
    reporter: Reporter = SILENT,
) -> tuple[Spec, Tuning | None]:
    """``spec`` with thresholds for ``options.budget_px``, or as it is under any other rule.

    ``spec`` has thresholds of 0. Raises ConversionError when the ANN is confident of no joint, so
    that nothing can be measured.
    """
    if options.rule is not ThresholdRule.RATE_DISTORTION:
        return spec, None
    tuning_runs, held_out_runs = split_runs(runs)
    tuning_runs = pieces(tuning_runs, _FRAMES)
    curves = threshold_curves(spec, tuning_runs, reporter)
    n_frames = sum(run.n_frames for run in tuning_runs)
    # How many trials a search takes is not known; the bar ends early when fewer do.
    with reporter.task("Trials of thresholds", (2 * _MAX_TRIALS + 1) * n_frames, "frames") as task:
        bench = TrialBench(graph, spec, tuning_runs, task)
        refuse_without_joints(bench)
        remembering, mixed, bounds = _both(curves, spec, bench, options.budget_px)
    chosen = mixed if options.memory is Memory.MIXED else remembering
    held_out = _held_out(graph, spec, chosen.spec, held_out_runs, reporter)
    tuning = Tuning(
        budget_px=options.budget_px,
        bounds=bounds,
        curves=curves,
        base=bench.base,
        output_energy=bench.output_energy,
        remembering=remembering,
        mixed=mixed,
        chosen=chosen,
        held_out=held_out,
        n_frames=n_frames,
        memory=options.memory,
    )
    return chosen.spec, tuning


def threshold_curves(
    spec: Spec, runs: Sequence[Frames], reporter: Reporter
) -> tuple[LayerCurve, ...]:
    """The curves of ``spec`` on ``runs``."""
    n_frames = sum(run.n_frames for run in runs)
    return measure_curves(
        network_from_spec(spec),
        runs,
        threshold_step=spec.grid.threshold_step,
        probe_every=max(1, n_frames // _N_PROBES),
        reporter=reporter,
    )


def _both(
    curves: Sequence[LayerCurve], spec: Spec, bench: TrialBench, budget_px: float
) -> tuple[SearchResult, SearchResult, Bounds]:
    """The best whose layers all remember, the best of all, and what the budget bounds."""
    bounds: Bounds = "ann" if bench.base.ann_px <= budget_px else "added"
    find = partial(
        search,
        curves,
        spec,
        run=bench.run,
        displacement_px=lambda t: t.ann_px if bounds == "ann" else t.added_px,
        budget_px=budget_px,
        max_trials=_MAX_TRIALS,
    )
    first = (budget_px / _PX_PER_ERROR) ** 2 * bench.output_energy
    remembering = find(memory=Memory.ALL, first_error=first)
    mixed = find(memory=Memory.MIXED, first_error=remembering.predicted_error or first)
    if remembering.trial.total_operations < mixed.trial.total_operations:
        mixed = remembering
    return remembering, mixed, bounds


def _held_out(
    graph: Graph, base: Spec, chosen: Spec, runs: Sequence[Frames], reporter: Reporter
) -> HeldOut | None:
    if not runs:
        return None
    shortened = pieces(runs, _HELD_OUT_FRAMES)
    n_frames = sum(run.n_frames for run in shortened)
    with reporter.task("Check on frames kept apart", 2 * n_frames, "frames") as task:
        bench = TrialBench(graph, base, shortened, task)
        return HeldOut(bench.base, bench.run(chosen), bench.n_frames, bench.n_joints)


def split_runs(runs: Sequence[Frames]) -> tuple[tuple[Frames, ...], tuple[Frames, ...]]:
    """Runs to tune on, and those of every fourth recording (of at least two), kept apart."""
    return hold_out(runs, first=1, every=4, fewest=2)


def pieces(runs: Sequence[Frames], n_frames: int) -> tuple[Frames, ...]:
    """At most ``n_frames`` frames: the beginnings of evenly spaced ``runs``, 12 frames at most."""
    length = min(_RUN_FRAMES, max(run.n_frames for run in runs))
    return beginnings(runs, max(1, n_frames // length), length)
