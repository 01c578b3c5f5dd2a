"""`convert --sweep`: operations against displacement for every threshold rule, on real runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pydantic

from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.thresholds.budget import (
    BudgetSearch,
    pieces,
    refuse_without_joints,
    split_runs,
    threshold_curves,
)
from ann2sdnn.calibration.thresholds.rate_distortion import points_at_zero, with_points
from ann2sdnn.calibration.thresholds.rule import SweepInputs
from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.calibration.thresholds.trials import TrialBench
from ann2sdnn.convert.stages.sweep_plot import draw
from ann2sdnn.data.sources.frames import Frames, counted_chunks
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.files.writing import write_text
from ann2sdnn.support.progress import SILENT, Reporter

SWEEP_FILE, PLOT_FILE = "sweep.json", "sweep.png"

_FRAMES, _CURVE_FRAMES = 24, 64


class SweepPoint(pydantic.BaseModel):
    """One network: the series ``rule`` at ``parameter`` (fixed: the threshold; percentile: percent;
    mean-delta: factor; rate-distortion: predicted relative error of the output).
    """

    rule: str
    parameter: float
    synops_per_frame: float
    added_px: float
    displacement_px: float
    added_error: float


class Sweep(pydantic.BaseModel):
    """sweep.json. Operations per frame leave out the first frame of every run."""

    schema_version: int = pydantic.Field(default=1, alias="schema")
    frames: int
    dense_macs_per_frame: float
    nonzero_macs_per_frame: float
    synops_per_frame_without: float
    memoryless_synops_per_frame_without: float
    rounding_px: float
    points: list[SweepPoint]

    model_config = pydantic.ConfigDict(populate_by_name=True)


def sweep(
    graph: Graph,
    spec: Spec,
    statistics: Statistics,
    runs: Sequence[Frames],
    *,
    search: BudgetSearch | None,
    reporter: Reporter = SILENT,
) -> Sweep:
    """Run ``spec`` with thresholds of every rule; its own thresholds are ignored.

    Curves are measured here where there was no ``search``.
    """
    layers = tuple(replace(layer, threshold=0, is_stateful=True) for layer in spec.layers)
    base = replace(spec, layers=layers, input_is_stateful=True)
    runs, _ = split_runs(runs)
    curves = (
        search.curves if search else threshold_curves(base, pieces(runs, _CURVE_FRAMES), reporter)
    )
    runs = pieces(runs, _FRAMES)
    candidates = [one for rule in RULES.values() for one in rule.sweep(base.grid)]
    n_frames = sum(run.n_frames for run in runs)
    with reporter.task("Sweep of thresholds", (2 + len(candidates)) * n_frames, "frames") as task:
        bench = TrialBench(graph, base, runs, task)
        refuse_without_joints(bench)
        memoryless = bench.run(with_points(base, curves, points_at_zero(curves, "none")))
        inputs = SweepInputs(graph, base, statistics, curves, bench.output_energy)
        points = []
        for candidate in candidates:
            trial = bench.run(candidate.make(inputs))
            points.append(
                SweepPoint(
                    rule=candidate.series,
                    parameter=candidate.parameter,
                    synops_per_frame=trial.total_operations,
                    added_px=trial.added_px,
                    displacement_px=trial.ann_px,
                    added_error=trial.added_error,
                )
            )
    ann = _counted(graph, runs)
    return Sweep(
        frames=n_frames,
        dense_macs_per_frame=float(ann.macs.sum()),
        nonzero_macs_per_frame=float(ann.nonzero_macs.sum() / ann.n_frames),
        synops_per_frame_without=bench.base.total_operations,
        memoryless_synops_per_frame_without=memoryless.total_operations,
        rounding_px=bench.base.ann_px,
        points=points,
    )


def write_sweep(folder: Path, result: Sweep) -> None:
    """Write sweep.json and its plot into ``folder``."""
    write_text(folder / SWEEP_FILE, result.model_dump_json(by_alias=True, indent=2) + "\n")
    series: dict[str, list[tuple[float, float]]] = {}
    for point in result.points:
        series.setdefault(point.rule, []).append((point.added_px, point.synops_per_frame))
    levels = {
        "dense ANN": result.dense_macs_per_frame,
        "ANN, skipping zeros": result.nonzero_macs_per_frame,
        "SDNN, thresholds 0": result.synops_per_frame_without,
        "memoryless, thresholds 0": result.memoryless_synops_per_frame_without,
    }
    draw(folder / PLOT_FILE, series, levels)


def _counted(graph: Graph, runs: Sequence[Frames]) -> CountedAnn:
    """The ANN's multiplications, without the first frame of every run."""
    ann = CountedAnn(graph)
    for run in runs:
        for frames, skip in counted_chunks(run):
            ann.run(frames[skip:])
    return ann
