"""Plans the range: scales, the relays that pay most, and headroom for held-out frames."""

from dataclasses import replace

import numpy as np

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.scales.plan import FloatArray, RangePlan, ScaleOptions
from ann2sdnn.calibration.scales.problem import Note, ScaleProblem
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import ConversionError, UsageError
from ann2sdnn.support.progress import SILENT, Reporter

MOST_USED = 0.95  # share of a range that held-out frames may use: others may need a little more
TARGET_ERROR = 0.04  # predicted relative error of the output, down to which relays are added
MOST_RELAYS = 8  # that are chosen without being asked for
# For the next relay: the layers with most noise. In a large network few differ in what they gain.
_MOST_CANDIDATES, _MOST_IF_LARGE = 20, 3
_LEAST_GAIN = 0.95  # predicted error with another relay, over the error without it
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
    n_relays: int | None = 0,
    begin: RangePlan | None = None,
    left: float = 1.0,
    free_shifts: bool = False,
    title: str = "Range plan",
    reporter: Reporter = SILENT,
) -> RangePlan:
    """Plan with ``n_relays`` relays, each where it lowers the predicted error most.

    ``n_relays`` None adds relays until the predicted error is at most 0.04 or another one would
    lower it by less than a twentieth. ``begin``: a plan for the same evidence, headroom and shifts,
    to which relays are added. ``left``: share of the rounding noise of weights that the rounding is
    expected to leave. ``title``: of the progress. The plan's headroom is larger than ``headroom``
    if held-out frames would have overflowed. Raises UsageError when there are fewer layers than
    relays, and ConversionError naming the extreme number when no plan preserves anything of the
    network.
    """
    n_layers = len(evidence.graph.layers)
    most = min(MOST_RELAYS, n_layers) if n_relays is None else n_relays
    refuse_too_many_relays(evidence.graph, most)
    relays = () if begin is None else begin.relays
    problem = ScaleProblem(evidence, grid, ScaleOptions(headroom, relays, free_shifts=free_shifts))
    plans, options = [], [problem.options]
    with reporter.task(title, most - len(relays) + 1, "plans") as task:

        def note(text: str) -> None:
            task.advance(0, text)

        x = problem.best(note=note) if begin is None else problem.solution_of(begin)
        plans.append(problem.plan(x) if begin is None else begin)
        task.advance()
        while len(plans[-1].relays) < most and (
            n_relays is not None or _another_relay_pays(plans, left)
        ):
            problem, x = _with_best_relay(problem, x, note)
            options.append(problem.options)
            x = problem.best(x, note)
            plans.append(problem.plan(x))
            task.advance()
    if n_relays is None and _gained_too_little(plans, left):
        del plans[-1], options[len(plans) :]
    plan, chosen = plans[-1], options[len(plans) - 1]
    for _ in range(_ATTEMPTS):
        held_out = evidence.held_out
        used = 0.0 if held_out is None else range_used_by_statistics(plan, held_out)
        if used <= MOST_USED:
            break
        wider = plan.headroom * used / MOST_USED * _MARGIN
        problem = ScaleProblem(evidence, grid, replace(chosen, headroom=wider), problem.edges)
        plan = problem.plan(problem.best(problem.solution_of(plan)))
    _refuse_hopeless(evidence, plan)
    return replace(plan, relay_errors=tuple(each.noise.relative_error for each in plans))


def _another_relay_pays(plans: list[RangePlan], left: float) -> bool:
    """Whether the last plan's error is above the target, and its last relay gained enough."""
    return plans[-1].noise.with_left(left) > TARGET_ERROR and not _gained_too_little(plans, left)


def _gained_too_little(plans: list[RangePlan], left: float) -> bool:
    if len(plans) < 2:
        return False
    before, after = (plan.noise.with_left(left) for plan in plans[-2:])
    return after > _LEAST_GAIN * before


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
        weights = np.concatenate([synapse.weight.ravel() for synapse in layer.synapses])
        sizes = np.abs(weights[weights != 0].astype(np.float64))
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


def _with_best_relay(
    without: ScaleProblem, start: FloatArray, note: Note
) -> tuple[ScaleProblem, FloatArray]:
    """``without``, solved by ``start``, and the relay that lowers the error most; about its x."""
    options = without.options
    by_noise = np.argsort(-without.plan(start).noise.weight, kind="stable").tolist()
    most = _MOST_IF_LARGE if without.is_large else _MOST_CANDIDATES
    candidates = sorted([i for i in by_noise if i not in options.relays][:most])
    shifts = without.shifts_of(start)
    tried = []
    for number, index in enumerate(candidates, 1):
        note(f"relay {len(options.relays) + 1}: layer {number} of {len(candidates)}")
        relays = tuple(sorted((*options.relays, index)))
        problem = ScaleProblem(
            without.evidence, without.grid, replace(options, relays=relays), without.edges
        )
        tried.append((problem, *problem.quick(start, shifts)))
    problem, _, x = tried[int(np.argmin([error for _, error, _ in tried]))]
    return problem, x
