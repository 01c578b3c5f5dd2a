"""Thresholds for a budget in the conversion report: the search, and each layer's share."""

from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.calibration.thresholds.rate_distortion import (
    SearchResult,
    predicted_error,
    predicted_operations,
)
from ann2sdnn.convert.report.layer import BudgetPart
from ann2sdnn.convert.report.report import ThresholdBudget, Tuned
from ann2sdnn.sdnn.spec.spec import Spec


def budget_part(search: BudgetSearch | None, spec: Spec, index: int) -> BudgetPart:
    """Layer ``index`` of ``spec``; without a search the record only says whether it is stateful.

    The last layer has no curve: its threshold is 0, and its messages cause no operations.
    """
    working = predicted = sent = synops_share = error_share = error = None
    if search is not None:
        working = float(search.chosen.trial.events[index + 1])
    if search is not None and index + 1 < len(search.curves):
        chosen, curve = search.chosen, search.curves[index + 1]
        point, total = chosen.points[index + 1], chosen.trial.total_operations
        predicted = float(curve.events[point.kind, point.step])
        sent = float(chosen.trial.operations[index + 1])
        synops_share = sent / total if total else None
        added = float(curve.output_error[point.kind, point.step])
        all_added = predicted_error(search.curves, chosen.points)
        error_share = added / all_added if all_added else None
        error = (added / search.output_energy) ** 0.5 if search.output_energy else None
    return BudgetPart(
        remembers=spec.layers[index].is_stateful,
        events_per_frame_working=working,
        events_per_frame_working_predicted=predicted,
        sent_synops_per_frame=sent,
        share_of_synops=synops_share,
        share_of_error=error_share,
        foreseen_threshold_error=error,
    )


def threshold_budget(search: BudgetSearch | None) -> ThresholdBudget | None:
    """The search; None where there was none."""
    if search is None:
        return None
    held_out = search.held_out
    # Without a confident joint there is no displacement.
    moved = held_out if held_out is not None and held_out.base.n_joints else None
    return ThresholdBudget(
        budget_px=search.budget_px,
        bounds=search.bounds,
        memory="mixed" if search.chosen.spec.memoryless_layers else "all",
        frames=search.base.n_frames,
        rounding_px=search.base.ann_px,
        synops_per_frame_without=search.base.total_operations,
        remembering=_tuned(search, search.stateful),
        mixed=_tuned(search, search.mixed),
        held_out_frames=0 if held_out is None else held_out.base.n_frames,
        held_out_rounding_px=None if moved is None else moved.base.ann_px,
        held_out_px=None if moved is None else moved.chosen.ann_px,
        held_out_added_px=None if moved is None else moved.chosen.added_px,
        held_out_synops_per_frame=None if held_out is None else held_out.chosen.total_operations,
        unmeasured_layers=list(search.unmeasured),
    )


def _tuned(search: BudgetSearch, result: SearchResult) -> Tuned:
    energy, error = search.output_energy, predicted_error(search.curves, result.points)
    return Tuned(
        memoryless_layers=list(result.spec.memoryless_layers),
        synops_per_frame=result.trial.total_operations,
        synops_per_frame_predicted=predicted_operations(search.curves, result.points),
        displacement_px=result.trial.ann_px,
        added_px=result.trial.added_px,
        added_error=result.trial.added_error,
        added_error_predicted=(error / energy) ** 0.5 if energy else None,
    )
