"""The thresholds' part of the conversion report as tables of at most 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ann2sdnn.convert.report import ConversionReport, ThresholdBudget, Tuned


def tuning_tables(report: ConversionReport) -> list[RenderableType]:
    """What thresholds for a budget did; nothing where they were chosen otherwise."""
    budget = report.threshold_budget
    if budget is None:
        return []
    return [Group(_choices(budget), Text(_checked(budget))), _layers(report)]


def _choices(budget: ThresholdBudget) -> Table:
    what = "from the ANN" if budget.bounds == "ann" else "added to rounding's"
    table = _table(
        f"Thresholds for {budget.budget_px:g} px {what} ({budget.frames} frames; * chosen)"
    )
    for heading in ("layers", "Mops", "foreseen", "px to ANN", "px added", "error", "foreseen"):
        table.add_column(heading, justify="left" if heading == "layers" else "right")
    without = f"{budget.synops_per_frame_without / 1e6:.1f}"
    table.add_row("thresholds 0", without, "-", f"{budget.rounding_px:.2f}", "0", "0", "-")
    for name, row in (("all", budget.remembering), ("mixed", budget.mixed)):
        star = "*" if budget.memory == name else ""
        table.add_row(*_choice(f"{_LABELS[name]}{star}", row))
    return table


_LABELS = {"all": "all remember", "mixed": "mixed"}


def _choice(label: str, row: Tuned) -> tuple[str, ...]:
    n_memoryless = len(row.memoryless_layers)
    return (
        f"{label} ({n_memoryless} memoryless)" if n_memoryless else label,
        f"{row.synops_per_frame / 1e6:.1f}",
        f"{row.synops_per_frame_predicted / 1e6:.1f}",
        f"{row.displacement_px:.2f}",
        f"{row.added_px:.3f}",
        f"{row.added_error:.3f}",
        f"{row.added_error_predicted:.3f}",
    )


def _checked(budget: ThresholdBudget) -> str:
    if budget.held_out_px is None or budget.held_out_added_px is None:
        return "No recording could be kept apart to check them."
    return (
        f"On {budget.held_out_frames} frames kept apart: {budget.held_out_px:.2f} px from the ANN"
        f" ({budget.held_out_rounding_px:.2f} without thresholds),"
        f" {budget.held_out_added_px:.3f} px added"
    )


def _layers(report: ConversionReport) -> Table:
    table = _table("What each layer sends, a frame at work (shares of the chosen network's)")
    for heading in ("layer", "memory", "events", "foreseen", "Mops", "of ops", "of error"):
        table.add_column(heading, justify="left" if heading in _TEXT else "right")
    for layer in report.layers:
        table.add_row(
            layer.name,
            "keeps" if layer.remembers else "none",
            _number(layer.events_per_frame_working, ",.0f"),
            _number(layer.events_per_frame_working_predicted, ",.0f"),
            _number(_mega(layer.sent_synops_per_frame), ".1f"),
            _number(layer.share_of_synops, ".1%"),
            _number(layer.share_of_error, ".1%"),
        )
    return table


_TEXT = {"layer", "memory"}


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )


def _mega(value: float | None) -> float | None:
    return None if value is None else value / 1e6


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
