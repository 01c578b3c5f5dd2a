"""The speeds of `bench` as a table of at most 80 columns."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ann2sdnn.eval.bench.bench import BenchReport

_LABELS = {
    "onnxruntime": "ANN, ONNX Runtime",
    "torch": "ANN, torch",
    "engine": "SDNN, engine",
    "slayer": "SDNN, slayer",
}


def bench_table(report: BenchReport) -> RenderableType:
    """Medians and ranges, the fastest first, and whether the backends agree."""
    medians = {name: getattr(report, f"{name}_ms_per_frame") for name in _LABELS}
    fastest = min(medians.values())
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("network")
    for heading in ("ms a frame", "range", "frames/s", "times the fastest"):
        table.add_column(heading, justify="right")
    for name in sorted(medians, key=medians.__getitem__):
        rounds = report.all_ms_per_frame[name]
        table.add_row(
            _LABELS[name],
            f"{medians[name]:.1f}",
            f"{min(rounds):.1f}-{max(rounds):.1f}",
            f"{1e3 / medians[name]:.1f}",
            f"{medians[name] / fastest:.2f}",
        )
    verdict = {True: "equal", False: "DIFFERENT", None: "-"}[report.messages_equal]
    lines = (
        f"Medians of {report.rounds} alternating rounds of {report.frames} frames with"
        f" {report.threads} threads",
        f"Messages of engine and slayer: {verdict} ({report.messages_compared:,} values compared)",
    )
    return Group(table, Text("\n".join(lines)))
