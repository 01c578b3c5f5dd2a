"""`convert --sweep`: operations against error for every threshold rule, on real runs.

The error is a displacement in pixels where outputs are heat maps of joints, and else the relative
error of the outputs.
"""

from dataclasses import replace
from pathlib import Path

import pydantic

from ann2sdnn.calibration.thresholds.budget import (
    BudgetSearch,
    pieces,
    split_runs,
)
from ann2sdnn.calibration.thresholds.deviation import Deviation
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import points_at_zero, with_points
from ann2sdnn.calibration.thresholds.rule import ThresholdInputs
from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.calibration.thresholds.trials import TrialBench
from ann2sdnn.calibration.thresholds.units import Unit
from ann2sdnn.convert.stages.sweep_plot import draw
from ann2sdnn.data.sources.frames import counted_chunks
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.support.files.json_text import Record
from ann2sdnn.support.files.writing import write_text

SWEEP_FILE, PLOT_FILE = "sweep.json", "sweep.png"

_FRAMES, _CURVE_FRAMES = 24, 64


class SweepPoint(Record):
    """One network: the series ``rule`` at ``parameter`` (fixed: the threshold; percentile: percent;
    mean-delta: factor; rate-distortion: predicted relative error of the output). Pixels are null
    where the ANN is confident of no joint.
    """

    rule: str
    parameter: float
    synops_per_frame: float
    added_px: float | None
    displacement_px: float | None
    added_error: float


class Sweep(Record):
    """sweep.json. Operations per frame leave out the first frame of every run."""

    schema_version: int = pydantic.Field(default=1, alias="schema")
    frames: int
    dense_macs_per_frame: float
    nonzero_macs_per_frame: float
    synops_per_frame_without: float
    memoryless_synops_per_frame_without: float
    rounding_px: float | None
    points: list[SweepPoint]


def sweep(inputs: ThresholdInputs, search: BudgetSearch | None) -> Sweep:
    """Run the spec of ``inputs`` with thresholds of every rule.

    Curves are measured here where there was no ``search``.
    """
    graph, base, reporter = inputs.graph, inputs.spec, inputs.reporter
    frames, _ = split_runs(inputs.frames)
    if search is None:
        curves = measure_curves(base, pieces(frames, _CURVE_FRAMES), reporter)
    else:
        curves = search.curves
    frames = pieces(frames, _FRAMES)
    candidates = [candidate for rule in RULES.values() for candidate in rule.sweep(base.grid)]
    n_frames = sum(sequence.n_frames for sequence in frames)
    n_networks = 2 + len(candidates)
    with reporter.task("Sweep of thresholds", n_networks * n_frames, "frames") as task:
        bench = TrialBench(graph, base, frames, task)
        memoryless = bench.run(with_points(base, curves, points_at_zero(curves, "none")))
        inputs = replace(inputs, curves=curves, output_energy=bench.output_energy)
        trials = [bench.run(candidate.make(inputs)) for candidate in candidates]
    ann = CountedAnn(graph)
    for sequence in frames:
        for chunk, skip in counted_chunks(sequence):
            ann.run(chunk[skip:])
    return Sweep(
        frames=n_frames,
        dense_macs_per_frame=float(ann.dense.sum()),
        nonzero_macs_per_frame=float(ann.nonzero_macs.sum() / ann.n_frames),
        synops_per_frame_without=bench.base.total_operations,
        memoryless_synops_per_frame_without=memoryless.total_operations,
        rounding_px=_px(bench.base.to_ann),
        points=[
            SweepPoint(
                rule=candidate.series,
                parameter=candidate.parameter,
                synops_per_frame=trial.total_operations,
                added_px=_px(trial.added),
                displacement_px=_px(trial.to_ann),
                added_error=trial.added.error,
            )
            for candidate, trial in zip(candidates, trials, strict=True)
        ],
    )


def _px(deviation: Deviation) -> float | None:
    """The plain mean, as every sweep has had it."""
    return None if deviation.displacement is None else deviation.displacement.mean_px


def write_sweep(folder: Path, result: Sweep) -> None:
    """Write sweep.json and its plot into ``folder``."""
    write_text(folder / SWEEP_FILE, result.model_dump_json(by_alias=True, indent=2) + "\n")
    series: dict[str, list[tuple[float, float]]] = {}
    unit: Unit = "error" if result.rounding_px is None else "px"
    for point in result.points:
        error = point.added_error if point.added_px is None else point.added_px
        series.setdefault(point.rule, []).append((error, point.synops_per_frame))
    levels = {
        "dense ANN": result.dense_macs_per_frame,
        "ANN, skipping zeros": result.nonzero_macs_per_frame,
        "SDNN, thresholds 0": result.synops_per_frame_without,
        "memoryless, thresholds 0": result.memoryless_synops_per_frame_without,
    }
    draw(folder / PLOT_FILE, series, levels, unit)
