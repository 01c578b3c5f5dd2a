"""The details of a conversion, folded away by subject: range, accuracy, thresholds, Loihi."""

from ann2sdnn.convert.render import charts, loihi, sheets
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.page.document import Fold, Folds, Section, parts_of

# To add a detail, append a function to one of these lists.
_SUBJECTS: dict[str, list[Section[ConversionReport]]] = {
    "Range: bits and scales": [charts.bits_in_use, sheets.value_ranges],
    "Accuracy of weights and activations": [charts.signal_to_noise, sheets.accuracy],
    "Thresholds and what they hold back": [
        sheets.activity,
        sheets.threshold_layers,
    ],
    "Lowered for netx, and Loihi 2": [
        sheets.lowering,
        sheets.lowered_headroom,
        loihi.fit,
        loihi.layers,
    ],
}


def details(report: ConversionReport) -> Folds:
    """All subjects that have something to show."""
    folds = (Fold(title, parts_of(report, sections)) for title, sections in _SUBJECTS.items())
    return Folds(
        "The conversion, layer by layer",
        "How the integers and thresholds were chosen, on the calibration frames. Each subject opens"
        " by a click; a printed page has all of them open.",
        tuple(fold for fold in folds if fold.parts),
    )
