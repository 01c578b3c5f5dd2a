"""The tables of the conversion report."""

from ann2sdnn.convert.report.layer import (
    MESSAGE_BITS,
    RELAYED_WEIGHT_BITS,
    STATE_BITS,
    energy,
)
from ann2sdnn.convert.report.lowering import LoweringReport
from ann2sdnn.convert.report.report import ConversionReport, Tuned
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import MISSING, number


def value_ranges(report: ConversionReport) -> Sheet:
    """Bits used by the largest weight, message and state, and bits left of the range."""
    relayed = any(layer.relayed for layer in report.layers)
    weights = f"8, {RELAYED_WEIGHT_BITS} after a relay" if relayed else "8"
    rows = tuple(
        (
            layer.name,
            layer.op,
            f"{layer.scale:.3g}",
            number(layer.weight_bits, ".1f"),
            str(layer.weight_levels),
            f"{MESSAGE_BITS - layer.message_headroom_bits:.1f}",
            f"{layer.message_headroom_bits:.2f}",
            f"{STATE_BITS - layer.state_headroom_bits:.1f}",
            f"{layer.state_headroom_bits:.2f}",
            ", ".join(limit.short.replace("message", "msg") for limit in layer.limited_by),
        )
        for layer in report.layers
    )
    headings = ("layer", "op", "scale", "wgt", "levels", "msg", "left", "state", "left")
    return Sheet(
        f"Range: bits used by weights (of {weights}), messages (16), states (24); bits left",
        (*headings, "limited by"),
        rows,
        words=("op", "limited by"),
    )


def accuracy(report: ConversionReport) -> Sheet:
    """Signal-to-noise ratios, and shares of the output's predicted error."""
    total = sum(energy(layer.predicted_errors) or 0.0 for layer in report.layers)
    return Sheet(
        "Accuracy: SNR in dB (of activations measured); shares of the predicted error",
        ("layer", "SNR wgt", "SNR act", "weights", "messages", "thresholds", "of error"),
        tuple(
            (
                layer.name,
                number(layer.weight_snr_db, ".1f"),
                number(layer.activation_snr_db, ".1f"),
                *(_share(energy([error]), total) for error in layer.predicted_errors),
                _share(energy(layer.predicted_errors), total),
            )
            for layer in report.layers
        ),
    )


def activity(report: ConversionReport) -> Sheet:
    """Thresholds, messages and operations per frame, runs' first frames included."""
    total = sum(layer.synops_per_frame_measured for layer in report.layers)
    return Sheet(
        "Activity per frame (threshold in the ANN's units; operations done in the layer)",
        ("layer", "neurons", "active", "threshold", "predicted", "messages", "Mops", "of ops"),
        tuple(
            (
                layer.name,
                f"{layer.neurons:,}",
                number(layer.density, ".1%"),
                f"{layer.threshold_ann:.3g}",
                number(layer.events_per_frame_predicted, ",.0f"),
                f"{layer.events_per_frame_measured:,.0f}",
                number(layer.synops_per_frame_measured, ".1f", 1e6),
                _share(layer.synops_per_frame_measured, total),
            )
            for layer in report.layers
        ),
    )


def threshold_choices(report: ConversionReport) -> Sheet | None:
    """The networks of the search for thresholds that keep a budget."""
    budget = report.threshold_budget
    if budget is None:
        return None
    bounded = "from the ANN" if budget.bounds == "ann" else "added by thresholds"
    without = number(budget.synops_per_frame_without, ".1f", 1e6)
    rounding = f"{budget.rounding_px:.2f}"
    return Sheet(
        f"Thresholds for {budget.budget_px:g} px {bounded} ({budget.frames} frames; * chosen)",
        ("layers", "Mops", "predicted", "px to ANN", "px added", "error", "predicted"),
        (
            ("thresholds 0", without, MISSING, rounding, "0", "0", MISSING),
            _choice("all stateful" + "*" * (budget.memory == "all"), budget.remembering),
            _choice("mixed" + "*" * (budget.memory == "mixed"), budget.mixed),
        ),
        notes=(_held_out(report),),
    )


def _choice(label: str, row: Tuned) -> tuple[str, ...]:
    n_memoryless = len(row.memoryless_layers)
    return (
        f"{label} ({n_memoryless} memoryless)" if n_memoryless else label,
        number(row.synops_per_frame, ".1f", 1e6),
        number(row.synops_per_frame_predicted, ".1f", 1e6),
        f"{row.displacement_px:.2f}",
        f"{row.added_px:.3f}",
        f"{row.added_error:.3f}",
        number(row.added_error_predicted, ".3f"),
    )


def _held_out(report: ConversionReport) -> str:
    """The chosen thresholds on held-out recordings."""
    budget = report.threshold_budget
    if budget is None or budget.held_out_frames == 0:
        return "No recording could be held out to check these thresholds."
    frames = f"On {budget.held_out_frames} held-out frames"
    if budget.held_out_px is None or budget.held_out_added_px is None:
        return f"{frames} the ANN is confident of no joint, so these thresholds are not checked."
    return (
        f"{frames}: {budget.held_out_px:.2f} px from the ANN"
        f" ({number(budget.held_out_rounding_px, '.2f')} without thresholds),"
        f" {budget.held_out_added_px:.3f} px added."
    )


def threshold_layers(report: ConversionReport) -> Sheet | None:
    """Each layer's share of the operations and of the error, with thresholds for a budget."""
    if report.threshold_budget is None:
        return None
    return Sheet(
        "Thresholds by layer, per frame after the first (operations caused by messages)",
        ("layer", "kind", "messages", "predicted", "Mops", "of ops", "of error"),
        tuple(
            (
                layer.name,
                "stateful" if layer.remembers else "memoryless",
                number(layer.events_per_frame_working, ",.0f"),
                number(layer.events_per_frame_working_predicted, ",.0f"),
                number(layer.sent_synops_per_frame, ".1f", 1e6),
                number(layer.share_of_synops, ".1%"),
                number(layer.share_of_error, ".1%"),
            )
            for layer in report.layers
        ),
        words=("kind",),
    )


def lowering(report: ConversionReport) -> Sheet | None:
    """Size of network.net; None where there is none, or where it was not measured."""
    lowered = report.lowering
    return size_sheet(lowered) if isinstance(lowered, LoweringReport) else None


def lowered_headroom(report: ConversionReport) -> Sheet | None:
    """Bits left in the layers of network.net."""
    lowered = report.lowering
    return headroom_sheet(lowered) if isinstance(lowered, LoweringReport) else None


def size_sheet(lowered: LoweringReport, original: str = "converted") -> Sheet:
    """Cost of lowering against the ``original``, and what it rounds differently."""
    before, after = lowered.original.model_dump(), lowered.lowered.model_dump()
    return Sheet(
        "Lowered for stock netx",
        ("", original, "lowered", "growth"),
        tuple(
            (name.replace("_", " "), f"{before[name]:,}", f"{after[name]:,}", f"{growth:.2f}x")
            for name, growth in lowered.growth.items()
        ),
        notes=tuple(f"- {difference}" for difference in lowered.differences),
    )


def headroom_sheet(lowered: LoweringReport) -> Sheet | None:
    """Bits left in the layers of network.net; None where ranges were not measured."""
    ranges = lowered.ranges
    if ranges is None:
        return None
    return Sheet(
        f"Headroom of network.net, bits ({ranges.frames} frames)",
        ("layer", "neurons", "state", "sum of a step", "message"),
        tuple(
            (
                layer.name,
                f"{layer.neurons:,}",
                *("silent" if bits is None else f"{bits:.2f}" for bits in layer.headroom.values()),
            )
            for layer in ranges.layers
        ),
    )


def _share(part: float | None, total: float) -> str:
    return MISSING if part is None or not total else f"{part / total:.1%}"
