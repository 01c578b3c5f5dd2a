"""The evaluation in the terminal, 80 columns wide."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ann2sdnn.eval.render.summary import conclusions, summary_rows
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.numbers import compact, decimals, percent

_NAME_WIDTH = 14


def print_summary(
    report: EvaluationReport, console: Console, *, last_line: str, layers: bool = False
) -> None:
    """Print the summary, with ``layers`` the table of layers, and ``last_line`` at the end."""
    console.print(summary_table(report))
    for sentence in conclusions(report):
        console.print(Text(sentence))
    for warning in report.warnings:
        console.print(Text(f"Warning: {warning}", style="yellow"))
    if layers:
        console.print(layer_table(report))
    # A path is one word: soft wrap leaves it in one piece to be copied.
    console.print(Text(last_line), soft_wrap=True)


def summary_table(report: EvaluationReport) -> RenderableType:
    """One row a method, and what the columns are below it."""
    table = _table(_title(report))
    table.add_column("", no_wrap=True)
    for head in ("error\npx", "error\nmm", "moved\npx", "messages\n/frame", "operations\n/frame"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("of\ndense", justify="right", no_wrap=True)
    for row in summary_rows(report):
        table.add_row(
            row.method,
            decimals(row.error_px, 2),
            decimals(row.error_mm, 1),
            decimals(row.moved_px, 2),
            compact(row.events_per_frame),
            compact(row.synops_per_frame),
            percent(row.fraction_of_dense),
        )
    legend = Text(
        "error: mean distance to the labels; moved: mean distance to the ANN's joints where it is "
        "confident; operations: multiplications by non-zero weights",
        style="dim",
    )
    return Group(table, legend)


def layer_table(report: EvaluationReport) -> RenderableType:
    """One row a layer: how much it sends, and the operations done in it."""
    table = _table("Layers: share of neurons that send, and operations a frame")
    table.add_column("layer", no_wrap=True)
    for head in ("neurons", "ANN\nsends", "SDNN\nsends", "thresh-\nold"):
        table.add_column(head, justify="right", no_wrap=True)
    for head in ("dense", "skip\nzeros", "no\nmemory", "SDNN"):
        table.add_column(head, justify="right", no_wrap=True)
    for layer in report.layers:
        counts = (
            layer.macs_per_frame,
            layer.nonzero_macs_per_frame,
            layer.memoryless_synops_per_frame,
            layer.synops_per_frame,
        )
        table.add_row(
            escape(_end(layer.name)),
            _narrow(layer.neurons),
            percent(layer.ann_density),
            percent(layer.event_density),
            f"{layer.threshold:.3g}",
            *map(_narrow, counts),
        )
    return table


def _narrow(count: float | None) -> str:
    return compact(count).replace(" ", "")


def _end(name: str) -> str:
    """The end of a long name, which tells layers apart better than its beginning."""
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def _title(report: EvaluationReport) -> str:
    cameras = " and ".join(map(str, report.channels))
    return (
        f"{_counted(report.frames, 'frame')} of {_counted(len(report.recordings), 'recording')} "
        f"(split: {report.split}), camera{'s' * (len(report.channels) > 1)} {cameras}"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _table(title: str) -> Table:
    # Nine columns fit 80 with one space of padding each.
    return Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
