"""Thresholds for a budget in the conversion report: the search, and each layer's share."""

import torch

from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.calibration.thresholds.deviation import Deviation
from ann2sdnn.calibration.thresholds.rate_distortion import (
    SearchResult,
    predicted_error,
    predicted_operations,
)
from ann2sdnn.calibration.thresholds.trials import Trial
from ann2sdnn.calibration.thresholds.units import Unit
from ann2sdnn.convert.report.layer import BudgetPart
from ann2sdnn.convert.report.report import Measured, ThresholdBudget, TrialPoint, Tuned
from ann2sdnn.graph.layers import Synapse
from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.spec.spec import Spec


def budget_part(search: BudgetSearch | None, spec: Spec, index: int) -> BudgetPart:
    """Layer ``index`` of ``spec``, lava's operating point; without a search the record only says
    whether it is stateful.

    The last layer has no curve where messages cost nothing: its threshold is 0 then.
    """
    working = predicted = sent = synops_share = error_share = error = None
    engine = None if search is None else search.points.engine
    if search is not None:
        working = float(search.stateful.trial.events[index + 1])
    if search is not None and index + 1 < len(search.curves):
        chosen, curve = search.stateful, search.curves[index + 1]
        point, total = chosen.points[index + 1], chosen.trial.total_operations
        predicted = float(curve.events[point.kind, point.step])
        sent = sent_operations(spec, chosen.trial, index + 1)
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
        engine_threshold=None
        if engine is None
        else engine.layers[index].threshold * engine.grid.threshold_step,
        engine_remembers=None if engine is None else engine.layers[index].is_stateful,
    )


def sent_operations(spec: Spec, trial: Trial, plane: int) -> float:
    """Operations per frame that the messages of ``plane`` cause in the layers that read it.

    The operations of a layer are counted together. Where it reads several planes, they are shared
    out by messages, times the mean operations per message of its synapses.
    """
    total = 0.0
    for index in {index for index, _ in spec.readers[plane]}:
        planes, share = spec.reads[index], 1.0
        if set(planes) != {plane}:
            shares = [
                float(trial.events[each]) * _mean_fan_out(synapse)
                for each, synapse in zip(planes, spec.layers[index].synapses, strict=True)
            ]
            own = sum(share for share, each in zip(shares, planes, strict=True) if each == plane)
            share = own / sum(shares) if own else 0.0
        total += share * float(trial.operations[index])
    return total


def _mean_fan_out(synapse: Synapse) -> float:
    weight = torch.from_numpy(synapse.weight).to(torch.float32)
    return float(fan_out(synapse.geometry, weight, synapse.input_shape).mean())


def threshold_budget(search: BudgetSearch | None) -> ThresholdBudget | None:
    """The search; None where there was none."""
    if search is None:
        return None
    unit, limit, base = search.budget.unit, search.budget.limit, search.base
    held_out = search.held_out
    at_zero = stateful = mixed = memoryless = None
    if held_out is not None:
        at_zero, stateful = held_out.base, held_out.stateful
        mixed, memoryless = held_out.mixed, held_out.memoryless
    says = held_out is not None and held_out.says_something(unit)
    return ThresholdBudget(
        unit=unit,
        budget_px=limit if unit == "px" else None,
        budget_error=limit if unit == "error" else None,
        budget_class=limit if unit == "class" else None,
        bounds="added",
        memory=search.memory,
        frames=base.n_frames,
        rounding_px=_mean_px(base.to_ann),
        rounding=measured(base.to_ann, unit),
        synops_per_frame_without=base.total_operations,
        remembering=_tuned(search, search.stateful, stateful),
        mixed=_tuned(search, search.mixed, mixed),
        memoryless=_tuned(search, search.memoryless, memoryless),
        engine_has_its_own=search.points.engine is not None,
        held_out_frames=0 if at_zero is None else at_zero.n_frames,
        held_out_rounding=measured(at_zero.to_ann, unit) if at_zero and says else None,
        held_out_rounding_px=None if at_zero is None else _mean_px(at_zero.to_ann),
        held_out_px=None if stateful is None else _mean_px(stateful.to_ann),
        held_out_added_px=None if stateful is None else _mean_px(stateful.added),
        held_out_synops_per_frame=None if stateful is None else stateful.total_operations,
        unmeasured_layers=list(search.unmeasured),
        message_cost=search.message_cost,
        trials=tuple(
            TrialPoint(
                memory=trial.memory,
                synops_per_frame=trial.operations,
                added=trial.added.measured(unit),
                used=trial.added.used(search.budget),
                added_px=_mean_px(trial.added),
            )
            for trial in search.trials
        ),
    )


def measured(deviation: Deviation, unit: Unit) -> Measured:
    """The value that a budget bounds, with its interval."""
    moved = deviation.displacement
    return Measured(
        value=deviation.measured(unit),
        interval=deviation.interval_of(unit),
        mean_px=_mean_px(deviation),
        moved_over_5px=None if moved is None else moved.moved_over_5px,
        class_changed=None if deviation.classes is None else deviation.classes.counted,
    )


def _tuned(search: BudgetSearch, result: SearchResult, held_out: Trial | None) -> Tuned:
    energy, error = search.output_energy, predicted_error(search.curves, result.points)
    unit, trial = search.budget.unit, result.trial
    says = search.held_out is not None and search.held_out.says_something(unit)
    return Tuned(
        memoryless_layers=list(result.spec.memoryless_layers),
        synops_per_frame=trial.total_operations,
        synops_per_frame_predicted=predicted_operations(search.curves, result.points),
        displacement_px=_mean_px(trial.to_ann),
        added_px=_mean_px(trial.added),
        added_error=trial.added.error,
        added_error_predicted=(error / energy) ** 0.5 if energy else None,
        added=measured(trial.added, unit),
        to_ann=measured(trial.to_ann, unit),
        held_out_added=measured(held_out.added, unit) if held_out and says else None,
        held_out_synops_per_frame=None if held_out is None else held_out.total_operations,
        input_threshold=result.spec.input_threshold / result.spec.input_gain,
        input_events_per_frame=float(trial.events[0]),
        input_synops_per_frame=sent_operations(result.spec, trial, 0),
        input_share_of_error=_input_error(search, result) / error if error else None,
    )


def _input_error(search: BudgetSearch, result: SearchResult) -> float:
    curve, point = search.curves[0], result.points[0]
    return float(curve.output_error[point.kind, point.step])


def _mean_px(deviation: Deviation) -> float | None:
    moved = deviation.displacement
    return None if moved is None else moved.mean_px
