"""evaluation.json: its keys and their meaning.

A missing label, camera or layer gives null. New keys may be added; ``schema`` counts changes that
break readers. A synaptic operation (synop) or MAC is one multiplication by a non-zero weight,
counted at the border-correct fan-out.
"""

from typing import Literal

from pydantic import Field

from ann2sdnn.data.sources.frames import GroupName
from ann2sdnn.eval.results.energy import EnergyReport
from ann2sdnn.eval.results.tail import TailReport
from ann2sdnn.support.files.json_text import Record


class PoseErrors(Record):
    """Errors against labelled joints, over unmasked joints."""

    mpjpe_px: float | None = Field(default=None, description="2D error in pixels")
    mpjpe_mm: float | None = Field(
        default=None, description="3D error from both front cameras; else null"
    )
    per_joint_px: dict[str, float | None] = Field(default_factory=dict)
    per_joint_mm: dict[str, float | None] = Field(default_factory=dict)
    per_channel_px: dict[str, float | None] = Field(default_factory=dict)
    per_movement_px: dict[str, float | None] = Field(
        default_factory=dict, description="by session and movement, such as session2_mov1"
    )
    per_movement_mm: dict[str, float | None] = Field(
        default_factory=dict, description="the same in 3D; empty without a front camera"
    )


class TargetErrors(Record):
    """Errors against labels that are a class or values for each frame."""

    accuracy: float | None = Field(
        default=None, description="share of frames in which the largest output is the label's class"
    )
    confusion: tuple[tuple[int, ...], ...] | None = Field(
        default=None,
        description="frames by the label's class (row) and the network's (column); null beyond 64",
    )
    mean_absolute_error: float | None = Field(default=None, description="in the targets' unit")
    per_output_error: tuple[float | None, ...] | None = Field(
        default=None, description="mean absolute error of each output, in the targets' unit"
    )
    error_curve: tuple[float, ...] | None = Field(
        default=None,
        description="the error that 0%, 5%, ... 100% of the frames have at most: mean absolute"
        " error in regress; in output, relative error against the ANN",
    )


class AnnResult(PoseErrors, TargetErrors):
    """The original network."""

    offset_px: dict[str, tuple[float, float] | None] = Field(
        default_factory=dict,
        description="median (column, row) of prediction minus label, per channel",
    )
    mpjpe_px_without_offset: float | None = Field(
        default=None,
        description="error left when that offset, taken from the same frames, is subtracted",
    )
    all_macs_per_frame: float = Field(description="dense: by all weights, those of zero included")
    macs_per_frame: float = Field(description="by the weights that are not zero")
    nonzero_macs_per_frame: float = Field(description="MACs touching a non-zero activation")
    nonzero_activations_per_frame: float = Field(
        description="non-zero activations sent, input included"
    )
    sustained_nonzero_macs_per_frame: float = Field(
        description="the same on all frames but the first of each sequence, for comparison"
    )
    seconds_per_frame: float = Field(description="wall-clock on this machine, dense, in torch")


class Displacement(Record):
    """Difference from the ANN; of joints, over those whose ANN confidence exceeds 0.3."""

    displacement_px_mean: float | None = None
    displacement_px_median: float | None = None
    moved_over_5px: float | None = Field(default=None, description="fraction of joints")
    heatmap_relative_error: float | None = None
    output_relative_error: float | None = Field(
        default=None, description="relative L2 error of all outputs"
    )
    output_relative_error_interval: tuple[float, float] | None = Field(
        default=None, description="95%, by bootstrap over recordings or sequences; null for one"
    )
    output_displacement: float | None = Field(
        default=None, description="mean absolute difference of the outputs, in the targets' unit"
    )
    class_changed: float | None = Field(
        default=None,
        description="share of frames with another largest output, where the ANN has one largest",
    )
    class_changed_interval: tuple[float, float] | None = Field(
        default=None, description="95%, by bootstrap over recordings or sequences; null for one"
    )


class SigmaDeltaErrors(PoseErrors, TargetErrors):
    """Fields of every sigma-delta network.

    Sustained: on all frames but the first of each sequence, in which everything is sent; the only
    frame of a sequence counts.
    """

    displacement_capped_px: float | None = Field(
        default=None,
        description="mean of min(displacement against the ANN, 5 px) over joints",
    )
    displacement_capped_px_interval: tuple[float, float] | None = Field(
        default=None,
        description="95% interval of this mean, by bootstrap over recordings; null for one",
    )
    events_per_frame: float = Field(description="messages sent, input included")
    input_events_per_frame: float
    synops_per_frame: float
    sustained_events_per_frame: float
    sustained_input_events_per_frame: float
    sustained_synops_per_frame: float
    first_frame_synops: float = Field(description="operations in the first frames, on average")


class MemorylessResult(Displacement, SigmaDeltaErrors):
    """The SDNN without memory: every frame is its first."""

    from_point: Literal["memoryless", "lava"] = Field(
        description="whose thresholds it has: its own, for the same budget, or the SDNN's"
    )
    seconds_per_frame: float = Field(description="wall-clock on this machine, in the engine")


class SdnnResult(SigmaDeltaErrors):
    """The sigma-delta network: its operating point for lava."""

    backend: str
    counts_of: Literal["converted", "lowered"] = Field(
        description="whose messages and operations are counted: lava runs the lowered network,"
        " whose layers count with the layer that they come from"
    )
    dense_macs_per_frame: float = Field(
        description="non-zero integer weights only: rounding sets some weights to zero"
    )
    overflows: int = Field(description="neuron states that left their 24 bits, all frames")
    oversized_messages: int = Field(description="messages that do not fit 16 bits, all frames")
    seconds_per_frame: float = Field(description="wall-clock on this machine, simulated")


class MixedResult(Displacement, SdnnResult):
    """The operating point for the engine, with memoryless layers, in the engine."""


class Histogram(Record):
    """Joints per bin [edge, next edge); the last bin is open-ended."""

    edges_px: tuple[float, ...]
    counts: tuple[int, ...]


class Comparison(Displacement):
    """ANN against SDNN.

    ``best``: which of ``sdnn`` and ``mixed`` has the fewest sustained operations; its reductions
    are those of sustained operations.
    """

    synops_reduction_vs_dense: float | None = Field(description="times fewer operations")
    synops_reduction_vs_nonzero: float | None = Field(description="times fewer operations")
    synops_reduction_vs_memoryless: float | None = Field(description="times fewer operations")
    best: Literal["sdnn", "mixed"]
    best_reduction_vs_dense: float | None = Field(description="times fewer operations")
    best_reduction_vs_nonzero: float | None = Field(description="times fewer operations")
    best_reduction_vs_memoryless: float | None = Field(description="times fewer operations")
    n_joints: int = Field(default=0, description="joints whose ANN confidence exceeds 0.3")
    displacement_histogram: Histogram | None = None


class LayerResult(Record):
    """One layer of the SDNN. ANN values are null for a layer the conversion added."""

    name: str
    neurons: int = Field(description="values sent on a dense frame, after pooling")
    pixels: int | None = Field(
        default=None, description="of a channel, before pooling; null in older files"
    )
    ann_density: float | None = Field(description="non-zero fraction of activations sent on")
    event_density: float | None = Field(description="messages per neuron and frame")
    events_per_frame: float | None = Field(description="messages this layer sends")
    synops_per_frame: float | None = Field(description="operations done in this layer")
    threshold: float = Field(description="in units of the scaled activation")
    memoryless_events_per_frame: float | None
    memoryless_synops_per_frame: float | None
    mixed_events_per_frame: float | None
    mixed_synops_per_frame: float | None
    all_macs_per_frame: float | None
    macs_per_frame: float | None
    nonzero_macs_per_frame: float | None
    overflows: int | None
    oversized_messages: int | None


class EvaluationResults(Record):
    """The file without the warnings that follow from it."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    task: str = Field(default="pose", description="how outputs are scored")
    class_names: tuple[str, ...] = Field(
        default=(), description="of the classes of the labels by number, where the data names them"
    )
    split: str
    channels: tuple[int, ...] = Field(default=(), description="cameras, of recordings with poses")
    group_name: GroupName = Field(default="recording", description="what ``recordings`` are")
    recordings: tuple[str, ...]
    frames: int = Field(description="pictures of single cameras evaluated")
    frames_sha256: str | None = Field(
        default=None, description="of all frames, in order; null in older files"
    )
    source_sha256: str
    threads: int = Field(description="torch threads while times were measured")
    ann: AnnResult | None
    sdnn: SdnnResult | None
    memoryless: MemorylessResult | None
    mixed: MixedResult | None
    comparison: Comparison | None
    accuracy: float | None = Field(default=None, description="of the SDNN")
    class_changed: float | None = Field(default=None, description="of the SDNN against the ANN")
    output_relative_error: float | None = Field(
        default=None, description="of the SDNN against the ANN"
    )
    baseline_mean_pose_px: float | None = None
    baseline_mean_pose_mm: float | None = None
    baseline_mean_pose_from: Literal["train", "evaluated"] | None = Field(
        default=None, description="whose labels the mean pose is taken from"
    )
    baseline_mean_pose_per_joint_px: dict[str, float | None] = Field(default_factory=dict)
    tail: TailReport | None = Field(
        default=None, description="outputs of the file; null for a single one that nothing follows"
    )
    energy: EnergyReport | None = Field(
        default=None, description="per frame, an estimate; null in older files"
    )
    layers: tuple[LayerResult, ...]


class EvaluationReport(EvaluationResults):
    """The whole file."""

    warnings: tuple[str, ...]


def to_json(report: EvaluationReport) -> str:
    """The file's text."""
    return report.model_dump_json(by_alias=True, indent=2) + "\n"
