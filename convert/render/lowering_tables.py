"""network.net as tables of at most 80 columns: its size, and the headroom of its layers."""

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ann2sdnn.convert.report.lowering import (
    LEAST_HEADROOM_BITS,
    LoweredRanges,
    LoweringRefusal,
    LoweringReport,
)


def lowering_tables(report: LoweringReport | LoweringRefusal | None) -> list[RenderableType]:
    """All of them; none where there is no network.net, or where nothing is known of it."""
    if report is None or isinstance(report, LoweringRefusal):
        return []
    parts = size_parts(report)
    if report.ranges is not None:
        parts.append(_headroom(report.ranges))
    return parts


def size_parts(report: LoweringReport, original: str = "converted") -> list[RenderableType]:
    """What lowering costs against the ``original``, and what rounds otherwise."""
    table = _table("Lowered for stock netx")
    table.add_column("", no_wrap=True)
    for heading in (original, "lowered", "growth"):
        table.add_column(heading, justify="right", no_wrap=True)
    before, after = report.original.model_dump(), report.lowered.model_dump()
    for name, growth in report.growth.items():
        label = name.replace("_", " ")
        table.add_row(label, f"{before[name]:,}", f"{after[name]:,}", f"{growth:.2f}x")
    return [table, *(Text(f"- {difference}") for difference in report.differences)]


def _headroom(ranges: LoweredRanges) -> Table:
    table = _table(f"Headroom of network.net, bits ({ranges.frames} frames)")
    table.add_column("layer", no_wrap=True)
    for heading in ("neurons", "state", "sum of a step", "message"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in ranges.layers:
        bits = (_bits(left) for left in layer.headroom.values())
        table.add_row(Text(layer.name), f"{layer.neurons:,}", *bits)
    return table


def _bits(left: float | None) -> Text:
    if left is None:
        return Text("silent")
    return Text(f"{left:.2f}", style="yellow" if left < LEAST_HEADROOM_BITS else "")


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )
