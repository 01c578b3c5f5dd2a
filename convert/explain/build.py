"""Builds the conversion report from the results of the stages, in one pass."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.convert.explain.advice import warnings_of
from ann2sdnn.convert.explain.budget import budgeted_layer, threshold_budget
from ann2sdnn.convert.explain.layers import measured_layer, planned_layers
from ann2sdnn.convert.report.layer import BudgetedLayer, LayerReport, PlannedLayer, energy
from ann2sdnn.convert.report.lowering import lowering_warnings
from ann2sdnn.convert.report.report import (
    Alternative,
    ConversionReport,
    DistilReport,
    Fidelity,
    PlanReport,
    RelayReport,
    Results,
)
from ann2sdnn.convert.stages.lower import Lowering
from ann2sdnn.convert.stages.quantise import QuantisationResult, QuantiseOptions
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.sdnn.spec.spec import Spec

_POOR_ERROR = 0.05  # predicted relative error of the output, rounded to the nearest
_BETTER = 0.95  # of that error: worth advising


@dataclass(frozen=True, eq=False)
class StageResults:
    """The results of the stages of a conversion. ``search``: None without a budget."""

    quantised: QuantisationResult
    spec: Spec
    search: BudgetSearch | None
    lowering: Lowering
    verification: Verification


@dataclass(frozen=True)
class Circumstances:
    """What a conversion was made with, and how long its stages took.

    ``thresholds``: name of the rule. ``pose_network``: whether `train-ann` can train the network.
    """

    options: QuantiseOptions
    thresholds: str
    recordings: tuple[str, ...]
    seconds: dict[str, float]
    pose_network: bool


def build_report(stages: StageResults, made: Circumstances) -> ConversionReport:
    """The report of a conversion, with all its warnings."""
    spec, quantised, verification = stages.spec, stages.quantised, stages.verification
    planned = planned_layers(quantised, spec)
    budgeted = [budgeted_layer(stages.search, spec, index) for index in range(len(planned))]
    rounding_error = _error([_errors(plan) for plan in planned])
    error = _error([_errors(*parts) for parts in zip(planned, budgeted, strict=True)])
    layers = [
        _layer(stages, index, *parts, total=error**2)
        for index, parts in enumerate(zip(planned, budgeted, strict=True))
    ]
    measured = quantised.evidence.measured
    results = Results(
        source_sha256=spec.source_sha256,
        input_scale=spec.input_scale,
        input_gain=spec.input_gain,
        output_scale=float(spec.output_scale.mean()),
        spike_exp=spec.grid.spike_exp,
        headroom=quantised.plan.headroom,
        thresholds=made.thresholds,
        calibration_frames=sum(one.n_frames for one in measured),
        calibration_runs=sum(one.n_runs for one in measured),
        calibration_recordings=list(made.recordings),
        seconds=made.seconds,
        layers=layers,
        fidelity=fidelity(verification, error if RULES[made.thresholds].predicts_error else None),
        threshold_budget=threshold_budget(stages.search),
        plan=_plan(quantised, layers, rounding_error, made.options),
        fine_tuning=None,
        probed_frames=verification.n_probed,
        lowering=stages.lowering.report,
        pose_network=made.pose_network,
    )
    warnings = [
        *quantised.evidence.graph.notes,
        *quantised.warnings,
        *warnings_of(results),
        *(stages.search.warnings if stages.search else ()),
        *lowering_warnings(stages.lowering.report),
    ]
    return ConversionReport.joined(results, warnings=warnings)


def fidelity(verification: Verification, predicted_error: float | None) -> Fidelity:
    """SDNN against ANN, as measured; the error as predicted."""
    difference = verification.difference
    return Fidelity(
        displacement_px_mean=difference.displacement_px_mean,
        displacement_px_median=difference.displacement_px_median,
        moved_over_5px=difference.moved_over_5px,
        heatmap_relative_error=difference.heatmap_relative_error,
        same_class=difference.same_class,
        foreseen_relative_error=predicted_error,
    )


def alternatives(quantised: QuantisationResult, options: QuantiseOptions) -> list[Alternative]:
    """One more relay, and free shifts, where the plan is stock's, its predicted error is large and
    that of the alternative is smaller.
    """
    plan, n_relays = quantised.plan, len(quantised.plan.relays)
    if plan.noise.relative_error < _POOR_ERROR or options.shifts != "stock":
        return []
    plans = {}
    if n_relays < len(plan.layers):
        plans[f"--relays {n_relays + 1}"] = plan_range(
            quantised.evidence, plan.grid, headroom=plan.headroom, n_relays=n_relays + 1
        )
    plans["--shifts per-layer"] = plan_range(
        quantised.evidence, plan.grid, headroom=plan.headroom, free_shifts=True
    )
    errors = {name: other.noise.relative_error for name, other in plans.items()}
    return [
        Alternative(options=name, foreseen_error_nearest=error)
        for name, error in errors.items()
        if error < _BETTER * plan.noise.relative_error
    ]


def _layer(
    stages: StageResults,
    index: int,
    planned: PlannedLayer,
    budgeted: BudgetedLayer,
    *,
    total: float,
) -> LayerReport:
    """``total``: energy of all layers' predicted errors."""
    layer = stages.spec.layers[index]
    own = energy(_errors(planned, budgeted))
    threshold = layer.threshold * stages.spec.grid.threshold_step
    return LayerReport.joined(
        planned,
        budgeted,
        measured_layer(stages.verification, index),
        name=layer.name,
        neurons=math.prod(layer.preactivation_shape),
        outputs=math.prod(layer.output_shape),
        channels=layer.output_shape[0],
        threshold=threshold,
        threshold_ann=threshold / float(layer.scale.mean()),
        share_of_output_error=own / total if total and own is not None else None,
    )


def _errors(planned: PlannedLayer, budgeted: BudgetedLayer | None = None) -> list[float | None]:
    threshold = None if budgeted is None else budgeted.foreseen_threshold_error
    return [planned.foreseen_weight_error, planned.foreseen_message_error, threshold]


def _error(layers: Sequence[Sequence[float | None]]) -> float:
    """Relative L2 error of the output; errors of different layers are taken as independent."""
    return math.sqrt(sum(energy(errors) or 0.0 for errors in layers))


def _plan(
    quantised: QuantisationResult,
    layers: Sequence[LayerReport],
    rounding_error: float,
    options: QuantiseOptions,
) -> PlanReport:
    held_out, distilled = quantised.evidence.held_out, quantised.distilled
    relays = [
        RelayReport(
            name=relay.name,
            before=layers[position + 1].name,
            neurons=relay.neurons,
            events_per_frame=relay.events_per_frame_measured,
            synops_per_frame=relay.synops_per_frame_measured,
        )
        for position, relay in enumerate(layers)
        if relay.is_relay
    ]
    return PlanReport(
        shifts=options.shifts,
        rounding=quantised.rounding,
        headroom=quantised.plan.headroom,
        headroom_asked=quantised.headroom_asked,
        held_out_frames=0 if held_out is None else held_out.n_frames,
        held_out_range_used=quantised.range_used,
        checked_frames=quantised.n_checked,
        foreseen_error_nearest=quantised.plan.noise.relative_error,
        foreseen_error=rounding_error,
        foreseen_error_by_relays=list(quantised.plan.relay_errors),
        relays=relays,
        relay_neurons=sum(relay.neurons for relay in relays),
        relay_events_per_frame=sum(relay.events_per_frame for relay in relays),
        latency_steps=len(layers),
        distillation=None
        if distilled is None
        else DistilReport(
            steps=distilled.steps,
            held_out_error_before=distilled.error_before,
            held_out_error_after=distilled.error_after,
        ),
        alternatives=alternatives(quantised, options),
    )
