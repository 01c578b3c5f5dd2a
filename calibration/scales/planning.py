"""Plans the range: scales, the relays that pay most, and headroom for held-out frames."""

from dataclasses import replace

import numpy as np

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.scales.plan import RangePlan, ScaleOptions
from ann2sdnn.calibration.scales.problem import ScaleProblem, plan_scales
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import ConversionError, UsageError
from ann2sdnn.support.progress import SILENT, Reporter

MOST_USED = 0.95  # share of a range that held-out frames may use: others may need a little more
_MARGIN = 1.05  # beyond the headroom that was just missing
_ATTEMPTS = 4
_HOPELESS = 100.0  # predicted relative error of the output


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
) -> RangePlan:
    """Plan with ``n_relays`` relays, each where it lowers the predicted error most.

    The plan's headroom is larger than ``headroom`` if held-out frames would have overflowed. Raises
    UsageError when there are fewer layers than relays, and ConversionError naming the extreme
    number when no plan preserves anything of the network.
    """
    refuse_too_many_relays(evidence.graph, n_relays)
    options = ScaleOptions(headroom, free_shifts=free_shifts)
    errors: list[float] = []
    with reporter.task("Range plan", n_relays + 1, "plans") as task:
        for count in range(n_relays + 1):
            if count:
                options = replace(options, relays=_with_best_relay(evidence, grid, options))
            plan = plan_scales(evidence, grid, options)
            errors.append(plan.noise.relative_error)
            task.advance()
    for _ in range(_ATTEMPTS):
        held_out = evidence.held_out
        used = 1.0 if held_out is None else range_used_by_statistics(plan, held_out)
        if used <= MOST_USED:
            break
        wider = plan.headroom * used / MOST_USED * _MARGIN
        plan = plan_scales(evidence, grid, replace(options, headroom=wider))
    _refuse_hopeless(evidence, plan)
    return replace(plan, relay_errors=tuple(errors))


def range_used_by_statistics(plan: RangePlan, seen: Statistics) -> float:
    """The largest share of a state's or message's range that the frames of ``seen`` would use."""
    return max(
        max(
            float((own.scale * layer.state_peak).max()) / plan.grid.state_limit,
            float((own.sent * layer.message_peak).max()) / plan.grid.message_limit,
        )
        for own, layer in zip(plan.layers, seen.layers, strict=True)
    )


def _refuse_hopeless(evidence: Evidence, plan: RangePlan) -> None:
    """A number that is larger than all others by orders of magnitude leaves them no range."""
    if plan.noise.relative_error < _HOPELESS:
        return
    extremes: list[tuple[float, str]] = []
    for layer, seen in zip(evidence.graph.layers, evidence.statistics.layers, strict=True):
        channel = int(seen.state_peak.argmax())
        peak, sent = float(seen.state_peak[channel]), float(seen.message_peak.max())
        sizes = np.abs(layer.weight[layer.weight != 0].astype(np.float64))
        largest, median = (float(sizes.max()), float(np.median(sizes))) if sizes.size else (0, 1)
        extremes += [
            (
                peak / max(sent, 1e-30),
                f"layer {layer.name}: the pre-activation of channel {channel} reaches {peak:.3g} in"
                f" magnitude, where the layer's activations reach {sent:.3g}",
            ),
            (
                largest / median,
                f"layer {layer.name}: its largest weight is {largest:.3g}, and half of its weights"
                f" are smaller than {median:.3g}",
            ),
        ]
    _, what = max(extremes)
    raise ConversionError(
        f"{what}; no scales fit both into the grid (rounding would change the output by about"
        f" {plan.noise.relative_error:.1g} times its size), so remove what is so large, or train on"
    )


def _with_best_relay(evidence: Evidence, grid: Grid, options: ScaleOptions) -> tuple[int, ...]:
    """``options.relays`` and the layer whose relay lowers the predicted error most."""
    candidates = [i for i in range(len(evidence.graph.layers)) if i not in options.relays]
    without = ScaleProblem(evidence, grid, options)
    start = without.best()
    shifts = without.shifts_of(start)
    relays = [(*options.relays, index) for index in candidates]
    errors = [
        ScaleProblem(evidence, grid, replace(options, relays=more)).quick_error(start, shifts)
        for more in relays
    ]
    return tuple(sorted(relays[int(np.argmin(errors))]))
