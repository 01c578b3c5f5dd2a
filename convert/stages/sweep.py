"""`convert --sweep`: operations against displacement for every threshold rule, on real runs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pydantic

from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.thresholds.curves import LayerCurve
from ann2sdnn.calibration.thresholds.rate_distortion import (
    Memory,
    picks_for_harm,
    picks_without_thresholds,
    with_picks,
)
from ann2sdnn.calibration.thresholds.rules import ThresholdOptions, ThresholdRule, choose_thresholds
from ann2sdnn.calibration.thresholds.trials import Trial, TrialBench
from ann2sdnn.convert.stages.budget import (
    Tuning,
    pieces,
    refuse_without_joints,
    split_runs,
    threshold_curves,
)
from ann2sdnn.convert.stages.sweep_plot import draw
from ann2sdnn.data.sources.frames import Frames, counted_chunks
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.files.writing import write_text
from ann2sdnn.support.progress import SILENT, Reporter

SWEEP_FILE, PLOT_FILE = "sweep.json", "sweep.png"

_FRAMES = 24
_FIXED_STEPS = (1, 2, 4, 8, 16)  # thresholds, in the grid's threshold steps
_PERCENTILES = (10.0, 25.0, 50.0, 75.0, 90.0)
_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0)
_ERRORS = (0.01, 0.02, 0.04, 0.08, 0.16)  # foreseen relative errors of the output
_RATE_DISTORTION = {
    Memory.ALL: "rate-distortion",
    Memory.MIXED: "rate-distortion, mixed",
    Memory.NONE: "rate-distortion, memoryless",
}


class SweepPoint(pydantic.BaseModel):
    """One network: ``rule`` with ``parameter`` (fixed: the threshold; percentile: percent;
    mean-delta: factor; rate-distortion: foreseen relative error of the output).
    """

    rule: str
    parameter: float
    synops_per_frame: float
    added_px: float
    displacement_px: float
    added_error: float


class Sweep(pydantic.BaseModel):
    """sweep.json. Operations are those of frames at work, without the first of every run."""

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
    tuning: Tuning | None,
    reporter: Reporter = SILENT,
) -> Sweep:
    """Run ``spec`` with thresholds of every rule; its own thresholds are ignored.

    Curves are measured anew where there was no search (``tuning`` None).
    """
    base = _without_thresholds(spec)
    tuning_runs, _ = split_runs(runs)
    curves = tuning.curves if tuning else threshold_curves(base, pieces(tuning_runs, 64), reporter)
    runs = pieces(tuning_runs, _FRAMES)
    n_frames = sum(run.n_frames for run in runs)
    n_networks = 2 + 3 * len(_FACTORS) + len(Memory) * len(_ERRORS)
    with reporter.task("Sweep of thresholds", n_networks * n_frames, "frames") as task:
        bench = TrialBench(graph, base, runs, task)
        refuse_without_joints(bench)
        nothing = picks_without_thresholds(curves, Memory.NONE)
        memoryless = bench.run(with_picks(base, curves, nothing))
        points = [
            _point(rule, parameter, bench.run(candidate))
            for rule, parameter, candidate in (
                *_by_statistics(base, graph, statistics),
                *_by_curves(base, curves, bench.output_energy),
            )
        ]
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


def _point(rule: str, parameter: float, trial: Trial) -> SweepPoint:
    return SweepPoint(
        rule=rule,
        parameter=parameter,
        synops_per_frame=trial.total_operations,
        added_px=trial.added_px,
        displacement_px=trial.ann_px,
        added_error=trial.added_error,
    )


def _without_thresholds(spec: Spec) -> Spec:
    layers = tuple(replace(layer, threshold=0, is_stateful=True) for layer in spec.layers)
    return replace(spec, layers=layers, input_is_stateful=True)


def _by_statistics(
    spec: Spec, graph: Graph, statistics: Statistics
) -> Iterator[tuple[str, float, Spec]]:
    """The rules that follow statistics: all but the layers of the graph keep a threshold of 0."""
    by_name = {layer.name: layer for layer in spec.layers}
    scales = tuple(float(by_name[layer.name].scale.mean()) for layer in graph.layers)
    bits = spec.grid.threshold_bits
    fixed = [steps * spec.grid.threshold_step for steps in _FIXED_STEPS]
    rules: list[ThresholdOptions] = [
        *(ThresholdOptions(ThresholdRule.FIXED, value=v, bits=bits) for v in fixed),
        *(ThresholdOptions(ThresholdRule.PERCENTILE, percent=p, bits=bits) for p in _PERCENTILES),
        *(ThresholdOptions(ThresholdRule.MEAN_DELTA, factor=f, bits=bits) for f in _FACTORS),
    ]
    for options, parameter in zip(rules, (*fixed, *_PERCENTILES, *_FACTORS), strict=True):
        chosen = choose_thresholds(options, statistics, scales)
        thresholds = {x.name: t for x, t in zip(graph.layers, chosen, strict=True)}
        layers = tuple(replace(x, threshold=thresholds.get(x.name, 0)) for x in spec.layers)
        yield options.rule.value, parameter, replace(spec, layers=layers)


def _by_curves(
    spec: Spec, curves: Sequence[LayerCurve], energy: float
) -> Iterator[tuple[str, float, Spec]]:
    for memory, rule in _RATE_DISTORTION.items():
        for error in _ERRORS:
            picks = picks_for_harm(curves, error**2 * energy, memory)
            yield rule, error, with_picks(spec, curves, picks)


def _counted(graph: Graph, runs: Sequence[Frames]) -> CountedAnn:
    """The ANN's multiplications on frames at work."""
    ann = CountedAnn(graph)
    for run in runs:
        for chunk, first_counted in counted_chunks(run):
            ann.run(chunk[first_counted:])
    return ann
