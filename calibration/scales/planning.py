"""The range plan: scales, the relays that pay most, and enough headroom for frames kept apart."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ann2sdnn.calibration.measure.sensitivity import Sensitivity
from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.calibration.scales.problem import ScaleOptions, ScaleProblem, plan_scales
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.spec import Grid
from ann2sdnn.support.errors import ConversionError, UsageError
from ann2sdnn.support.progress import SILENT, Reporter

MOST_USED = 0.95  # of a range, by frames kept apart: others may need a little more
_MORE = 1.05  # than what was just missing
_ATTEMPTS = 4
_HOPELESS = 100.0  # foreseen relative error of the output


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a plan is made from; ``held_out``: statistics of recordings kept apart, or None."""

    graph: Graph
    statistics: Statistics
    held_out: Statistics | None
    sensitivity: Sensitivity


@dataclass(frozen=True, eq=False)
class PlanOutcome:
    """``headroom_asked``: less than the plan's where frames kept apart would have overflowed.
    ``relay_errors``: foreseen relative error without relays, with the first, the second, ...
    """

    plan: RangePlan
    headroom_asked: float
    relay_errors: tuple[float, ...]


def refuse_too_many_relays(graph: Graph, n_relays: int) -> None:
    """UsageError when ``graph`` has fewer layers than relays are asked for."""
    n_layers = len(graph.layers)
    if n_relays > n_layers:
        raise UsageError(f"--relays {n_relays}; the network has room for {n_layers}, one a layer")


def plan_range(
    evidence: Evidence,
    grid: Grid,
    *,
    headroom: float,
    n_relays: int = 0,
    free_shifts: bool = False,
    reporter: Reporter = SILENT,
) -> PlanOutcome:
    """Plan with ``n_relays`` relays, each where it lowers the foreseen error most.

    Raises UsageError when there are fewer layers than relays, and ConversionError naming the
    extreme number when nothing of the network is left by any plan.
    """
    refuse_too_many_relays(evidence.graph, n_relays)
    options = ScaleOptions(headroom, free_shifts=free_shifts)
    errors: list[float] = []
    with reporter.task("Range plan", n_relays + 1, "plans") as task:
        for count in range(n_relays + 1):
            if count:
                options = replace(options, relays=_with_best_relay(evidence, grid, options))
            errors.append(_plan(evidence, grid, options).noise.relative_error)
            task.advance()
    plan = with_headroom(
        lambda wider: _plan(evidence, grid, replace(options, headroom=wider)),
        lambda made: (
            1.0 if evidence.held_out is None else range_used_by_statistics(made, evidence.held_out)
        ),
        headroom,
    )
    _refuse_hopeless(evidence, plan)
    return PlanOutcome(plan, headroom, tuple(errors))


def with_headroom(
    plan_with: Callable[[float], RangePlan], used: Callable[[RangePlan], float], headroom: float
) -> RangePlan:
    """The first plan that uses at most ``MOST_USED`` of its range; headroom grows until then."""
    plan = plan_with(headroom)
    for _ in range(_ATTEMPTS):
        share = used(plan)
        if share <= MOST_USED:
            break
        plan = plan_with(plan.headroom * share / MOST_USED * _MORE)
    return plan


def range_used_by_statistics(plan: RangePlan, seen: Statistics) -> float:
    """The largest share of a state's or message's range that the frames of ``seen`` would use."""
    shares = [
        max(
            float((own.scale * layer.state_peak).max()) / plan.grid.state_limit,
            float((own.sent * layer.message_peak).max()) / plan.grid.message_limit,
        )
        for own, layer in zip(plan.layers, seen.layers, strict=True)
    ]
    return max(shares)


def _refuse_hopeless(evidence: Evidence, plan: RangePlan) -> None:
    """A number that is larger than all others by orders of magnitude leaves them no range."""
    if plan.noise.relative_error < _HOPELESS:
        return
    found: list[tuple[float, str]] = []
    layers = zip(evidence.graph.layers, evidence.statistics.layers, strict=True)
    for layer, seen in layers:
        channel = int(seen.state_peak.argmax())
        peak, sent = float(seen.state_peak[channel]), float(seen.message_peak.max())
        found.append(
            (
                peak / max(sent, 1e-30),
                f"layer {layer.name}: the pre-activation of channel {channel} reaches {peak:.3g} in"
                f" magnitude, where the layer's activations reach {sent:.3g}",
            )
        )
        sizes = np.abs(layer.weight[layer.weight != 0].astype(np.float64))
        largest, median = (float(sizes.max()), float(np.median(sizes))) if sizes.size else (0, 1)
        found.append(
            (
                largest / median,
                f"layer {layer.name}: its largest weight is {largest:.3g}, and half of its weights"
                f" are smaller than {median:.3g}",
            )
        )
    _, what = max(found)
    raise ConversionError(
        f"{what}; no scales fit both into the grid (rounding is foreseen to change the output by"
        f" {plan.noise.relative_error:.1g} times its size), so remove what is so large, or train on"
    )


def _plan(evidence: Evidence, grid: Grid, options: ScaleOptions) -> RangePlan:
    return plan_scales(evidence.graph, evidence.statistics, evidence.sensitivity, grid, options)


def _problem(evidence: Evidence, grid: Grid, options: ScaleOptions) -> ScaleProblem:
    return ScaleProblem(evidence.graph, evidence.statistics, evidence.sensitivity, grid, options)


def _with_best_relay(evidence: Evidence, grid: Grid, options: ScaleOptions) -> tuple[int, ...]:
    """``options.relays`` and the one layer whose relay lowers the foreseen error most."""
    candidates = [i for i in range(len(evidence.graph.layers)) if i not in options.relays]
    without = _problem(evidence, grid, options)
    start = without.best()
    errors = [
        _problem(evidence, grid, replace(options, relays=(*options.relays, index))).quick_error(
            start, without.shifts_of(start)
        )
        for index in candidates
    ]
    return tuple(sorted((*options.relays, candidates[int(np.argmin(errors))])))
