"""The report's tables as text in cells: what the terminal and the page both show."""

from dataclasses import dataclass

from ann2sdnn.convert.report.layer import (
    MESSAGE_BITS,
    RELAYED_WEIGHT_BITS,
    STATE_BITS,
    LayerReport,
)
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.convert.report.shares import error_parts, share_of_error

_TEXT = {"layer", "op", "limited by", "memory", "layers"}


@dataclass(frozen=True)
class Sheet:
    """A table; ``rows`` have a cell for each of ``headings``."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def is_text(self) -> tuple[bool, ...]:
        """Which columns hold words: they are aligned left."""
        return tuple(heading in _TEXT for heading in self.headings)


def layer_sheets(report: ConversionReport) -> tuple[Sheet, ...]:
    """Range, accuracy and activity, a row a layer."""
    return (range_sheet(report), accuracy_sheet(report), activity_sheet(report))


def range_sheet(report: ConversionReport) -> Sheet:
    """Bits that the largest weight, message and state use, and what is left of the range."""
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
            without_brackets(layer.limited_by).replace("message", "msg"),
        )
        for layer in report.layers
    )
    headings = ("layer", "op", "scale", "wgt", "levels", "msg", "left", "state", "left")
    title = "Range: bits used by weights (of 8), messages (16), states (24); bits left"
    if any(layer.relayed for layer in report.layers):
        title = title.replace("8", f"8, {RELAYED_WEIGHT_BITS} after a relay", 1)
    return Sheet(title, (*headings, "limited by"), rows)


def accuracy_sheet(report: ConversionReport) -> Sheet:
    """Signal-to-noise ratios, and where the output's error is foreseen to come from."""
    total = sum(sum(error_parts(layer)) for layer in report.layers)
    rows = tuple(_accuracy_row(layer, total) for layer in report.layers)
    return Sheet(
        "Accuracy: SNR in dB (of activations measured); shares of the foreseen error",
        ("layer", "SNR wgt", "SNR act", "weights", "messages", "thresholds", "of error"),
        rows,
    )


def _accuracy_row(layer: LayerReport, total: float) -> tuple[str, ...]:
    parts = error_parts(layer)
    known = (
        layer.foreseen_weight_error is not None,
        layer.foreseen_message_error is not None,
        layer.foreseen_threshold_error is not None,
    )
    shares = [
        share(part / total) if is_known and total else "-"
        for part, is_known in zip(parts, known, strict=True)
    ]
    return (
        layer.name,
        number(layer.weight_snr_db, ".1f"),
        number(layer.activation_snr_db, ".1f"),
        *shares,
        number(share_of_error(layer, total), ".1%"),
    )


def activity_sheet(report: ConversionReport) -> Sheet:
    """Thresholds, messages and operations of a frame, those of runs' first frames included."""
    total = sum(layer.synops_per_frame_measured for layer in report.layers)
    rows = tuple(
        (
            layer.name,
            f"{layer.neurons:,}",
            number(layer.density, ".1%"),
            f"{layer.threshold_ann:.3g}",
            number(layer.events_per_frame_predicted, ",.0f"),
            f"{layer.events_per_frame_measured:,.0f}",
            f"{layer.synops_per_frame_measured / 1e6:.1f}",
            share(layer.synops_per_frame_measured / total) if total else "-",
        )
        for layer in report.layers
    )
    return Sheet(
        "Activity a frame (threshold in the ANN's units; operations done in the layer)",
        ("layer", "neurons", "active", "threshold", "foreseen", "messages", "Mops", "of ops"),
        rows,
    )


def number(value: float | None, form: str) -> str:
    """``value`` formatted; a dash for None."""
    return "-" if value is None else format(value, form)


def share(fraction: float) -> str:
    """In per cent with one digit."""
    return f"{fraction:.1%}"


def without_brackets(text: str) -> str:
    """What limits a scale, without the number of its bits: 80 columns are few."""
    return ", ".join(part.partition(" (")[0] for part in text.split(", "))
