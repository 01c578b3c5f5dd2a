"""diagnosis.json: what was measured in a network over its first optimisation steps.

Sizes are in the network's own units, losses are mean squared errors over pixels, joints and time.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.json_text import read_model
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import write_text

SCHEMA = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LayerStart(_Model):
    """A layer before anything was learned."""

    name: str
    kind: str
    neurons: int = Field(description="of one sequence and time step")
    weights: int = Field(description="0 where there is nothing to train")
    level_fractions: dict[int, float] = Field(
        description="share of the weights at each level of lava's grid, in units of 1/64"
    )
    asked_threshold: float = Field(description="what the settings ask for")
    threshold: float = Field(description="what the neuron compares with")
    exported_threshold: float = Field(description="what a chip would get: a multiple of 1/64")
    pool_gain: float | None = Field(
        description="answer of a pool to a constant picture of ones; null for other layers"
    )

    @property
    def levels_used(self) -> int:
        """Levels of lava's grid that at least one weight stands on."""
        return len(self.level_fractions)


class LayerStep(_Model):
    """A layer in one optimisation step."""

    events: int = Field(description="messages that are not zero, over batch and time")
    density: float = Field(description="events over neurons, batch and time")
    threshold: float = Field(description="in force")
    dead_channels: float = Field(description="share of channels that sent nothing at all")
    preactivation_rms: float
    activation_max: float
    activation_p99: float | None = Field(
        description="99th percentile of the activations above 0; null where there are none"
    )
    below_threshold: float | None = Field(
        description="share of the activations above 0 that are below the threshold; null where"
        " there are none"
    )
    gradient_norm: float | None = Field(description="of the weight; null where none is trained")
    experiment_gradient: float | None = Field(
        description="lava-dl's grad_norm, as the dhp19_sdnn experiment plotted it"
    )
    weight_change: float | None = Field(
        description="size of what the step did to the weight over the weight's size"
    )


class Step(_Model):
    """One optimisation step, seen before its weights change (``weight_change``: after)."""

    index: int = Field(description="1 is the first")
    loss: float = Field(description="what is minimised: error + event penalty")
    error: float = Field(description="of the output against the target")
    event_penalty: float
    silence_error: float = Field(description="of an output of zero, on this batch")
    mean_target_error: float = Field(
        description="of the mean target of all sequences, the best answer that sees no picture"
    )
    input_events: int
    output_peak: float = Field(description="largest value that was compared with the target")
    layers: tuple[LayerStep, ...]

    @property
    def silent(self) -> bool:
        """Whether the last layer sent nothing."""
        return self.layers[-1].events == 0


class ReadoutProbe(_Model):
    """What the loss is given when the last layer is driven by a picture that stands still."""

    first: float = Field(description="mean size at the first frame")
    later: float = Field(description="mean size at the later frames; the target's stays")
    frames: int
    sum_later: float = Field(description="mean size of the running sum at the later frames")


class Finding(_Model):
    """Something that keeps the network from learning, with the numbers that show it."""

    name: str
    sentence: str
    remedy: str
    evidence: dict[str, float]


class Diagnosis(_Model):
    """All of diagnosis.json."""

    schema_version: int = SCHEMA
    network: str
    repairs: tuple[str, ...]
    settings: dict[str, float | int | str | bool | None]
    batch: int
    sequences_at_once: int | None = Field(
        None, description="of a batch, for want of memory; null in older files"
    )
    frames: int = Field(description="of a sequence")
    height: int
    width: int
    clipped_inputs: float = Field(
        description="share of the non-zero pixels that the input's number format cuts off"
    )
    readout: ReadoutProbe | None = Field(description="null where layers send activations")
    layers: tuple[LayerStart, ...]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...] = ()


def write_diagnosis(path: Path, diagnosis: Diagnosis) -> None:
    """Write diagnosis.json in one step."""
    write_text(path, diagnosis.model_dump_json(indent=1) + "\n")


def read_diagnosis(path: Path) -> Diagnosis:
    """Read diagnosis.json; DataError where it is missing or damaged."""
    refuse_lfs_pointer(path, DataError)
    try:
        return read_model(path, Diagnosis, schema=SCHEMA, key="schema_version")
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read as a diagnosis ({error}); run diagnose again"
        ) from error
