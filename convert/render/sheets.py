"""The tables of the conversion report."""

from collections.abc import Callable

from ann2sdnn.calibration.scales.plan import Limits
from ann2sdnn.convert.report.layer import (
    MESSAGE_BITS,
    RELAYED_WEIGHT_BITS,
    STATE_BITS,
    LayerReport,
    energy,
)
from ann2sdnn.convert.report.lowering import LoweringReport
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import MISSING, compact, number

Column = tuple[str, Callable[[LayerReport], str]]


def value_ranges(report: ConversionReport) -> Sheet:
    """Bits used by the largest weight, message and state, and bits left of the range."""
    relayed = any(layer.relayed for layer in report.layers)
    weights = f"8, {RELAYED_WEIGHT_BITS} after a relay" if relayed else "8"
    return Sheet.of(
        f"Range: bits used by weights (of {weights}), messages (16), states (24); bits left",
        report.layers,
        ("layer", lambda x: x.name),
        ("op", lambda x: x.op),
        ("scale", lambda x: f"{x.scale:.3g}"),
        ("wgt", lambda x: number(x.weight_bits, ".1f")),
        ("levels", lambda x: str(x.weight_levels)),
        ("msg", lambda x: f"{MESSAGE_BITS - x.message_headroom_bits:.1f}"),
        ("left", lambda x: f"{x.message_headroom_bits:.2f}"),
        ("state", lambda x: f"{STATE_BITS - x.state_headroom_bits:.1f}"),
        ("left", lambda x: f"{x.state_headroom_bits:.2f}"),
        ("limited by", lambda x: _limits(x.limited_by)),
        words=("op", "limited by"),
    )


def accuracy(report: ConversionReport) -> Sheet:
    """Signal-to-noise ratios, and shares of the output's predicted error."""
    total = sum(energy(layer.predicted_errors) or 0.0 for layer in report.layers)
    return Sheet.of(
        "Accuracy: SNR in dB (of activations measured); shares of the predicted error",
        report.layers,
        ("layer", lambda x: x.name),
        ("SNR wgt", lambda x: number(x.weight_snr_db, ".1f")),
        ("SNR act", lambda x: number(x.activation_snr_db, ".1f")),
        ("weights", lambda x: _share(energy(x.predicted_errors[:1]), total)),
        ("messages", lambda x: _share(energy(x.predicted_errors[1:2]), total)),
        ("thresholds", lambda x: _share(energy(x.predicted_errors[2:]), total)),
        ("of error", lambda x: _share(energy(x.predicted_errors), total)),
    )


def activity(report: ConversionReport) -> Sheet:
    """Thresholds, messages and operations per frame, runs' first frames included."""
    return Sheet.of(
        "Activity per frame (threshold in the ANN's units; operations done in the layer)",
        report.layers,
        ("layer", lambda x: x.name),
        ("neurons", lambda x: f"{x.neurons:,}"),
        ("active", lambda x: number(x.density, ".1%")),
        ("threshold", lambda x: f"{x.threshold_ann:.3g}"),
        ("predicted", lambda x: number(x.events_per_frame_predicted, ",.0f")),
        ("messages", lambda x: f"{x.events_per_frame_measured:,.0f}"),
        ("operations", lambda x: compact(x.synops_per_frame_measured)),
        ("of ops", lambda x: number(x.share_of_operations, ".1%")),
    )


def threshold_layers(report: ConversionReport) -> Sheet | None:
    """Each layer's threshold, memory, and share of the operations and of the error, with thresholds
    for a budget.
    """
    budget = report.threshold_budget
    if budget is None:
        return None
    lava: tuple[Column, ...] = (
        ("kind", lambda x: _kind(x.remembers)),
        ("threshold", lambda x: f"{x.threshold:.3g}"),
    )
    engine: tuple[Column, ...] = (
        ("lava's\nthreshold", lambda x: f"{x.threshold:.3g}"),
        ("engine's\nthreshold", lambda x: number(x.engine_threshold, ".3g")),
        ("engine's\nmemory", lambda x: _kind(x.engine_remembers)),
    )
    both = budget.engine_has_its_own
    return Sheet.of(
        "Thresholds by layer, per frame after the first (operations caused by messages)",
        report.layers,
        ("layer", lambda x: x.name),
        *(engine if both else lava),
        ("messages", lambda x: number(x.events_per_frame_working, ",.0f")),
        ("operations", lambda x: compact(x.sent_synops_per_frame)),
        ("of ops", lambda x: number(x.share_of_synops, ".1%")),
        ("of error", lambda x: number(x.share_of_error, ".1%")),
        words=("kind", "engine's\nmemory"),
        notes=(
            "thresholds in units of the layer's scaled activation; messages, operations and error:"
            f" {'lava' if both else 'the SDNN'}",
        ),
    )


def _kind(remembers: bool | None) -> str:
    return {True: "stateful", False: "memoryless", None: MISSING}[remembers]


def lowering(report: ConversionReport) -> Sheet | None:
    """Size of network.net; None where there is none, or where it was not measured."""
    lowered = report.lowering
    return size_sheet(lowered) if isinstance(lowered, LoweringReport) else None


def lowered_headroom(report: ConversionReport) -> Sheet | None:
    """Bits left in the layers of network.net."""
    lowered = report.lowering
    return headroom_sheet(lowered) if isinstance(lowered, LoweringReport) else None


def size_sheet(lowered: LoweringReport, original: str = "converted") -> Sheet:
    """Cost of lowering against the ``original``, and what it sends differently."""
    before, after = lowered.original.model_dump(), lowered.lowered.model_dump()
    return Sheet.of(
        "Lowered for stock netx",
        lowered.growth.items(),
        ("", lambda growth: growth[0].replace("_", " ")),
        (original, lambda growth: f"{before[growth[0]]:,}"),
        ("lowered", lambda growth: f"{after[growth[0]]:,}"),
        ("growth", lambda growth: f"{growth[1]:.2f}x"),
        notes=(*_pass_through(lowered), *(f"- {sentence}" for sentence in lowered.differences)),
    )


def _pass_through(lowered: LoweringReport) -> tuple[str, ...]:
    """What it costs to carry values of a network with branches along, where that was measured."""
    carried = None if lowered.ranges is None else lowered.ranges.pass_through
    if carried is None:
        return ()
    return (
        f"- {carried.layers} layers carry values past them in {carried.neurons:,} neurons, which"
        f" send {carried.messages_per_frame:,.0f} messages per frame after the first beside"
        f" {carried.own_messages_per_frame:,.0f} of the others, with"
        f" {carried.operations_per_frame:,.0f} operations",
    )


def headroom_sheet(lowered: LoweringReport) -> Sheet | None:
    """Bits left in the layers of network.net; None where ranges were not measured."""
    ranges = lowered.ranges
    if ranges is None:
        return None
    return Sheet.of(
        f"Headroom of network.net, bits ({ranges.frames} frames)",
        ranges.layers,
        ("layer", lambda x: x.name),
        ("neurons", lambda x: f"{x.neurons:,}"),
        ("state", lambda x: _left(x.state_headroom_bits)),
        ("sum of a step", lambda x: _left(x.sum_headroom_bits)),
        ("message", lambda x: _left(x.message_headroom_bits)),
    )


def _limits(limits: Limits) -> str:
    return ", ".join(limit.short.replace("message", "msg") for limit in limits)


def _left(bits: float | None) -> str:
    return "silent" if bits is None else f"{bits:.2f}"


def _share(part: float | None, total: float) -> str:
    return MISSING if part is None or not total else f"{part / total:.1%}"
