"""From a float graph and calibration frames to integers: range plan, rounding, distillation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ann2sdnn.calibration.learning.distil import DistilResult, distil
from ann2sdnn.calibration.learning.options import DistilOptions
from ann2sdnn.calibration.measure.evidence import Evidence, mixed_sample, split_frames
from ann2sdnn.calibration.rounding.memory import rounding_frames, too_wide, too_wide_note
from ann2sdnn.calibration.rounding.on_grid import OnGrid, find_on_grid
from ann2sdnn.calibration.rounding.rounded import Rounded, range_used_by_frames, round_nearest
from ann2sdnn.calibration.rounding.sequential import round_sequentially
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.calibration.scales.planning import MOST_USED, plan_range
from ann2sdnn.convert.options import QuantiseOptions
from ann2sdnn.convert.report.report import RoundingDone
from ann2sdnn.data.sources.frames import Frames, sample_frames
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.progress import SILENT, Reporter

_ROUNDED_ON, _DISTILLED_ON, _CHECKED_ON = 64, 1024, 24  # frames
_ATTEMPTS = 3
_LEFT = 0.4  # of the rounding noise of weights after compensation; 0.38 in the published network


@dataclass(frozen=True, eq=False)
class QuantisationResult:
    """The rounded network. ``rounding``: how it was rounded.

    ``rounding_left`` [L]: share of the error energy of rounding to the nearest that compensation
    leaves. ``headroom_asked``: what was requested; plan.headroom is larger if held-out frames would
    have overflowed. ``range_used``: the largest share of a state's or message's range that
    ``n_checked`` frames, held-out ones where there were enough, use.
    """

    evidence: Evidence
    plan: RangePlan
    rounded: Rounded
    rounding: RoundingDone
    rounding_left: tuple[float, ...]
    headroom_asked: float
    range_used: float
    n_checked: int
    distilled: DistilResult | None = None
    warnings: tuple[str, ...] = ()


def quantise(
    evidence: Evidence,
    frames: Sequence[Frames],
    grid: Grid,
    options: QuantiseOptions,
    reporter: Reporter = SILENT,
) -> QuantisationResult:
    """Plan and round, unless the weights are on the grid already; then distil, if requested."""
    on_grid = find_on_grid(evidence, grid)
    objection = None if on_grid is None else on_grid.objection
    if on_grid is not None and (options.relays or options.shifts != "stock"):
        objection = "relays or free shifts were asked for"
    if on_grid is not None and objection is None:
        result = _kept(evidence, on_grid)
    else:
        result = _planned(evidence, frames, grid, options, reporter)
    if objection is not None:
        why = f"the weights are on the grid already, but {objection}, so they were planned"
        result = replace(result, warnings=(why, *result.warnings))
    return (
        result if options.distil is None else _distilled(result, frames, options.distil, reporter)
    )


def _kept(evidence: Evidence, on_grid: OnGrid) -> QuantisationResult:
    return QuantisationResult(
        evidence=evidence,
        plan=on_grid.plan,
        rounded=on_grid.rounded,
        rounding="none, the weights are on the grid already",
        rounding_left=(0.0,) * len(on_grid.rounded),
        headroom_asked=on_grid.plan.headroom,
        range_used=on_grid.range_used,
        n_checked=sum(statistics.n_frames for statistics in evidence.measured),
    )


def _planned(
    evidence: Evidence,
    frames: Sequence[Frames],
    grid: Grid,
    options: QuantiseOptions,
    reporter: Reporter,
) -> QuantisationResult:
    """Plan and round; both again with more headroom while the rounded network needs it."""
    graph, gptq = evidence.graph, options.rounding == "gptq"
    fitted, held_out = split_frames(frames)
    shown = mixed_sample(graph, fitted, rounding_frames(graph, _ROUNDED_ON))
    checked = sample_frames(held_out or fitted, _CHECKED_ON)
    headroom = options.headroom
    for _ in range(_ATTEMPTS):
        plan = plan_range(
            evidence,
            grid,
            headroom=headroom,
            n_relays=options.relays,
            left=_LEFT if gptq else 1.0,
            free_shifts=options.shifts == "per-layer",
            reporter=reporter,
        )
        if gptq:
            rounded, left = round_sequentially(graph, plan, shown, reporter=reporter)
        else:
            rounded, left = round_nearest(graph, plan), (1.0,) * len(plan.layers)
        # States before the first frame, which biases cause, have to fit as well.
        used = range_used_by_frames(graph, plan, rounded, checked, at_rest=True)
        if used <= MOST_USED:
            break
        headroom = plan.headroom * 1.02 * used / MOST_USED
    wide = too_wide(graph, plan) if gptq else ()
    return QuantisationResult(
        evidence=evidence,
        plan=plan,
        rounded=rounded,
        rounding=options.rounding,
        rounding_left=left,
        headroom_asked=options.headroom,
        range_used=used,
        n_checked=len(checked),
        warnings=(too_wide_note(wide),) if wide else (),
    )


def _distilled(
    result: QuantisationResult,
    frames: Sequence[Frames],
    options: DistilOptions,
    reporter: Reporter,
) -> QuantisationResult:
    graph, plan = result.evidence.graph, result.plan
    fitted, held_out = split_frames(frames)
    checked = sample_frames(held_out or fitted, _CHECKED_ON)
    rounded, distilled = distil(
        graph,
        plan,
        result.rounded,
        frames=sample_frames(fitted, _DISTILLED_ON),
        held_out=checked,
        options=options,
        reporter=reporter,
    )
    return replace(
        result,
        rounded=rounded,
        range_used=range_used_by_frames(graph, plan, rounded, checked),
        n_checked=len(checked),
        distilled=distilled,
    )
