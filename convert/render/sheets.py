"""The tables of the conversion report."""

from ann2sdnn.calibration.scales.plan import Limits
from ann2sdnn.convert.report.layer import (
    MESSAGE_BITS,
    RELAYED_WEIGHT_BITS,
    STATE_BITS,
    LayerReport,
    energy,
)
from ann2sdnn.convert.report.lowering import LoweringReport
from ann2sdnn.convert.report.report import ConversionReport, Tuned
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.layered import (
    Cell,
    Form,
    average,
    layer_sheet,
    least,
    most,
    same,
    spread,
    total,
)
from ann2sdnn.support.terminal import MISSING, compact, number

Column = tuple[str, Cell[LayerReport]]


def value_ranges(report: ConversionReport) -> Sheet:
    """Bits used by the largest weight, message and state, and bits left of the range."""
    relayed = any(layer.relayed for layer in report.layers)
    weights = f"8, {RELAYED_WEIGHT_BITS} after a relay" if relayed else "8"
    return layer_sheet(
        f"Range: bits used by weights (of {weights}), messages (16), states (24); bits left",
        report.layers,
        ("op", same(lambda x: x.op, "several")),
        ("scale", spread(lambda x: x.scale, _scale)),
        ("wgt", most(lambda x: x.weight_bits, _as(".1f"))),
        ("levels", least(lambda x: None if x.is_relay else x.weight_levels, _as(".0f"))),
        ("msg", most(lambda x: MESSAGE_BITS - x.message_headroom_bits, _as(".1f"))),
        ("left", least(lambda x: x.message_headroom_bits, _as(".2f"))),
        ("state", most(lambda x: STATE_BITS - x.state_headroom_bits, _as(".1f"))),
        ("left", least(lambda x: x.state_headroom_bits, _as(".2f"))),
        ("limited by", same(lambda x: _limits(x.limited_by), "several")),
        words=("op", "limited by"),
        sizes=layer_sizes(report),
        note="most bits used, fewest left, fewest levels",
    )


def accuracy(report: ConversionReport) -> Sheet:
    """Signal-to-noise ratios, and shares of the output's predicted error."""
    whole = sum(energy(layer.predicted_errors) or 0.0 for layer in report.layers)

    def share(first: int, stop: int) -> Cell[LayerReport]:
        return total(
            lambda x: energy(x.predicted_errors[first:stop]), lambda part: _share(part, whole)
        )

    return layer_sheet(
        "Accuracy: SNR in dB (of activations measured); shares of the predicted error",
        report.layers,
        ("SNR wgt", least(lambda x: x.weight_snr_db, _as(".1f"))),
        ("SNR act", least(lambda x: x.activation_snr_db, _as(".1f"))),
        ("weights", share(0, 1)),
        ("messages", share(1, 2)),
        ("thresholds", share(2, 3)),
        ("of error", share(0, 3)),
        sizes=layer_sizes(report),
        note="the lowest SNR, sums of shares",
    )


def activity(report: ConversionReport) -> Sheet:
    """Thresholds, messages and operations per frame, runs' first frames included."""
    return layer_sheet(
        "Activity per frame (threshold in the ANN's units; operations done in the layer)",
        report.layers,
        ("neurons", total(lambda x: x.neurons, _as(",.0f"))),
        ("active", average(lambda x: x.density, lambda x: x.outputs, _as(".1%"))),
        ("threshold", spread(lambda x: x.threshold_ann, _as(".3g"))),
        ("predicted", total(lambda x: x.events_per_frame_predicted, _as(",.0f"))),
        ("messages", total(lambda x: x.events_per_frame_measured, _as(",.0f"))),
        ("operations", total(lambda x: x.synops_per_frame_measured, compact)),
        ("of ops", total(lambda x: x.share_of_operations, _as(".1%"))),
        sizes=layer_sizes(report),
        note="sums; active is a mean",
    )


def threshold_layers(report: ConversionReport) -> Sheet | None:
    """Each layer's threshold, memory, and share of the operations and of the error, with thresholds
    for a budget.
    """
    budget = report.threshold_budget
    if budget is None:
        return None
    lava: tuple[Column, ...] = (
        ("kind", same(lambda x: _kind(x.remembers), "both")),
        ("threshold", spread(lambda x: x.threshold, _as(".3g"))),
    )
    engine: tuple[Column, ...] = (
        ("lava's\nthreshold", spread(lambda x: x.threshold, _as(".3g"))),
        ("engine's\nthreshold", spread(lambda x: x.engine_threshold, _as(".3g"))),
        ("engine's\nmemory", same(lambda x: _kind(x.engine_remembers), "both")),
    )
    both = budget.engine_has_its_own
    return layer_sheet(
        "Thresholds by layer, per frame after the first (operations caused by messages)",
        report.layers,
        *(engine if both else lava),
        ("messages", total(lambda x: x.events_per_frame_working, _as(",.0f"))),
        ("operations", total(lambda x: x.sent_synops_per_frame, compact)),
        ("of ops", total(lambda x: x.share_of_synops, _as(".1%"))),
        ("of error", total(lambda x: x.share_of_error, _as(".1%"))),
        words=("kind", "engine's\nmemory"),
        sizes=layer_sizes(report),
        note="sums",
        notes=(
            "thresholds in units of the layer's scaled activation; messages, operations and error:"
            f" {'lava' if both else 'the SDNN'}",
            *_input_note(report, budget.remembering),
        ),
    )


def _input_note(report: ConversionReport, tuned: Tuned) -> tuple[str, ...]:
    """What the input sends; nothing in reports of earlier versions."""
    sent, operations = tuned.input_events_per_frame, tuned.input_synops_per_frame
    if sent is None or operations is None:
        return ()
    least = tuned.input_threshold
    unit = " counts" if isinstance(report.input_gain, int) else ""
    what = f"changes of {least:.4g}{unit} or more" if least else "every change"
    error = number(tuned.input_share_of_error, ".1%")
    return (
        f"the input sends {what}: {sent:,.0f} messages, {compact(operations)} operations,"
        f" {error} of error",
    )


def layer_sizes(report: ConversionReport) -> list[int]:
    """Neurons per channel of every layer, which tell resolutions apart."""
    return [layer.neurons // layer.channels for layer in report.layers]


def _scale(value: float | None) -> str:
    return number(value, ".3g").replace("e+0", "e")


def _as(form: str) -> Form:
    """Text of a number, or of None, by a format such as ".1f"."""
    return lambda value: number(value, form)


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
    return layer_sheet(
        f"Headroom of network.net, bits ({ranges.frames} frames)",
        ranges.layers,
        ("neurons", total(lambda x: x.neurons, _as(",.0f"))),
        ("state", least(lambda x: x.state_headroom_bits, _left)),
        ("sum of a step", least(lambda x: x.sum_headroom_bits, _left)),
        ("message", least(lambda x: x.message_headroom_bits, _left)),
        note="fewest bits left",
    )


def _limits(limits: Limits) -> str:
    return ", ".join(limit.short.replace("message", "msg") for limit in limits)


def _left(bits: float | None) -> str:
    return "silent" if bits is None else f"{bits:.2f}"


def _share(part: float | None, total: float) -> str:
    return MISSING if part is None or not total else f"{part / total:.1%}"
