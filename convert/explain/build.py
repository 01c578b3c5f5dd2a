"""Builds the conversion report from the results of the stages, in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.convert.explain.advice import warnings_of
from ann2sdnn.convert.explain.budget import threshold_budget
from ann2sdnn.convert.explain.layers import layer_reports
from ann2sdnn.convert.options import QuantiseOptions
from ann2sdnn.convert.report.layer import LayerReport, total_error
from ann2sdnn.convert.report.lowering import lowering_warnings
from ann2sdnn.convert.report.preprocessing import preprocessing_report
from ann2sdnn.convert.report.report import (
    Alternative,
    ConversionReport,
    DistilReport,
    Fidelity,
    PlanReport,
    RelayReport,
    Results,
)
from ann2sdnn.convert.stages.loihi import loihi_report, measured_work
from ann2sdnn.convert.stages.lower import Lowering
from ann2sdnn.convert.stages.quantise import QuantisationResult
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.data.sources.frames import GroupName
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.versions import versions

_POOR_ERROR = 0.05  # predicted relative error of the output, rounded to the nearest
_MORE_RELAYS = 2
_BETTER = 0.95  # of that error: worth advising


@dataclass(frozen=True, eq=False)
class StageResults:
    """The results of the stages of a conversion, and what it was made with.

    ``search``: None without a budget; the other stages are of lava's operating point.
    ``alternatives``: what the function of that name returns. ``thresholds``: name of the rule.
    ``recordings``: the groups of frames to calibrate on, which are called ``group_name``.
    ``seconds``: of each stage. ``pose_network``: whether `train-ann` can train the network.
    """

    quantised: QuantisationResult
    points: OperatingPoints
    search: BudgetSearch | None
    lowering: Lowering
    verification: Verification
    options: QuantiseOptions
    alternatives: Sequence[Alternative]
    thresholds: str
    recordings: tuple[str, ...]
    group_name: GroupName
    seconds: dict[str, float]
    pose_network: bool


def build_report(stages: StageResults) -> ConversionReport:
    """The report of a conversion, with all its warnings."""
    spec, quantised, verification = stages.points.lava, stages.quantised, stages.verification
    layers = layer_reports(quantised, spec, stages.search, verification)
    predicts_error = RULES[stages.thresholds].predicts_error
    error = total_error(x.predicted_errors for x in layers) if predicts_error else None
    measured = quantised.evidence.measured
    results = Results(
        source_sha256=spec.source_sha256,
        input_scale=spec.input_scale,
        input_gain=spec.input_gain,
        output_scale=float(spec.output_scale.mean()),
        spike_exp=spec.grid.spike_exp,
        headroom=quantised.plan.headroom,
        thresholds=stages.thresholds,
        calibration_frames=sum(one.n_frames for one in measured),
        calibration_runs=sum(one.n_runs for one in measured),
        calibration_recordings=list(stages.recordings),
        group_name=stages.group_name,
        seconds=stages.seconds,
        layers=layers,
        fidelity=fidelity(verification, error),
        threshold_budget=threshold_budget(stages.search),
        plan=_plan(stages, layers, spec),
        fine_tuning=None,
        probed_frames=verification.n_probed,
        work=verification.work,
        lowering=stages.lowering.report,
        loihi=loihi_report(
            spec,
            stages.lowering.spec,
            measured_work(layers, float(verification.events_per_frame[0])),
        ),
        pose_network=stages.pose_network,
        preprocessing=preprocessing_report(spec),
        versions=versions(),
    )
    warnings = [
        *quantised.evidence.graph.notes,
        *quantised.warnings,
        *warnings_of(results),
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


def alternatives(
    quantised: QuantisationResult, options: QuantiseOptions, reporter: Reporter = SILENT
) -> list[Alternative]:
    """Two more relays, and free shifts, where the plan is stock's, its predicted error is large and
    that of the alternative is smaller.
    """
    plan, n_relays = quantised.plan, len(quantised.plan.relays)
    if plan.noise.relative_error < _POOR_ERROR or options.shifts != "stock":
        return []
    plans = {}
    if n_relays < len(plan.layers):
        more = min(n_relays + _MORE_RELAYS, len(plan.layers))
        plans[f"--relays {more}"] = plan_range(
            quantised.evidence,
            plan.grid,
            headroom=plan.headroom,
            n_relays=more,
            begin=plan,
            title="Plan with more relays",
            reporter=reporter,
        )
    plans["--shifts per-layer"] = plan_range(
        quantised.evidence,
        plan.grid,
        headroom=plan.headroom,
        free_shifts=True,
        title="Plan with free shifts",
        reporter=reporter,
    )
    errors = {name: other.noise.relative_error for name, other in plans.items()}
    return [
        Alternative(options=name, foreseen_error_nearest=error)
        for name, error in errors.items()
        if error < _BETTER * plan.noise.relative_error
    ]


def _plan(stages: StageResults, layers: Sequence[LayerReport], spec: Spec) -> PlanReport:
    quantised = stages.quantised
    held_out, distilled = quantised.evidence.held_out, quantised.distilled
    relays = [
        RelayReport(
            name=relay.name,
            before=" and ".join(
                spec.layers[reader].name for reader, _ in spec.readers[position + 1]
            ),
            neurons=relay.neurons,
            events_per_frame=relay.events_per_frame_measured,
            synops_per_frame=relay.synops_per_frame_measured,
        )
        for position, relay in enumerate(layers)
        if relay.is_relay
    ]
    return PlanReport(
        shifts=stages.options.shifts,
        rounding=quantised.rounding,
        headroom=quantised.plan.headroom,
        headroom_asked=quantised.headroom_asked,
        held_out_frames=0 if held_out is None else held_out.n_frames,
        held_out_range_used=quantised.range_used,
        checked_frames=quantised.n_checked,
        foreseen_error_nearest=quantised.plan.noise.relative_error,
        foreseen_error=total_error(layer.predicted_errors[:2] for layer in layers),
        foreseen_error_by_relays=list(quantised.plan.relay_errors),
        relays=relays,
        relay_neurons=sum(relay.neurons for relay in relays),
        relay_events_per_frame=sum(relay.events_per_frame for relay in relays),
        latency_steps=max(spec.depths),
        relay_steps=max(spec.depths) - max(quantised.evidence.graph.depths),
        distillation=None
        if distilled is None
        else DistilReport(
            steps=distilled.steps,
            held_out_error_before=distilled.error_before,
            held_out_error_after=distilled.error_after,
        ),
        alternatives=list(stages.alternatives),
    )
