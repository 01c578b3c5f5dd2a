"""Warnings with advice: where accuracy and operations are lost, and what would win them back.

Each follows from numbers that stand in the report.
"""

from collections.abc import Sequence

from ann2sdnn.calibration.thresholds.rules import RULES, NoThresholds
from ann2sdnn.convert.render.sheets import without_brackets
from ann2sdnn.convert.report.layer import WEIGHT_BITS, LayerReport, StateBound
from ann2sdnn.convert.report.report import ConversionReport, PlanReport

_POOR_ERROR = 0.05  # relative error of the output
_NAMED = 3  # layers that a warning names
_FEW_BITS = 7.0  # of a weight's 8
_NOTABLE_SHARE = 0.02  # of the foreseen error
_UNFORESEEN = 1.5  # times what was foreseen
_SILENT = 0.1  # of a layer's channels
_RETRAIN = "fine-tune with train-ann --init MODEL --conversion-aware"
_NARROWER = "training it with a penalty on pre-activations far below 0"


def warnings_of(report: ConversionReport) -> list[str]:
    """One sentence or two for each thing that the user should know."""
    plan = report.plan
    of_plan = [] if plan is None else [*_headroom(plan), *_poor_rounding(report, plan)]
    return [
        *of_plan,
        *_state_bound(report),
        *_worse_than_foreseen(report),
        *_busy(report),
        *_silent(report.layers),
        *_out_of_range(report.layers),
    ]


def _headroom(plan: PlanReport) -> list[str]:
    found = []
    if plan.headroom > plan.headroom_asked * (1 + 1e-9):
        what = "recordings kept apart" if plan.held_out_frames else "the rounded network"
        found.append(
            f"{what} would have left the range, so the headroom is x{plan.headroom:.2f} instead of"
            f" x{plan.headroom_asked:g}; calibrate on more varied recordings to get by with less"
        )
    if plan.held_out_frames == 0:
        found.append(
            "there are too few recordings to keep some apart, so nothing checks that frames not"
            " calibrated on stay in range; calibrate on 4 recordings or more"
        )
    return found


def _poor_rounding(report: ConversionReport, plan: PlanReport) -> list[str]:
    if plan.foreseen_error < _POOR_ERROR:
        return []
    worst = sorted(report.layers, key=lambda layer: -(layer.share_of_output_error or 0))[:_NAMED]
    parts = [f"{layer.name} {layer.share_of_output_error or 0:.0%}" for layer in worst]
    return [
        f"rounding is foreseen to change the output by {plan.foreseen_error:.0%}, most of it in"
        f" {', '.join(parts)}.{_range_spent(report)} What helps: {', '.join(_ways(report, plan))}"
    ]


def _range_spent(report: ConversionReport) -> str:
    """Why weights do not use their bits: up to the first full layer all share one range."""
    full = next((i for i, one in enumerate(report.layers) if _is_full(one)), None)
    narrow = [one for one in report.layers[:full] if _few_bits(one)]
    if full is None or not narrow:
        return ""
    last = report.layers[full]
    bits = [one.weight_bits or 0.0 for one in narrow]
    spread = f"{min(bits):.1f}" if len(bits) == 1 else f"{min(bits):.1f} to {max(bits):.1f}"
    input_scale = report.input_gain * 2.0 ** -(6 + report.spike_exp) / report.input_scale
    range_name = without_brackets(last.limited_by)
    return (
        f" The largest weights of {len(narrow)} layers use {spread} of {WEIGHT_BITS} bits, because"
        f" all layers up to {last.name} share one range: there activations reach"
        f" {_short(last.activation_max_ann)}, its {range_name} range is full, and from the input to"
        f" there the scale may grow {last.scale / input_scale:.3g} times."
    )


def _few_bits(layer: LayerReport) -> bool:
    return layer.weight_bits is not None and layer.weight_bits < _FEW_BITS


def _is_full(layer: LayerReport) -> bool:
    return any(part in layer.limited_by for part in ("state", "message"))


def _ways(report: ConversionReport, plan: PlanReport) -> list[str]:
    ways = [
        f"{one.options} (foreseen {one.foreseen_error_nearest:.3f} instead of"
        f" {plan.foreseen_error_nearest:.3f}, rounding to the nearest)"
        for one in plan.alternatives
    ]
    if plan.rounding == "nearest":
        ways.append("--rounding gptq")
    if plan.distillation is None:
        ways.append("--distil 8")
    if _can_be_retrained(report):
        ways.append(_RETRAIN)
    return ways or ["training it with weights of less spread"]


def _can_be_retrained(report: ConversionReport) -> bool:
    """Whether train-ann knows the network; older reports are of pose networks as a rule."""
    return report.pose_network is not False


def _state_bound(report: ConversionReport) -> list[str]:
    """Layers whose states are full while their messages are not, if their error is notable."""
    bound = [
        _bound_text(layer, layer.state_bound)
        for layer in sorted(report.layers, key=lambda one: -(one.share_of_output_error or 0))
        if layer.state_bound is not None and (layer.share_of_output_error or 0) >= _NOTABLE_SHARE
    ]
    if not bound:
        return []
    helps = _RETRAIN if _can_be_retrained(report) else _NARROWER
    return [
        "states are full while messages have bits left, because pre-activations reach further out"
        f" than activations: {'; '.join(bound[:_NAMED])}. What helps: {helps}"
    ]


def _bound_text(layer: LayerReport, bound: StateBound) -> str:
    return (
        f"{layer.name} ({layer.share_of_output_error or 0:.0%} of the foreseen error) wastes"
        f" {bound.wasted_bits:.1f} bits because channel {bound.channel}'s pre-activation reaches"
        f" {_short(bound.preactivation_ann)} and its activation {_short(bound.activation_ann)}"
        f" ({bound.channels} of {layer.channels} channels are like that)"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _worse_than_foreseen(report: ConversionReport) -> list[str]:
    measured = report.fidelity.heatmap_relative_error
    foreseen = report.fidelity.foreseen_relative_error
    if measured is None or foreseen is None or measured < max(_POOR_ERROR, _UNFORESEEN * foreseen):
        return []
    return [
        f"the output differs by {measured:.0%} from the ANN's where {foreseen:.0%} was foreseen,"
        " so shares of the error are rough here; calibrate on more varied recordings"
    ]


def _busy(report: ConversionReport) -> list[str]:
    """Whether remembering sends more than there is: only where that can be counted."""
    if any(layer.outputs is None for layer in report.layers):
        return []
    own = [layer for layer in report.layers if layer.op != "relay" and layer.remembers]
    sent = sum(layer.events_per_frame_measured for layer in own)
    active = sum((layer.density or 0) * (layer.outputs or 0) for layer in own)
    if sent <= active:
        return []
    busiest = max(report.layers, key=lambda layer: layer.share_of_operations or 0)
    return [
        f"on these frames remembering does not pay: {sent / 1e6:.3g} M messages a frame where"
        f" {active / 1e6:.3g} M activations are not zero, most operations in {busiest.name}"
        f" ({busiest.share_of_operations or 0:.0%}). What helps: {_fewer(report)}"
    ]


def _fewer(report: ConversionReport) -> str:
    rule = RULES.get(report.thresholds, NoThresholds)
    if rule.needs_maps:
        mixed = report.threshold_budget is not None and report.threshold_budget.memory == "mixed"
        return rule.larger() + ("" if mixed else ", or --memory mixed (engine only)")
    # A budget in pixels is kept where displacements are measured, and refused elsewhere.
    if report.fidelity.displacement_px_mean is None:
        return f"frames that change less, or larger thresholds ({rule.larger()})"
    return (
        "--thresholds rate-distortion --budget-px 0.4, or frames that overlap (--hop-events of"
        " synth and prepare)"
    )


def _silent(layers: Sequence[LayerReport]) -> list[str]:
    parts = [
        f"{layer.name} ({layer.silent_channels} of {layer.channels})"
        for layer in layers
        if (layer.silent_channels or 0) > _SILENT * (layer.channels or 1)
    ]
    if not parts:
        return []
    return [
        f"channels that were silent on all calibration frames, so that their range is a guess:"
        f" {', '.join(parts)}; calibrate on more varied recordings"
    ]


def _out_of_range(layers: Sequence[LayerReport]) -> list[str]:
    advice = "on the calibration frames; convert again with a larger --headroom"
    found = []
    for layer in layers:
        if layer.overflows:
            found.append(f"{layer.name}: {layer.overflows} states left their 24 bits {advice}")
        if layer.oversized:
            found.append(f"{layer.name}: {layer.oversized} messages do not fit 16 bits {advice}")
    return found
