"""What the search for thresholds found, in the conversion report."""

from ann2sdnn.calibration.thresholds.rate_distortion import SearchResult
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.report import ConversionReport, ThresholdBudget, Tuned
from ann2sdnn.convert.stages.budget import Tuning


def with_tuning(report: ConversionReport, tuning: Tuning | None) -> ConversionReport:
    """``report`` with the thresholds' part; unchanged where there was no search."""
    if tuning is None:
        return report
    # A relay layer of the spec need not have a row of its own.
    places = {layer.name: index for index, layer in enumerate(tuning.chosen.spec.layers)}
    layers = [
        _layer(layer, tuning, places[layer.name]) if layer.name in places else layer
        for layer in report.layers
    ]
    return report.model_copy(
        update={
            "layers": layers,
            "threshold_budget": _budget(tuning),
        }
    )


def _layer(layer: LayerReport, tuning: Tuning, index: int) -> LayerReport:
    """The last layer has no curve: it sends everything, for nothing."""
    chosen, trial = tuning.chosen, tuning.chosen.trial
    remembers = chosen.spec.layers[index].is_stateful
    working = float(trial.events[index + 1])
    if index + 1 >= len(tuning.curves):
        return layer.model_copy(
            update={"remembers": remembers, "events_per_frame_working": working}
        )
    curve, pick = tuning.curves[index + 1], chosen.picks[index + 1]
    sent = float(trial.operations[index + 1])
    output_error = float(curve.output_error[pick.kind, pick.step])
    energy = tuning.output_energy
    return layer.model_copy(
        update={
            "remembers": remembers,
            "events_per_frame_working": working,
            "events_per_frame_working_predicted": float(curve.events[pick.kind, pick.step]),
            "sent_synops_per_frame": sent,
            "sent_synops_per_frame_predicted": float(curve.operations[pick.kind, pick.step]),
            "share_of_synops": sent / trial.total_operations if trial.total_operations else None,
            "foreseen_threshold_error": (output_error / energy) ** 0.5 if energy else None,
            "share_of_error": output_error / chosen.predicted_error
            if chosen.predicted_error
            else None,
        }
    )


def _budget(tuning: Tuning) -> ThresholdBudget:
    held_out = tuning.held_out
    # Displacements of no joint at all are no displacements.
    moved = held_out if held_out is not None and held_out.n_joints else None
    return ThresholdBudget(
        budget_px=tuning.budget_px,
        bounds=tuning.bounds,
        memory="mixed" if tuning.chosen.spec.memoryless_layers else "all",
        frames=tuning.n_frames,
        rounding_px=tuning.base.ann_px,
        synops_per_frame_without=tuning.base.total_operations,
        remembering=_tuned(tuning, tuning.remembering),
        mixed=_tuned(tuning, tuning.mixed),
        held_out_frames=0 if held_out is None else held_out.n_frames,
        held_out_rounding_px=None if moved is None else moved.base.ann_px,
        held_out_px=None if moved is None else moved.chosen.ann_px,
        held_out_added_px=None if moved is None else moved.chosen.added_px,
        held_out_synops_per_frame=None if held_out is None else held_out.chosen.total_operations,
        unmeasured_layers=list(tuning.unmeasured),
    )


def _tuned(tuning: Tuning, found: SearchResult) -> Tuned:
    energy = tuning.output_energy
    return Tuned(
        memoryless_layers=list(found.spec.memoryless_layers),
        synops_per_frame=found.trial.total_operations,
        synops_per_frame_predicted=found.predicted_operations,
        displacement_px=found.trial.ann_px,
        added_px=found.trial.added_px,
        added_error=found.trial.added_error,
        added_error_predicted=(found.predicted_error / energy) ** 0.5 if energy else None,
    )
