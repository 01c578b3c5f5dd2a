"""The conversion report: data first, as JSON; tables are made elsewhere."""

from pathlib import Path

import pydantic

from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.lowering import LoweringRefusal, LoweringReport
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.json_text import read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import write_text

SCHEMA = 1


class RelayReport(pydantic.BaseModel):
    """A relay and what it costs: neurons, messages and operations, and one time step of latency."""

    name: str
    before: str
    neurons: int
    events_per_frame: float
    synops_per_frame: float


class DistilReport(pydantic.BaseModel):
    """Relative output errors on held-out frames, or on those learned from where none were held
    out.
    """

    steps: int
    held_out_error_before: float
    held_out_error_after: float


class Alternative(pydantic.BaseModel):
    """``options`` of `convert` and the output's relative error foreseen with them, rounding to the
    nearest, at the same headroom.
    """

    options: str
    foreseen_error_nearest: float


class PlanReport(pydantic.BaseModel):
    """The range plan and the rounding. Errors are relative L2 errors of the output.

    ``foreseen_error_nearest``: with rounding to the nearest; ``foreseen_error``: with the rounding
    that was done, before distillation; ``foreseen_error_by_relays``: to the nearest, without
    relays, with the first, ... ``held_out_range_used``: largest share of a range that frames kept
    apart use (of all frames where none are kept apart). ``latency_steps``: time steps from a
    frame to its answer. ``alternatives``: other plans, where this one is foreseen to err much.
    """

    shifts: str
    rounding: str
    headroom: float
    headroom_asked: float
    held_out_frames: int
    held_out_range_used: float
    foreseen_error_nearest: float
    foreseen_error: float
    foreseen_error_by_relays: list[float]
    relays: list[RelayReport]
    relay_neurons: int
    relay_events_per_frame: float
    latency_steps: int
    distillation: DistilReport | None
    alternatives: list[Alternative] = []
    checked_frames: int | None = None


class Tuned(pydantic.BaseModel):
    """A choice of thresholds and what it did, a frame at work (without the first of a run).

    ``displacement_px``: against the ANN; ``added_px``: against thresholds of 0; ``added_error``:
    relative error of the heat maps against thresholds of 0.
    """

    memoryless_layers: list[str]
    synops_per_frame: float
    synops_per_frame_predicted: float
    displacement_px: float
    added_px: float
    added_error: float
    added_error_predicted: float | None


class ThresholdBudget(pydantic.BaseModel):
    """Thresholds by rate and distortion. ``bounds``: "ann" when the budget bounds the displacement
    against the ANN, "added" when rounding alone (``rounding_px``) exceeds it and the budget bounds
    what thresholds add. ``held_out_``: on recordings that were kept apart; displacements are null
    where the ANN is confident of no joint in them. ``unmeasured_layers``: their thresholds are 0
    because what more would do to the output was not measured.
    """

    budget_px: float
    bounds: str
    memory: str
    frames: int
    rounding_px: float
    synops_per_frame_without: float
    remembering: Tuned
    mixed: Tuned
    held_out_frames: int
    held_out_rounding_px: float | None
    held_out_px: float | None
    held_out_added_px: float | None
    held_out_synops_per_frame: float | None
    unmeasured_layers: list[str] = []


class Fidelity(pydantic.BaseModel):
    """SDNN against ANN, over joints whose ANN confidence exceeds 0.3; ``same_class`` (of a network
    whose output has one pixel): fraction of frames whose largest channel is the same.
    ``foreseen_relative_error``: of rounding and of thresholds, as ``heatmap_relative_error``; None
    where thresholds were chosen by a rule that foresees nothing.
    """

    displacement_px_mean: float | None
    displacement_px_median: float | None
    moved_over_5px: float | None
    heatmap_relative_error: float | None
    same_class: float | None = None
    foreseen_relative_error: float | None = None


class TrainedLayer(pydantic.BaseModel):
    """``weights_changed``: fraction of the integer weights; thresholds in units of what is sent."""

    name: str
    threshold_before: float
    threshold: float
    weights_changed: float


class FineTuning(pydantic.BaseModel):
    """What `train-sdnn` did to the conversion whose spec has ``source_spec_sha256``.

    ``validation_``: on whole pictures of the test side, operations without each run's first frame.
    ``overflows``, ``oversized``: states and messages that left their bits on ``verified_frames``
    training frames.
    """

    source_spec_sha256: str
    options: dict[str, object]
    steps: int
    validation_mpjpe_px_before: float | None
    validation_mpjpe_px: float | None
    validation_synops_per_frame_before: float
    validation_synops_per_frame: float
    verified_frames: int
    overflows: int
    oversized: int
    layers: list[TrainedLayer]


class ConversionReport(pydantic.BaseModel):
    """report.json of a conversion's folder.

    ``pose_network``: whether `train-ann` can train it; null in older files.
    """

    schema_version: int = pydantic.Field(default=SCHEMA, alias="schema")
    source_sha256: str
    input_scale: float
    input_gain: int
    output_scale: float
    spike_exp: int
    headroom: float = pydantic.Field(gt=0)
    thresholds: str
    calibration_frames: int
    calibration_runs: int
    calibration_recordings: list[str]
    seconds: dict[str, float]
    layers: list[LayerReport] = pydantic.Field(min_length=1)
    fidelity: Fidelity
    warnings: list[str]
    threshold_budget: ThresholdBudget | None = None
    plan: PlanReport | None = None
    fine_tuning: FineTuning | None = None
    probed_frames: int | None = None
    lowering: LoweringReport | LoweringRefusal | None = None
    pose_network: bool | None = None

    model_config = pydantic.ConfigDict(populate_by_name=True)


def write_report(path: Path, report: ConversionReport) -> None:
    """Write report.json in one step."""
    write_text(path, report.model_dump_json(by_alias=True, indent=2) + "\n")


def read_report(path: Path) -> ConversionReport:
    """Read report.json; ModelError when it is missing or of another form."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist; name a folder that `ann2sdnn convert` wrote")
    refuse_lfs_pointer(path, ModelError)
    try:
        return read_model(path, ConversionReport, schema=SCHEMA)
    except ValueError as error:
        raise ModelError(
            f"{path} is no conversion report of this version ({error}); convert again"
        ) from error
