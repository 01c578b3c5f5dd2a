"""The thresholds' search, in the conversion report."""

from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.calibration.thresholds.rate_distortion import (
    SearchResult,
    predicted_error,
    predicted_operations,
)
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.report import ConversionReport, ThresholdBudget, Tuned


def with_search(report: ConversionReport, search: BudgetSearch | None) -> ConversionReport:
    """``report`` with the thresholds' part; unchanged where there was no search."""
    if search is None:
        return report
    # A relay layer of the spec need not have a row of its own.
    places = {layer.name: index for index, layer in enumerate(search.chosen.spec.layers)}
    layers = [
        _layer(layer, search, places[layer.name]) if layer.name in places else layer
        for layer in report.layers
    ]
    return report.model_copy(
        update={
            "layers": layers,
            "threshold_budget": _budget(search),
        }
    )


def _layer(layer: LayerReport, search: BudgetSearch, index: int) -> LayerReport:
    """The last layer has no curve: it sends everything, for nothing."""
    chosen, trial = search.chosen, search.chosen.trial
    remembers = chosen.spec.layers[index].is_stateful
    working = float(trial.events[index + 1])
    if index + 1 >= len(search.curves):
        return layer.model_copy(
            update={"remembers": remembers, "events_per_frame_working": working}
        )
    curve, pick = search.curves[index + 1], chosen.points[index + 1]
    sent = float(trial.operations[index + 1])
    output_error = float(curve.output_error[pick.kind, pick.step])
    energy, total_error = search.output_energy, predicted_error(search.curves, chosen.points)
    return layer.model_copy(
        update={
            "remembers": remembers,
            "events_per_frame_working": working,
            "events_per_frame_working_predicted": float(curve.events[pick.kind, pick.step]),
            "sent_synops_per_frame": sent,
            "sent_synops_per_frame_predicted": float(curve.operations[pick.kind, pick.step]),
            "share_of_synops": sent / trial.total_operations if trial.total_operations else None,
            "foreseen_threshold_error": (output_error / energy) ** 0.5 if energy else None,
            "share_of_error": output_error / total_error if total_error else None,
        }
    )


def _budget(search: BudgetSearch) -> ThresholdBudget:
    held_out = search.held_out
    # Displacements of no joint at all are no displacements.
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


def _tuned(search: BudgetSearch, found: SearchResult) -> Tuned:
    energy, error = search.output_energy, predicted_error(search.curves, found.points)
    return Tuned(
        memoryless_layers=list(found.spec.memoryless_layers),
        synops_per_frame=found.trial.total_operations,
        synops_per_frame_predicted=predicted_operations(search.curves, found.points),
        displacement_px=found.trial.ann_px,
        added_px=found.trial.added_px,
        added_error=found.trial.added_error,
        added_error_predicted=(error / energy) ** 0.5 if energy else None,
    )
