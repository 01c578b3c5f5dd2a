"""From a float graph and calibration frames to integers: statistics, range plan, rounding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ann2sdnn.calibration.learning.distil import DistilOptions, DistilResult, distil
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.memory import rounding_frames, too_wide, too_wide_note
from ann2sdnn.calibration.rounding.on_grid import OnGrid, find_on_grid
from ann2sdnn.calibration.rounding.rounded import Rounded, range_used_by_frames, round_nearest
from ann2sdnn.calibration.rounding.sequential import round_sequentially
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.calibration.scales.planning import MOST_USED, Evidence, PlanOutcome, plan_range
from ann2sdnn.data.sources import frames as sources
from ann2sdnn.data.sources.frames import Frames, sample_frames
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.spec import Grid
from ann2sdnn.support.options.fields import CheckedOptions, choice, number
from ann2sdnn.support.progress import SILENT, Reporter

Shifts = Literal["stock", "per-layer"]
Rounding = Literal["nearest", "gptq"]

# Frames at hand: for sensitivities, rounding, distillation, and of those kept apart.
_PROBED, _ROUNDED_ON, _DISTILLED_ON, _CHECKED_ON = 32, 64, 1024, 24
_FEWEST_RECORDINGS = 4  # from which on some are kept apart
_ATTEMPTS = 3


@dataclass(frozen=True)
class QuantiseOptions(CheckedOptions):
    """``headroom``: kept between what calibration saw and the limits of the grid. ``relays``: how
    many to place. ``shifts``: netx's 6 bits everywhere, or a right shift of its own for each layer.
    ``rounding``: to the nearest, or error-compensated. ``distil``: how to go on, or None.
    """

    # 64 leaves 9 of a message's 15 bits; there is no use for more.
    headroom: float = number(1.25, at_least=1, at_most=64, option="--headroom")
    # One a layer at most; no network that netx can hold has more layers.
    relays: int = number(0, at_least=0, at_most=1000, option="--relays")
    shifts: Shifts = choice("stock", option="--shifts")
    rounding: Rounding = choice("gptq", option="--rounding")
    distil: DistilOptions | None = None


@dataclass(frozen=True, eq=False)
class QuantisationResult:
    """What the stage made. ``rounding_left`` [L]: share of the error energy of rounding to the
    nearest that compensation leaves. ``range_used``: the largest share of a state's or message's
    range that ``n_checked`` frames, kept apart where there were enough, use. ``rounding``: how, in
    words. ``warnings``: what the user should know of it.
    """

    evidence: Evidence
    outcome: PlanOutcome
    plan: RangePlan
    rounded: Rounded
    rounding_left: tuple[float, ...]
    range_used: float
    distilled: DistilResult | None
    rounding: str
    warnings: tuple[str, ...] = ()
    n_checked: int = 0


def gather_evidence(graph: Graph, runs: Sequence[Frames], reporter: Reporter = SILENT) -> Evidence:
    """Statistics of the recordings planned on and of those kept apart, and sensitivities."""
    fitted, apart = hold_out(runs)
    return Evidence(
        graph=graph,
        statistics=measure(graph, fitted, reporter),
        held_out=measure(graph, apart, reporter, may_be_silent=True) if apart else None,
        sensitivity=measure_sensitivity(graph, sample_frames(fitted, _PROBED), reporter=reporter),
    )


def quantise(
    evidence: Evidence,
    runs: Sequence[Frames],
    grid: Grid,
    options: QuantiseOptions,
    reporter: Reporter = SILENT,
) -> QuantisationResult:
    """Plan and round, unless the network is on the grid already; then distil, if that is asked."""
    found, warnings = _as_it_is(evidence, grid, options)
    quantised = (
        _planned(evidence, runs, grid, options, reporter)
        if found is None
        else _kept(evidence, found)
    )
    quantised = replace(quantised, warnings=(*warnings, *quantised.warnings))
    if options.distil is None:
        return quantised
    return _distilled(quantised, runs, options.distil, reporter)


def _as_it_is(
    evidence: Evidence, grid: Grid, options: QuantiseOptions
) -> tuple[OnGrid | None, tuple[str, ...]]:
    """The weights as they are, or why they are not kept although they are on the grid."""
    found = find_on_grid(evidence, grid)
    if found is None:
        return None, ()
    objection = found.objection
    if options.relays or options.shifts != "stock":
        objection = "relays or free shifts were asked for"
    if objection is None:
        return found, ()
    return None, (f"the weights are on the grid already, but {objection}, so they were planned",)


def _kept(evidence: Evidence, found: OnGrid) -> QuantisationResult:
    outcome = PlanOutcome(found.plan, found.plan.headroom, (found.plan.noise.relative_error,))
    nothing_left = (0.0,) * len(found.rounded)
    seen = (evidence.statistics, evidence.held_out)
    return QuantisationResult(
        evidence,
        outcome,
        found.plan,
        found.rounded,
        nothing_left,
        found.range_used,
        None,
        "none, the weights are on the grid already",
        n_checked=sum(one.n_frames for one in seen if one is not None),
    )


def _planned(
    evidence: Evidence,
    runs: Sequence[Frames],
    grid: Grid,
    options: QuantiseOptions,
    reporter: Reporter,
) -> QuantisationResult:
    """Plan and round; both again with more headroom while the rounded network needs it."""
    graph = evidence.graph
    fitted, apart = hold_out(runs)
    frames = sample_frames(fitted, rounding_frames(graph, _ROUNDED_ON))
    checked = sample_frames(apart or fitted, _CHECKED_ON)
    # What biases answer to before the first frame has to fit as well.
    shown = [*checked, torch.zeros_like(checked[0])]
    headroom = options.headroom
    for _ in range(_ATTEMPTS):
        outcome = plan_range(
            evidence,
            grid,
            headroom=headroom,
            n_relays=options.relays,
            free_shifts=options.shifts == "per-layer",
            reporter=reporter,
        )
        rounded, left = _round(graph, outcome.plan, frames, options.rounding, reporter)
        used = range_used_by_frames(graph, outcome.plan, rounded, shown)
        if used <= MOST_USED:
            break
        headroom = outcome.plan.headroom * 1.02 * used / MOST_USED
    outcome = replace(outcome, headroom_asked=options.headroom)
    return QuantisationResult(
        evidence,
        outcome,
        outcome.plan,
        rounded,
        left,
        used,
        None,
        options.rounding,
        _nearest_for_width(graph, options),
        n_checked=len(checked),
    )


def _nearest_for_width(graph: Graph, options: QuantiseOptions) -> tuple[str, ...]:
    names = too_wide(graph) if options.rounding == "gptq" else ()
    return (too_wide_note(names),) if names else ()


def _distilled(
    quantised: QuantisationResult,
    runs: Sequence[Frames],
    options: DistilOptions,
    reporter: Reporter,
) -> QuantisationResult:
    graph, plan = quantised.evidence.graph, quantised.plan
    fitted, apart = hold_out(runs)
    checked = sample_frames(apart or fitted, _CHECKED_ON)
    rounded, result = distil(
        graph,
        plan,
        quantised.rounded,
        frames=sample_frames(fitted, _DISTILLED_ON),
        held_out=checked,
        options=options,
        reporter=reporter,
    )
    used = range_used_by_frames(graph, plan, rounded, checked)
    return replace(
        quantised,
        rounded=rounded,
        range_used=used,
        n_checked=len(checked),
        distilled=result,
    )


def hold_out(runs: Sequence[Frames]) -> tuple[tuple[Frames, ...], tuple[Frames, ...]]:
    """Runs to plan on, and those of every fifth recording, kept apart; none of fewer than four."""
    return sources.hold_out(runs, first=2, every=5, fewest=_FEWEST_RECORDINGS)


def _round(
    graph: Graph, plan: RangePlan, frames: Sequence[Tensor], rounding: Rounding, reporter: Reporter
) -> tuple[Rounded, tuple[float, ...]]:
    if rounding == "nearest":
        return round_nearest(graph, plan), (1.0,) * len(plan.layers)
    return round_sequentially(graph, plan, frames, reporter=reporter)
