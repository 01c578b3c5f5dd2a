"""Warnings about thresholds that were searched for a budget: held-out frames, uncertainty."""

from collections.abc import Iterator

from ann2sdnn.calibration.thresholds.deviation import Budget
from ann2sdnn.convert.report.report import Measured, ThresholdBudget, Tuned
from ann2sdnn.data.pose.moved import MOVED_PX
from ann2sdnn.data.sources.frames import GroupName

_WIDE = 0.5  # of the budget: half an interval that is wider says little
_SEEN = 1.005  # times the budget: an excess that three digits show


def threshold_warnings(budget: ThresholdBudget | None, group: GroupName) -> Iterator[str]:
    """One sentence for each thing that the user should know; ``group``: what is held out."""
    if budget is None or budget.limit is None:
        return
    bound = Budget(budget.unit, budget.limit)
    yield from _uncertain(budget, bound, group)
    yield from _all_zero(budget, bound, group)
    if budget.held_out_frames and budget.remembering.held_out_added is None:
        nothing = "is confident of no joint" if budget.unit == "px" else "names no class"
        yield (
            f"on {budget.held_out_frames} held-out frames the ANN {nothing}, so nothing checks"
            f" these thresholds; calibrate on more {group}s"
        )
    yield from _beyond(budget, bound, group)
    if budget.unmeasured_layers:
        yield (
            f"thresholds of {', '.join(budget.unmeasured_layers)} stay 0: no error that they would"
            " cause reached the output in the calibration frames measured, so their effect is"
            " unknown; calibrate on more frames, in which more moves"
        )


def _uncertain(budget: ThresholdBudget, bound: Budget, group: GroupName) -> Iterator[str]:
    added = budget.remembering.added
    if added is None or added.interval is None:
        return
    if (added.interval[1] - added.interval[0]) / 2 > _WIDE * bound.limit:
        yield (
            f"what thresholds add is uncertain: {_amount(added, budget)} on {budget.frames} frames,"
            f" for a budget of {bound}; calibrate on more {group}s"
        )


def _all_zero(budget: ThresholdBudget, bound: Budget, group: GroupName) -> Iterator[str]:
    """The search ended without thresholds because the smallest ones exceed the budget."""
    beyond = [trial for trial in budget.trials if trial.memory == "all" and trial.used > 1]
    if beyond and budget.remembering.synops_per_frame == budget.synops_per_frame_without:
        least = min(beyond, key=lambda trial: trial.used)
        yield (
            "all thresholds stay 0: the smallest that were tried add"
            f" {budget.form.amount(least.added, '.3g')} on {budget.frames} frames, which may be"
            f" more than the budget of {bound}; calibrate on more {group}s, or ask for more"
        )


def _beyond(budget: ThresholdBudget, bound: Budget, group: GroupName) -> Iterator[str]:
    """Operating points that exceed the budget on held-out frames: those whose intervals lie above
    it, and those of which the frames are too few to tell.
    """
    certain: list[str] = []
    likely: list[str] = []
    for name, tuned in _points(budget):
        added = tuned.held_out_added
        if added is None:
            continue
        excess = _excess(added, budget, bound)
        if excess is not None:
            is_certain = added.interval is None or added.interval[0] > bound.limit
            (certain if is_certain else likely).append(f"{excess} {name}")
    where = f"on {budget.held_out_frames} held-out frames thresholds add"
    if certain:
        yield (
            f"{where} {_listed(certain)}, more than the budget of {bound}; calibrate on more"
            f" varied {group}s, or ask for less"
        )
    if likely:
        yield (
            f"{where} {_listed(likely)}, more than the budget of {bound}, which the interval"
            f" includes; calibrate on more {group}s to tell, or ask for less"
        )


def _listed(parts: list[str]) -> str:
    return " and ".join([*([", ".join(parts[:-1])] if parts[1:] else []), parts[-1]])


def _points(budget: ThresholdBudget) -> Iterator[tuple[str, Tuned]]:
    """The operating points that are written, and where a sentence says that they are."""
    own = budget.engine_has_its_own
    yield ("in lava's operating point" if own else "in the SDNN"), budget.remembering
    if own:
        yield "in the engine's", budget.mixed
    if budget.memoryless is not None:
        yield "in the memoryless network", budget.memoryless


def _excess(added: Measured, budget: ThresholdBudget, bound: Budget) -> str | None:
    """What exceeds the budget, with its interval; None where nothing does."""
    if added.value > _SEEN * bound.limit:
        return _amount(added, budget)
    moved = added.moved_over_5px
    if budget.unit == "px" and moved is not None and moved > _SEEN * bound.moved_over_5px:
        return (
            f"{_amount(added, budget)} and move {moved:.1%} of the joints by more than"
            f" {MOVED_PX:g} px (at most {bound.moved_over_5px:.1%} for this budget)"
        )
    return None


def _amount(measured: Measured, budget: ThresholdBudget) -> str:
    text = budget.form.amount(measured.value, ".3g")
    if measured.interval is None:
        return text
    low, high = (budget.form.number(end, ".2g") for end in measured.interval)
    return f"{text} ({low} to {high})"
