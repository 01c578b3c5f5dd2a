"""The thresholds' part of the conversion report, as tables."""

from ann2sdnn.convert.render.sheets import Sheet, number
from ann2sdnn.convert.report.report import ConversionReport, ThresholdBudget, Tuned

_LABELS = {"all": "all remember", "mixed": "mixed"}


def tuning_sheets(report: ConversionReport) -> tuple[Sheet, ...]:
    """What thresholds for a budget did; nothing where they were chosen otherwise."""
    if report.threshold_budget is None:
        return ()
    return (_choices(report.threshold_budget), _layers(report))


def tuning_note(report: ConversionReport) -> list[str]:
    """How the choice did on recordings kept apart."""
    budget = report.threshold_budget
    if budget is None:
        return []
    if budget.held_out_frames == 0:
        return ["No recording could be kept apart to check these thresholds."]
    if budget.held_out_px is None or budget.held_out_added_px is None:
        return [
            f"On {budget.held_out_frames} frames kept apart the ANN is confident of no joint, so"
            " these thresholds are not checked."
        ]
    return [
        f"On {budget.held_out_frames} frames kept apart: {budget.held_out_px:.2f} px from the ANN"
        f" ({number(budget.held_out_rounding_px, '.2f')} without thresholds),"
        f" {budget.held_out_added_px:.3f} px added"
    ]


def _choices(budget: ThresholdBudget) -> Sheet:
    what = "from the ANN" if budget.bounds == "ann" else "added to rounding's"
    without = f"{budget.synops_per_frame_without / 1e6:.1f}"
    rows = [("thresholds 0", without, "-", f"{budget.rounding_px:.2f}", "0", "0", "-")]
    for name, row in (("all", budget.remembering), ("mixed", budget.mixed)):
        star = "*" if budget.memory == name else ""
        rows.append(_choice(f"{_LABELS[name]}{star}", row))
    return Sheet(
        f"Thresholds for {budget.budget_px:g} px {what} ({budget.frames} frames; * chosen)",
        ("layers", "Mops", "foreseen", "px to ANN", "px added", "error", "foreseen"),
        tuple(rows),
    )


def _choice(label: str, row: Tuned) -> tuple[str, str, str, str, str, str, str]:
    n_memoryless = len(row.memoryless_layers)
    return (
        f"{label} ({n_memoryless} memoryless)" if n_memoryless else label,
        f"{row.synops_per_frame / 1e6:.1f}",
        f"{row.synops_per_frame_predicted / 1e6:.1f}",
        f"{row.displacement_px:.2f}",
        f"{row.added_px:.3f}",
        f"{row.added_error:.3f}",
        number(row.added_error_predicted, ".3f"),
    )


def _layers(report: ConversionReport) -> Sheet:
    rows = tuple(
        (
            layer.name,
            "keeps" if layer.remembers else "none",
            number(layer.events_per_frame_working, ",.0f"),
            number(layer.events_per_frame_working_predicted, ",.0f"),
            number(_mega(layer.sent_synops_per_frame), ".1f"),
            number(layer.share_of_synops, ".1%"),
            number(layer.share_of_error, ".1%"),
        )
        for layer in report.layers
    )
    return Sheet(
        "Thresholds layer by layer, a frame at work (operations that messages cause)",
        ("layer", "memory", "messages", "foreseen", "Mops", "of ops", "of error"),
        rows,
    )


def _mega(value: float | None) -> float | None:
    return None if value is None else value / 1e6
