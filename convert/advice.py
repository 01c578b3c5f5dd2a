"""Warnings with advice: where accuracy is lost and what would win it back."""

from collections.abc import Sequence

from ann2sdnn.convert.layer_reports import Conversion
from ann2sdnn.convert.layer_record import LayerReport
from ann2sdnn.convert.report import PlanReport

_POOR_ERROR = 0.05  # foreseen relative error of the output
_NAMED = 3  # layers that a warning names


def warnings_of(
    conversion: Conversion, layers: Sequence[LayerReport], plan: PlanReport
) -> list[str]:
    """One sentence or two for each thing that the user should know."""
    return [
        *conversion.quantised.warnings,
        *_more_headroom(plan),
        *_poor_rounding(layers, plan),
        *_out_of_range(conversion),
    ]


def _more_headroom(plan: PlanReport) -> list[str]:
    if plan.headroom <= plan.headroom_asked * (1 + 1e-9):
        return []
    return [
        f"recordings kept apart would have left the range, so the headroom is"
        f" x{plan.headroom:.2f} instead of x{plan.headroom_asked:g}; calibrate on more varied"
        " recordings to get by with less"
    ]


def _poor_rounding(layers: Sequence[LayerReport], plan: PlanReport) -> list[str]:
    if plan.foreseen_error < _POOR_ERROR:
        return []
    worst = sorted(layers, key=lambda layer: -(layer.foreseen_weight_error or 0))[:_NAMED]
    parts = [_why(layer) for layer in worst if layer.foreseen_weight_error]
    ways = ["--relays 3"] if not plan.relays else [f"--relays {len(plan.relays) + 2}"]
    if plan.rounding == "nearest":
        ways.append("--rounding gptq")
    if plan.distillation is None:
        ways.append("--distil 8")
    return [
        f"rounding is foreseen to change the output by {plan.foreseen_error:.0%}, most of it in"
        f" {'; '.join(parts)}. What helps: {', '.join(ways)}"
    ]


def _why(layer: LayerReport) -> str:
    text = f"{layer.name} ({layer.weight_bits or 0:.1f} of 8 bits"
    if layer.widest_channel is None or layer.widest_preactivation_ann is None:
        return f"{text})"
    if layer.widest_preactivation_ann <= layer.activation_max_ann:
        return f"{text})"  # each channel has its own scale, and no state stands out
    return (
        f"{text}: channel {layer.widest_channel}'s pre-activation reaches"
        f" {layer.widest_preactivation_ann:.3g} while the largest activation is"
        f" {layer.activation_max_ann:.3g})"
    )


def _out_of_range(conversion: Conversion) -> list[str]:
    advice = "on the calibration frames; convert again with a larger --headroom"
    found = []
    for index, layer in enumerate(conversion.spec.layers):
        overflows = conversion.verification.overflows[index]
        oversized = conversion.verification.oversized[index]
        if overflows:
            found.append(f"{layer.name}: {overflows} states left their 24 bits {advice}")
        if oversized:
            found.append(f"{layer.name}: {oversized} messages do not fit 16 bits {advice}")
    return found
