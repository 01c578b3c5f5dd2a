"""The conversion report as tables of at most 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ann2sdnn.convert.render.budget_sheets import tuning_note, tuning_sheets
from ann2sdnn.convert.render.lowering_tables import lowering_tables
from ann2sdnn.convert.render.sheets import Sheet, layer_sheets
from ann2sdnn.convert.render.summary import summary_lines
from ann2sdnn.convert.report.report import ConversionReport


def report_tables(report: ConversionReport) -> RenderableType:
    """Everything `inspect` shows."""
    parts: list[RenderableType] = [Text("\n".join(summary_lines(report)))]
    parts.extend(sheet_table(sheet) for sheet in layer_sheets(report))
    parts.extend(sheet_table(sheet) for sheet in tuning_sheets(report))
    parts.extend(Text(line) for line in tuning_note(report))
    parts.extend(lowering_tables(report.lowering))
    if report.warnings:
        parts.append(Text("Warnings", style="bold"))
        parts.extend(Text(f"- {warning}") for warning in report.warnings)
    return Group(*parts)


def sheet_table(sheet: Sheet) -> RenderableType:
    """``sheet`` for the terminal; its title may be wider than the table."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading, is_text in zip(sheet.headings, sheet.is_text, strict=True):
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
    for row in sheet.rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(Text(sheet.title, style="bold"), table)
