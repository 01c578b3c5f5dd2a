"""Conversion reports of small networks, made by the stages that `convert` goes through."""

from dataclasses import replace

from calibration_cases import Case
from networks import ArrayRun

from ann2sdnn.calibration.rounding.rounded import round_nearest
from ann2sdnn.calibration.scales.plan import RangePlan, ScaleOptions
from ann2sdnn.convert.explain.build import StageResults, alternatives, build_report
from ann2sdnn.convert.options import QuantiseOptions
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.convert.stages.lower import Lowering, lowering_report
from ann2sdnn.convert.stages.quantise import QuantisationResult
from ann2sdnn.convert.stages.verify import verify
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.spec.points import OperatingPoints


def report_of(
    one: Case,
    *,
    relays: tuple[int, ...] = (),
    threshold: int = 0,
    chunk: int = 3,
) -> ConversionReport:
    """The report of ``one``, weights to the nearest; ``threshold`` in every layer, in 1/64."""
    plan = one.plan(ScaleOptions(relays=relays))
    quantised = quantised_of(one, plan)
    spec = spec_from(one.graph, plan, quantised.rounded, "ab" * 32)
    layers = [replace(x, threshold=0 if x.is_relay else threshold) for x in spec.layers]
    spec = replace(spec, layers=tuple(layers))
    verification = verify(one.graph, spec, [ArrayRun(one.frames.numpy(), chunk=chunk)])
    lowered = lower_spec(spec)
    options = QuantiseOptions(relays=len(relays), rounding="nearest")
    return build_report(
        StageResults(
            quantised=quantised,
            points=OperatingPoints(spec),
            search=None,
            lowering=Lowering(lowered, lowering_report(spec, lowered)),
            verification=verification,
            options=options,
            alternatives=alternatives(quantised, options),
            thresholds="fixed" if threshold else "none",
            recordings=("S1_session1_mov1",),
            seconds={"statistics": 1.0},
            group_name="recording",
            pose_network=False,
        )
    )


def quantised_of(one: Case, plan: RangePlan) -> QuantisationResult:
    """``one`` rounded to the nearest by ``plan``."""
    return QuantisationResult(
        evidence=one.evidence,
        plan=replace(plan, relay_errors=(plan.noise.relative_error,)),
        rounded=round_nearest(one.graph, plan),
        rounding_left=(1.0,) * len(plan.layers),
        rounding="nearest",
        headroom_asked=plan.headroom,
        range_used=0.8,
        n_checked=0,
    )


def with_layer(report: ConversionReport, index: int, **changes: object) -> ConversionReport:
    """``report`` with other values in one layer."""
    layers = list(report.layers)
    layers[index] = layers[index].model_copy(update=changes)
    return report.model_copy(update={"layers": layers})
