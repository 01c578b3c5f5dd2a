"""The conversion report: its values, and report.json."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from ann2sdnn.calibration.thresholds.curves import Memory
from ann2sdnn.calibration.thresholds.rules import RULES
from ann2sdnn.calibration.thresholds.units import UNITS, Unit, UnitForm
from ann2sdnn.convert.options import Rounding, Shifts
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.loihi import LoihiReport
from ann2sdnn.convert.report.lowering import LoweringRefusal, LoweringReport
from ann2sdnn.convert.report.preprocessing import PreprocessingReport
from ann2sdnn.data.sources.frames import GroupName
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.json_text import Record, read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import write_text

SCHEMA = 1

TRAINED = "trained"  # `thresholds` of a network that `train-sdnn` trained
RoundingDone = Rounding | Literal["none, the weights are on the grid already"]


def _known_rule(name: str) -> str:
    if name not in RULES and name != TRAINED:
        raise ValueError(f"there is no threshold rule {name}")
    return name


class RelayReport(Record):
    """A relay and its cost: neurons, messages and operations. ``before``: the layers that read it,
    joined by "and".
    """

    name: str
    before: str
    neurons: int
    events_per_frame: float
    synops_per_frame: float


class DistilReport(Record):
    """Relative output errors on held-out frames, or on the training frames without any."""

    steps: int
    held_out_error_before: float
    held_out_error_after: float


class Alternative(Record):
    """``options`` of `convert` and the relative output error predicted with them, for rounding to
    the nearest at the same headroom.
    """

    options: str
    foreseen_error_nearest: float


class PlanReport(Record):
    """The range plan and the rounding. Errors are relative L2 errors of the output.

    ``foreseen_error_nearest``: predicted with rounding to the nearest; ``foreseen_error``: with the
    rounding that was done, before distillation; ``foreseen_error_by_relays``: to the nearest,
    without relays, with the first, ... ``held_out_range_used``: largest share of a range used on
    the ``checked_frames``, held-out frames where there are any. ``latency_steps``: time steps from
    a frame to its output; ``relay_steps``: those of them that relays add. ``alternatives``: better
    plans, where the error of this one is large.
    """

    shifts: Shifts
    rounding: RoundingDone
    headroom: float
    headroom_asked: float
    held_out_frames: int
    held_out_range_used: float
    checked_frames: int
    foreseen_error_nearest: float
    foreseen_error: float
    foreseen_error_by_relays: list[float]
    relays: list[RelayReport]
    relay_neurons: int
    relay_events_per_frame: float
    latency_steps: int
    relay_steps: int | None = None
    distillation: DistilReport | None
    alternatives: list[Alternative]


class Measured(Record):
    """A deviation in the unit of the budget.

    ``value``: mean of min(distance, 5 px) over joints, share of frames whose class changes as
    estimated from margins, or relative L2 error of the output; ``interval``: 95%, by resampling
    recordings; ``mean_px``: plain mean distance; ``moved_over_5px``: share of joints;
    ``class_changed``: share of frames, counted.
    """

    value: float
    interval: tuple[float, float] | None
    mean_px: float | None
    moved_over_5px: float | None
    class_changed: float | None = None


class Tuned(Record):
    """A choice of thresholds, measured per frame without each run's first frame.

    ``input_threshold``: in counts for uint8 frames, else in values; the input's messages cause
    ``input_synops_per_frame``. ``displacement_px``: against the ANN; ``added_px``: against
    thresholds of 0 (plain means);
    ``added_error``: relative error of the output against thresholds of 0. ``added``, ``to_ann``:
    the same in the budget's unit; ``held_out_``: on held-out recordings.
    """

    memoryless_layers: list[str]
    synops_per_frame: float
    synops_per_frame_predicted: float
    displacement_px: float | None
    added_px: float | None
    added_error: float
    added_error_predicted: float | None
    added: Measured | None = None
    to_ann: Measured | None = None
    held_out_added: Measured | None = None
    held_out_synops_per_frame: float | None = None
    input_threshold: float = 0.0
    input_events_per_frame: float | None = None
    input_synops_per_frame: float | None = None
    input_share_of_error: float | None = None


class TrialPoint(Record):
    """One run of the search. ``memory``: which layers were stateful. ``added``: in the budget's
    unit; ``used``: share of the budget, up to 1 keeps it.
    """

    memory: Memory
    synops_per_frame: float
    added: float
    used: float
    added_px: float | None


class ThresholdBudget(Record):
    """Thresholds by rate and distortion.

    ``unit``: of the budget, which bounds what thresholds add (``bounds`` "added"; reports of
    earlier versions: "ann" where it bounds the displacement against the ANN). ``rounding``: the
    network without thresholds against the ANN. ``remembering``: the best choice with stateful
    layers only, lava's operating point; ``mixed``: the best of all, the engine's where
    ``engine_has_its_own``; ``memoryless``: the best without any stateful layer. ``held_out_``: of
    ``remembering`` on held-out recordings; displacements are null where the ANN is confident of no
    joint in them. ``unmeasured_layers``: their thresholds are 0 because the effect of larger ones
    is unknown. ``trials``: all runs of the search. ``message_cost``: operations that a message was
    worth.
    """

    unit: Unit = "px"
    budget_px: float | None
    budget_error: float | None = None
    budget_class: float | None = None
    bounds: Literal["ann", "added"]
    memory: Literal["all", "mixed"]
    frames: int
    rounding_px: float | None
    rounding: Measured | None = None
    synops_per_frame_without: float
    remembering: Tuned
    mixed: Tuned
    memoryless: Tuned | None = None
    engine_has_its_own: bool = False
    held_out_frames: int
    held_out_rounding: Measured | None = None
    held_out_rounding_px: float | None
    held_out_px: float | None
    held_out_added_px: float | None
    held_out_synops_per_frame: float | None
    unmeasured_layers: list[str]
    trials: tuple[TrialPoint, ...] = ()
    message_cost: float = 0.0

    @property
    def limit(self) -> float | None:
        """The budget in ``unit``."""
        limits = {"px": self.budget_px, "class": self.budget_class, "error": self.budget_error}
        return limits[self.unit]

    @property
    def form(self) -> UnitForm:
        """How amounts in ``unit`` are written."""
        return UNITS[self.unit]


class Fidelity(Record):
    """SDNN against ANN, over joints whose ANN confidence exceeds 0.3.

    ``same_class`` (of a network whose output has one pixel): fraction of frames whose largest
    channel is the same. ``foreseen_relative_error``: the ``heatmap_relative_error`` predicted for
    rounding and thresholds; None where the threshold rule predicts nothing.
    """

    displacement_px_mean: float | None
    displacement_px_median: float | None
    moved_over_5px: float | None
    heatmap_relative_error: float | None
    same_class: float | None
    foreseen_relative_error: float | None


class Work(Record):
    """Operations per frame on all calibration frames but the first of each run, in which the SDNN
    sends everything: ``first_frame_synops`` operations.

    ``all_macs_per_frame``: of the dense ANN; ``macs_per_frame``: of its weights that are not zero;
    ``nonzero_macs_per_frame``: of the ANN that skips zeros;
    ``synops_per_frame``: of the SDNN, lava's operating point. ``changed_pixels_per_frame``: pixels
    that differ from the frame before; ``nonzero_pixels_per_frame``: of all frames.
    """

    all_macs_per_frame: float
    macs_per_frame: float
    nonzero_macs_per_frame: float
    synops_per_frame: float
    first_frame_synops: float
    nonzero_pixels_per_frame: float
    changed_pixels_per_frame: float


class TrainedLayer(Record):
    """``weights_changed``: fraction of the integer weights; thresholds in units of what is sent."""

    name: str
    threshold_before: float
    threshold: float
    weights_changed: float


class FineTuning(Record):
    """Training by `train-sdnn`, from the conversion whose spec has ``source_spec_sha256``.

    ``validation_``: on whole frames of the validation side, operations without first frames.
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


class Results(Record):
    """The conversion report without the warnings that follow from it.

    ``work`` and ``loihi``: None in reports of earlier versions, whose ``versions`` (of Python, of
    this program and of packages) are empty. ``group_name``: what ``calibration_recordings`` are.
    ``thresholds``: name of a registered rule, or ``TRAINED``.
    ``pose_network``: whether `train-ann` can train the network.
    """

    schema_version: int = pydantic.Field(default=SCHEMA, alias="schema")
    source_sha256: str
    input_scale: float
    # A whole number for uint8 frames, which JSON keeps as such.
    input_gain: int | float
    output_scale: float
    spike_exp: int
    headroom: float = pydantic.Field(gt=0)
    thresholds: Annotated[str, pydantic.AfterValidator(_known_rule)]
    calibration_frames: int
    calibration_runs: int
    calibration_recordings: list[str]
    group_name: GroupName = "recording"
    seconds: dict[str, float]
    layers: list[LayerReport] = pydantic.Field(min_length=1)
    fidelity: Fidelity
    threshold_budget: ThresholdBudget | None
    plan: PlanReport
    fine_tuning: FineTuning | None
    probed_frames: int
    work: Work | None = None
    lowering: LoweringReport | LoweringRefusal | None
    loihi: LoihiReport | None = None
    pose_network: bool
    preprocessing: PreprocessingReport | None = None
    versions: dict[str, str] = pydantic.Field(default_factory=dict)

    @pydantic.model_serializer(mode="wrap")
    def _without_nothing(self, written: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Plain uint8 frames have no record, as in files of earlier versions."""
        values: dict[str, Any] = written(self)
        if values["preprocessing"] is None:
            del values["preprocessing"]
        return values

    @property
    def headroom_bits(self) -> float:
        """Bits that the headroom keeps free in layers that are full."""
        return math.log2(self.headroom)

    @property
    def message_unit(self) -> float:
        """A message of 1, in units of the scaled activation."""
        return 2.0 ** -(6 + self.spike_exp)


class ConversionReport(Results):
    """report.json of a conversion's folder."""

    warnings: list[str]


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
