"""Each layer's share of the output error that is foreseen, and the error of them all."""

import math
from collections.abc import Sequence

from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.report import ConversionReport


def error_parts(layer: LayerReport) -> tuple[float, float, float]:
    """Energies that rounding weights, flooring messages and thresholds are foreseen to add to the
    output's error, relative to the output's energy; 0 where nothing is known.
    """
    return (
        (layer.foreseen_weight_error or 0.0) ** 2,
        (layer.foreseen_message_error or 0.0) ** 2,
        (layer.foreseen_threshold_error or 0.0) ** 2,
    )


def share_of_error(layer: LayerReport, total: float) -> float | None:
    """The layer's share of the energy ``total``; None where nothing is foreseen."""
    parts = (
        layer.foreseen_weight_error,
        layer.foreseen_message_error,
        layer.foreseen_threshold_error,
    )
    if not total or all(part is None for part in parts):
        return None
    return sum(error_parts(layer)) / total


def foreseen_error(layers: Sequence[LayerReport]) -> float:
    """Relative L2 error of the output; errors of different layers are taken as independent."""
    return math.sqrt(sum(sum(error_parts(layer)) for layer in layers))


def with_shares(report: ConversionReport) -> ConversionReport:
    """``report`` with shares of the foreseen error, and that error beside the measured one."""
    total = foreseen_error(report.layers) ** 2
    layers = [
        layer.model_copy(update={"share_of_output_error": share_of_error(layer, total)})
        for layer in report.layers
    ]
    rule = RULES.get(report.thresholds)
    foreseen = math.sqrt(total) if rule is not None and rule.predicts_error else None
    fidelity = report.fidelity.model_copy(update={"foreseen_relative_error": foreseen})
    return report.model_copy(update={"layers": layers, "fidelity": fidelity})
