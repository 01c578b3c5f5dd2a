r"""Accuracy against operations and messages: networks trained plain and for sigma-delta.

    python benchmarks/training/sparse.py OUT --calibrate RECORDINGS --data PEOPLE \
        --network plain=plain/model.onnx --network sparse=sparse/model.onnx

Each network is converted at several budgets of `convert --budget-px` (of its own with
plain=plain/model.onnx:0.4,0.8), with `--message-cost` where that is given, on RECORDINGS, whatever
their subjects, and each conversion evaluated on PEOPLE, other people. OUT gets the conversions,
points.json, and the picture sparse.png; what is there already is not done again.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

BUDGETS_PX = (0.1, 0.2, 0.4, 0.8)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
MARKERS = ("o", "s", "^", "D")


@dataclass(frozen=True)
class Study:
    """Where results go, what is calibrated on and evaluated on, and what a message costs."""

    out: Path
    calibrate: Path
    data: Path
    frames: int
    message_cost: float


def measured(study: Study, name: str, model: Path, budget_px: float) -> dict[str, float]:
    """Errors in px and mm, and per frame after the first of a sequence operations and messages."""
    place = study.out / name / f"{budget_px:g}"
    sdnn, evaluation = place / "sdnn", place / "evaluation"
    if not sdnn.is_dir():
        calibrate = ("--calibrate", str(study.calibrate), "--split", "all")
        budget = ("--budget-px", f"{budget_px:g}", "--message-cost", f"{study.message_cost:g}")
        run("convert", str(model), *calibrate, *budget, "--out", str(sdnn))
    if not evaluation.is_dir():
        frames = ("--frames", str(study.frames))
        data = ("--data", str(study.data), "--split", "all", *frames)
        run("evaluate", str(sdnn), *data, "--out", str(evaluation))
    found = json.loads((evaluation / "evaluation.json").read_text("utf-8"))
    ann, own, moved = found["ann"], found["sdnn"], found["comparison"]
    return {
        "ann_px": ann["mpjpe_px"],
        "ann_mm": ann["mpjpe_mm"],
        "ann_nonzero_macs": ann["sustained_nonzero_macs_per_frame"],
        "sdnn_px": own["mpjpe_px"],
        "sdnn_mm": own["mpjpe_mm"],
        "moved_px": moved["displacement_px_mean"],
        "operations": own["sustained_synops_per_frame"],
        "messages": own["sustained_events_per_frame"],
        "memoryless_operations": found["memoryless"]["sustained_synops_per_frame"],
        "memoryless_px": found["memoryless"]["mpjpe_px"],
    }


def draw(points: dict[str, dict[str, dict[str, float]]], out: Path) -> None:
    """Error over operations and over messages, a line per network."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_ylabel("error of the SDNN (MPJPE), px")
    for axes, key, unit, label in (
        (left, "operations", 1e6, "million operations per frame"),
        (right, "messages", 1e3, "thousand messages per frame"),
    ):
        for (name, own), colour, marker in zip(points.items(), COLOURS, MARKERS, strict=False):
            rows = list(own.values())
            across = [row[key] / unit for row in rows]
            up = [row["sdnn_px"] for row in rows]
            axes.plot(across, up, color=colour, marker=marker, label=name)
            axes.axhline(rows[0]["ann_px"], color=colour, linestyle=":", linewidth=1)
        style(axes, label)
    left.legend(title="dotted: its ANN")
    figure.savefig(out, dpi=150)


def style(axes: Axes, label: str) -> None:
    """A logarithmic axis across, with plain numbers, and a grid."""
    axes.set_xscale("log")
    axes.set_xticks([10, 20, 50, 100, 200, 500])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.grid(visible=True, alpha=0.3)


def run(*arguments: str) -> None:
    """Run one ann2sdnn command quietly, and stop where it fails."""
    code = "import sys; from ann2sdnn.cli.app import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *arguments, "--quiet"]
    subprocess.run(command, check=True, stdout=sys.stderr)


def main() -> None:
    """Read the command line, measure, draw."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--calibrate", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--network", action="append", required=True, metavar="NAME=MODEL.onnx[:BUDGETS]"
    )
    parser.add_argument("--budgets-px", type=float, nargs="+", default=BUDGETS_PX)
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--message-cost", type=float, default=0.0)
    given = parser.parse_args()
    study = Study(given.out, given.calibrate, given.data, given.frames, given.message_cost)
    points: dict[str, dict[str, dict[str, float]]] = {}
    for network in given.network:
        name, _, source = network.partition("=")
        model, _, own = source.partition(":")
        for budget in map(float, own.split(",")) if own else given.budgets_px:
            row = measured(study, name, Path(model), budget)
            points.setdefault(name, {})[f"{budget:g}"] = row
            sys.stdout.write(f"{name} {budget:g} px: {json.dumps(row)}\n")
            sys.stdout.flush()
            study.out.mkdir(exist_ok=True, parents=True)
            (study.out / "points.json").write_text(json.dumps(points, indent=2) + "\n", "utf-8")
    draw(points, study.out / "sparse.png")


if __name__ == "__main__":
    main()
