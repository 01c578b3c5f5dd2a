"""What a conversion did: the numbers of the conversion report."""

from ann2sdnn.calibration.learning.distil import DistilResult
from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.convert.explain.advice import warnings_of
from ann2sdnn.convert.explain.alternatives import alternatives
from ann2sdnn.convert.explain.budget import with_search
from ann2sdnn.convert.explain.layers import StageResults, layer_reports
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.report import (
    ConversionReport,
    DistilReport,
    Fidelity,
    PlanReport,
    RelayReport,
)
from ann2sdnn.convert.report.shares import foreseen_error, with_shares
from ann2sdnn.convert.stages.quantise import QuantiseOptions


def build_report(
    conversion: StageResults,
    *,
    search: BudgetSearch | None,
    options: QuantiseOptions,
    thresholds: str,
    recordings: list[str],
    seconds: dict[str, float],
    pose_network: bool,
) -> ConversionReport:
    """The report of a conversion calibrated on ``recordings``; ``seconds`` a stage."""
    spec, evidence = conversion.spec, conversion.quantised.evidence
    layers = layer_reports(conversion)
    difference = conversion.verification.difference
    plan = _plan_report(conversion, layers, options)
    report = ConversionReport(
        source_sha256=spec.source_sha256,
        input_scale=spec.input_scale,
        input_gain=spec.input_gain,
        output_scale=float(spec.output_scale.mean()),
        spike_exp=spec.grid.spike_exp,
        headroom=plan.headroom,
        thresholds=thresholds,
        calibration_frames=sum(one.n_frames for one in evidence.measured),
        calibration_runs=sum(one.n_runs for one in evidence.measured),
        calibration_recordings=recordings,
        seconds=seconds,
        layers=layers,
        fidelity=Fidelity(
            displacement_px_mean=difference.displacement_px_mean,
            displacement_px_median=difference.displacement_px_median,
            moved_over_5px=difference.moved_over_5px,
            heatmap_relative_error=difference.heatmap_relative_error,
            same_class=difference.same_class,
        ),
        plan=plan,
        warnings=[],
        probed_frames=conversion.verification.n_probed,
        pose_network=pose_network,
    )
    report = with_shares(with_search(report, search))
    found = [*conversion.quantised.warnings, *warnings_of(report)]
    found += [] if search is None else search.warnings
    return report.model_copy(update={"warnings": found})


def _plan_report(
    conversion: StageResults, layers: list[LayerReport], options: QuantiseOptions
) -> PlanReport:
    quantised = conversion.quantised
    held_out = quantised.evidence.held_out
    # Nothing is known beforehand of what is left after distillation, so it is not foreseen.
    relays = [
        RelayReport(
            name=relay.name,
            before=layers[position + 1].name,
            neurons=relay.neurons,
            events_per_frame=relay.events_per_frame_measured,
            synops_per_frame=relay.synops_per_frame_measured,
        )
        for position, relay in enumerate(layers)
        if relay.op == "relay"
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
        foreseen_error=foreseen_error(layers),
        foreseen_error_by_relays=list(quantised.plan.relay_errors),
        relays=relays,
        relay_neurons=sum(relay.neurons for relay in relays),
        relay_events_per_frame=sum(relay.events_per_frame for relay in relays),
        latency_steps=len(layers),
        distillation=_distil_report(quantised.distilled),
        alternatives=alternatives(quantised, options),
    )


def _distil_report(result: DistilResult | None) -> DistilReport | None:
    if result is None:
        return None
    return DistilReport(
        steps=result.steps,
        held_out_error_before=result.error_before,
        held_out_error_after=result.error_after,
    )
