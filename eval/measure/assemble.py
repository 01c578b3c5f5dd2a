"""From what was measured to the values of evaluation.json."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.sources.dhp19 import FrameRun
from ann2sdnn.eval.measure.layers import layer_results
from ann2sdnn.eval.measure.mean_pose import Source
from ann2sdnn.eval.measure.networks import CountedSdnn
from ann2sdnn.eval.measure.scores import PoseScore
from ann2sdnn.eval.results.findings import findings
from ann2sdnn.eval.results.schema import (
    AnnResult,
    Comparison,
    EvaluationReport,
    Histogram,
    MemorylessResult,
    SdnnResult,
)
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.sdnn.spec.spec import Spec

HISTOGRAM_EDGES_PX = tuple(float(edge) for edge in range(21))


@dataclass(frozen=True, eq=False)
class Measured:
    """Counts and accumulators after all frames; None or absent for networks that did not run.

    ``scores`` has "mean_pose" and every network, ``comparisons`` "sdnn" and "memoryless".
    """

    runs: tuple[FrameRun, ...]
    ann: CountedAnn | None
    sdnn: CountedSdnn | None
    memoryless: CountedSdnn | None
    scores: Mapping[str, PoseScore]
    comparisons: Mapping[str, HeatmapComparison]
    mean_pose_source: Source


def assemble(spec: Spec, measured: Measured, *, split: str, backend: str) -> EvaluationReport:
    """The file's values."""
    baseline = measured.scores["mean_pose"].errors()
    ann, sdnn = _ann(measured), _sdnn(measured, backend)
    memoryless = _memoryless(measured)
    comparison = _comparison(measured, ann, sdnn, memoryless)
    names = dict.fromkeys(run.recording.name.stem for run in measured.runs)
    return EvaluationReport(
        split=split,
        channels=tuple(dict.fromkeys(run.channel for run in measured.runs)),
        recordings=tuple(names),
        frames=sum(run.n_frames for run in measured.runs),
        source_sha256=spec.source_sha256,
        threads=torch.get_num_threads(),
        ann=ann,
        sdnn=sdnn,
        memoryless=memoryless,
        comparison=comparison,
        baseline_mean_pose_px=baseline.mpjpe_px,
        baseline_mean_pose_mm=baseline.mpjpe_mm,
        baseline_mean_pose_from=measured.mean_pose_source,
        baseline_mean_pose_per_joint_px=baseline.per_joint_px,
        layers=layer_results(spec, measured.ann, measured.sdnn, measured.memoryless),
        warnings=findings(ann, sdnn, memoryless, comparison, baseline.mpjpe_px),
    )


def _ann(measured: Measured) -> AnnResult | None:
    ann = measured.ann
    if ann is None:
        return None
    score = measured.scores["ann"]
    picture = score.in_picture()
    return AnnResult(
        **score.errors().model_dump(),
        offset_px={str(channel): offset for channel, offset in picture.offset_px.items()},
        mpjpe_px_without_offset=picture.mpjpe_px_without_offset,
        macs_per_frame=float(ann.macs.sum()),
        nonzero_macs_per_frame=float(ann.nonzero_macs.sum() / ann.n_frames),
        nonzero_activations_per_frame=float(ann.activations.sum() / ann.n_frames),
        seconds_per_frame=ann.seconds / ann.n_frames,
    )


def _sdnn(measured: Measured, backend: str) -> SdnnResult | None:
    sdnn = measured.sdnn
    if sdnn is None:
        return None
    return SdnnResult(
        **measured.scores["sdnn"].errors().model_dump(),
        backend=backend,
        counts_of=sdnn.counts_of,
        events_per_frame=float(sdnn.events.sum() / sdnn.n_frames),
        input_events_per_frame=float(sdnn.events[0] / sdnn.n_frames),
        synops_per_frame=float(sdnn.synops.sum() / sdnn.n_frames),
        dense_macs_per_frame=float(sdnn.dense_macs),
        overflows=int(sdnn.overflows.sum()),
        oversized_messages=int(sdnn.oversized.sum()),
        seconds_per_frame=sdnn.seconds / sdnn.n_frames,
    )


def _memoryless(measured: Measured) -> MemorylessResult | None:
    memoryless = measured.memoryless
    if memoryless is None:
        return None
    comparison = measured.comparisons.get("memoryless", HeatmapComparison())
    difference = comparison.result()
    return MemorylessResult(
        **measured.scores["memoryless"].errors().model_dump(),
        events_per_frame=float(memoryless.events.sum() / memoryless.n_frames),
        input_events_per_frame=float(memoryless.events[0] / memoryless.n_frames),
        synops_per_frame=float(memoryless.synops.sum() / memoryless.n_frames),
        displacement_px_mean=difference.displacement_px_mean,
        displacement_px_median=difference.displacement_px_median,
        moved_over_5px=difference.moved_over_5px,
        heatmap_relative_error=difference.heatmap_relative_error,
        seconds_per_frame=memoryless.seconds / memoryless.n_frames,
    )


def _comparison(
    measured: Measured,
    ann: AnnResult | None,
    sdnn: SdnnResult | None,
    memoryless: MemorylessResult | None,
) -> Comparison | None:
    if ann is None or sdnn is None or memoryless is None:
        return None
    maps = measured.comparisons["sdnn"]
    difference = maps.result()
    counts = maps.displacement_counts(HISTOGRAM_EDGES_PX)
    return Comparison(
        displacement_px_mean=difference.displacement_px_mean,
        displacement_px_median=difference.displacement_px_median,
        moved_over_5px=difference.moved_over_5px,
        heatmap_relative_error=difference.heatmap_relative_error,
        synops_reduction_vs_dense=_ratio(ann.macs_per_frame, sdnn.synops_per_frame),
        synops_reduction_vs_nonzero=_ratio(ann.nonzero_macs_per_frame, sdnn.synops_per_frame),
        synops_reduction_vs_memoryless=_ratio(memoryless.synops_per_frame, sdnn.synops_per_frame),
        n_joints=difference.n_joints,
        displacement_histogram=Histogram(edges_px=HISTOGRAM_EDGES_PX, counts=counts),
    )


def _ratio(reference: float, synops: float) -> float | None:
    return reference / synops if synops > 0 else None
