"""evaluation.json: its keys and their meaning.

A missing label, camera or layer gives null. New keys may be added; ``schema`` counts changes that
break readers. A synaptic operation (synop) or MAC is one multiplication by a non-zero weight,
counted at the border-correct fan-out.
"""

from typing import Literal

from pydantic import Field

from ann2sdnn.support.files.json_text import Record


class PoseErrors(Record):
    """Errors against the labels, over unmasked joints."""

    mpjpe_px: float | None = Field(description="2D error in pixels")
    mpjpe_mm: float | None = Field(description="3D error from both front cameras; else null")
    per_joint_px: dict[str, float | None]
    per_joint_mm: dict[str, float | None]
    per_channel_px: dict[str, float | None]


class AnnResult(PoseErrors):
    """The original network."""

    offset_px: dict[str, tuple[float, float] | None] = Field(
        description="median (column, row) of prediction minus label, per channel"
    )
    mpjpe_px_without_offset: float | None = Field(
        description="error left when that offset, taken from the same frames, is subtracted"
    )
    macs_per_frame: float = Field(description="dense")
    nonzero_macs_per_frame: float = Field(description="MACs touching a non-zero activation")
    nonzero_activations_per_frame: float = Field(
        description="non-zero activations sent, input included"
    )
    seconds_per_frame: float = Field(description="wall-clock on this machine, dense, in torch")


class MemorylessResult(PoseErrors):
    """The SDNN with the same thresholds, reset before every frame."""

    events_per_frame: float = Field(description="messages sent, input included")
    input_events_per_frame: float
    synops_per_frame: float
    displacement_px_mean: float | None = Field(description="against the ANN")
    displacement_px_median: float | None
    moved_over_5px: float | None
    heatmap_relative_error: float | None
    seconds_per_frame: float = Field(description="wall-clock on this machine, in the engine")


class SdnnResult(PoseErrors):
    """The sigma-delta network."""

    backend: str
    counts_of: Literal["converted", "lowered"] = Field(
        description="whose messages and operations are counted: lava runs the lowered network,"
        " whose layers count with the layer that they come from"
    )
    events_per_frame: float = Field(description="messages sent, input included")
    input_events_per_frame: float
    synops_per_frame: float
    dense_macs_per_frame: float = Field(
        description="non-zero integer weights only: rounding sets some weights to zero"
    )
    overflows: int = Field(description="neuron states that left their 24 bits, all frames")
    oversized_messages: int = Field(description="messages that do not fit 16 bits, all frames")
    seconds_per_frame: float = Field(description="wall-clock on this machine, simulated")


class Histogram(Record):
    """Joints per bin [edge, next edge); the last bin is open-ended."""

    edges_px: tuple[float, ...]
    counts: tuple[int, ...]


class Comparison(Record):
    """ANN against SDNN over joints whose ANN confidence exceeds 0.3."""

    displacement_px_mean: float | None
    displacement_px_median: float | None
    moved_over_5px: float | None = Field(description="fraction of joints")
    heatmap_relative_error: float | None
    synops_reduction_vs_dense: float | None = Field(description="times fewer operations")
    synops_reduction_vs_nonzero: float | None = Field(description="times fewer operations")
    synops_reduction_vs_memoryless: float | None = Field(description="times fewer operations")
    n_joints: int
    displacement_histogram: Histogram


class LayerResult(Record):
    """One layer of the SDNN. ANN values are null for a layer the conversion added."""

    name: str
    neurons: int = Field(description="values sent on a dense frame, after pooling")
    ann_density: float | None = Field(description="non-zero fraction of activations sent on")
    event_density: float | None = Field(description="messages per neuron and frame")
    events_per_frame: float | None = Field(description="messages this layer sends")
    synops_per_frame: float | None = Field(description="operations done in this layer")
    threshold: float = Field(description="in units of the scaled activation")
    memoryless_events_per_frame: float | None
    memoryless_synops_per_frame: float | None
    macs_per_frame: float | None
    nonzero_macs_per_frame: float | None
    overflows: int | None
    oversized_messages: int | None


class EvaluationResults(Record):
    """The file without the warnings that follow from it."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    split: str
    channels: tuple[int, ...]
    recordings: tuple[str, ...]
    frames: int = Field(description="pictures of single cameras evaluated")
    source_sha256: str
    threads: int = Field(description="torch threads while times were measured")
    ann: AnnResult | None
    sdnn: SdnnResult | None
    memoryless: MemorylessResult | None
    comparison: Comparison | None
    baseline_mean_pose_px: float | None
    baseline_mean_pose_mm: float | None
    baseline_mean_pose_from: Literal["train", "evaluated"] = Field(
        description="whose labels the mean pose is taken from"
    )
    baseline_mean_pose_per_joint_px: dict[str, float | None]
    layers: tuple[LayerResult, ...]


class EvaluationReport(EvaluationResults):
    """The whole file."""

    warnings: tuple[str, ...]


def to_json(report: EvaluationReport) -> str:
    """The file's text."""
    return report.model_dump_json(by_alias=True, indent=2) + "\n"
