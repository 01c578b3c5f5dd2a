"""diagnosis.json: what was measured in a network over its first optimisation steps.

Sizes are in the network's own units. Losses are mean squared errors over pixels, joints and time;
of several outputs the mean of their squared errors over the squares of their targets.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ann2sdnn.sdnn.diagnosis.subjects.subject import Settings, StageKind
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.json_text import read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import write_text

SCHEMA = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LayerStart(_Model):
    """A layer before training."""

    name: str
    kind: StageKind
    neurons: int = Field(description="per sequence and time step")
    weights: int = Field(description="0 where nothing is trained")
    level_fractions: dict[int, float] = Field(
        description="share of the weights at each level of lava's grid, in units of 1/64"
    )
    asked_threshold: float = Field(description="in the settings")
    threshold: float = Field(description="in force")
    exported_threshold: float = Field(description="on a chip: a multiple of 1/64")
    pool_gain: float | None = Field(description="response of a pool to ones; null elsewhere")

    @property
    def levels_used(self) -> int:
        """Number of levels of lava's grid that weights have."""
        return len(self.level_fractions)


class LayerActivity(_Model):
    """What a layer did with one batch."""

    events: int = Field(description="messages that are not zero, over batch and time")
    density: float = Field(description="events per neuron, sequence and frame")
    threshold: float = Field(description="in force")
    dead_channels: float = Field(description="share of the channels that sent nothing")
    preactivation_rms: float = Field(description="root mean square")
    activation_max: float
    activation_p99: float | None = Field(description="99th percentile of those above 0, if any")
    below_threshold: float | None = Field(description="share of those above 0, if any")


class LayerStep(LayerActivity):
    """A layer in one optimisation step."""

    gradient_norm: float | None = Field(description="of the weight; null where none is trained")
    experiment_gradient: float | None = Field(description="lava-dl's grad_norm, as in dhp19_sdnn")
    weight_change: float | None = Field(description="norm of this step's change over the norm")


class Step(_Model):
    """One optimisation step, measured before its weights change (``weight_change``: after)."""

    index: int = Field(description="1 is the first")
    loss: float = Field(description="error + event penalty")
    error: float = Field(description="of the output against the target")
    event_penalty: float
    silence_error: float = Field(description="of an output of zero, on this batch")
    mean_target_error: float = Field(description="of the best output that ignores the frames")
    input_events: int
    output_peak: float = Field(description="largest value compared with the target")
    layers: tuple[LayerStep, ...]
    outputs: tuple[int, ...] = Field(
        (-1,),
        min_length=1,
        description="numbers of the output layers, from 0; the last one in older files",
    )

    @property
    def output_events(self) -> int:
        """Messages of all outputs."""
        return sum(self.layers[number].events for number in self.outputs)

    @property
    def silent(self) -> bool:
        """Whether no output sent anything."""
        return self.output_events == 0


class ReadoutProbe(_Model):
    """What the loss is given when the last layer is shown a constant picture."""

    first: float = Field(description="mean size at the first frame")
    later: float = Field(description="mean size at the later frames, where the target stays")
    frames: int
    sum_later: float = Field(description="mean size of the running sum at the later frames")


class Finding(_Model):
    """Something that keeps the network from learning, with the numbers that show it."""

    name: str
    sentence: str
    remedy: str
    evidence: dict[str, float]


class Measurements(_Model):
    """Everything that is measured."""

    schema_version: int = SCHEMA
    network: str
    repairs: tuple[str, ...]
    settings: Settings
    batch: int
    sequences_at_once: int | None = Field(
        None, description="sequences of a batch that run at once; null in older files"
    )
    frames: int = Field(description="per sequence")
    height: int
    width: int
    target_peak: float = Field(
        1.0, description="largest target of the first batch; 1 in older files"
    )
    clipped_inputs: float = Field(description="share of the non-zero pixels above the range")
    readout: ReadoutProbe | None = Field(description="null where layers send activations")
    layers: tuple[LayerStart, ...]
    steps: tuple[Step, ...]

    @property
    def is_conversion(self) -> bool:
        """Whether the network is a conversion; otherwise it is a preset."""
        return "spec" in self.settings


class Diagnosis(Measurements):
    """All of diagnosis.json."""

    findings: tuple[Finding, ...] = ()


def write_diagnosis(path: Path, diagnosis: Diagnosis) -> None:
    """Write diagnosis.json atomically."""
    write_text(path, diagnosis.model_dump_json(indent=1) + "\n")


def read_diagnosis(path: Path) -> Diagnosis:
    """Read diagnosis.json; raises DataError where it is missing or damaged."""
    refuse_lfs_pointer(path, DataError)
    try:
        return read_model(path, Diagnosis, schema=SCHEMA, key="schema_version")
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read as a diagnosis ({error}); run diagnose again"
        ) from error
