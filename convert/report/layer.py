"""The conversion report's record of one layer.

States, activations and thresholds are in units of the scaled activation, unless the name ends in
``_ann``: then they are in the original network's units. A value is None where it was not measured
or cannot be predicted.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated

import pydantic

from ann2sdnn.calibration.scales.plan import Limit, Limits
from ann2sdnn.graph.kinds import kind_named
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.json_text import Record

WEIGHT_BITS, MESSAGE_BITS, STATE_BITS = 8, 16, 24
RELAYED_WEIGHT_BITS = WEIGHT_BITS + 5  # of a layer that reads a relay's two copies

RELAY = "relay"  # `op` of a relay


def _limits(value: object) -> object:
    return tuple(map(Limit, value.split(", "))) if isinstance(value, str) else value


def _limits_text(limits: Limits) -> str:
    return ", ".join(limit.value for limit in limits)


LimitsText = Annotated[
    Limits, pydantic.BeforeValidator(_limits), pydantic.PlainSerializer(_limits_text)
]


def _known_operation(name: str) -> str:
    if name != RELAY:
        try:
            kind_named(name)
        except ModelError as error:
            raise ValueError(str(error)) from error
    return name


class HalfOctaves(Record):
    """A histogram of magnitudes in units of the grid, two bins per octave: ``counts`` of [1, 1.5),
    [1.5, 2), [2, 3), [3, 4), [4, 6), ... Of ``total`` values ``below`` are smaller than one unit
    and not zero; values that are not counted are zero.
    """

    counts: list[int]
    below: int
    total: int

    @property
    def nonzero(self) -> float:
        """Fraction of the values that are not zero."""
        return (sum(self.counts) + self.below) / self.total if self.total else 0.0


class Distributions(Record):
    """Values of a layer's neurons: those of the float network, put on the grid.

    ``positive``, ``negative``: pre-activations, in units of the state. ``activations``, and their
    ``changes`` from one frame to the next, in units of a message.
    """

    positive: HalfOctaves
    negative: HalfOctaves
    activations: HalfOctaves
    changes: HalfOctaves


class StateBound(Record):
    """Channels whose scale the state limits, so that their messages leave bits unused.

    ``channel``: the channel that leaves most, ``wasted_bits``; its largest pre-activation, or state
    (the pre-activation without its bias) where that is larger, with its sign, and its activation
    are in the original network's units.
    """

    channels: int
    channel: int
    preactivation_ann: float
    activation_ann: float
    wasted_bits: float


class RoundedPart(Record):
    """Range and rounding of a layer of the graph; all None for a relay.

    ``state_min``: of the weighted sums of the inputs, without the bias. ``weight_bits``: used by
    the largest weight, its sign included. ``rounding_left``: share of the error of rounding to the
    nearest that remains. ``foreseen_weight_error``, ``foreseen_message_error``: predicted relative
    L2 error of the output caused by the layer's weights and messages. ``silent_channels``: those
    without a message on any calibration frame.
    """

    weight_bits: float | None
    weight_snr_db: float | None
    state_min: float | None
    widest_channel: int | None
    widest_preactivation_ann: float | None
    rounding_left: float | None
    foreseen_weight_error: float | None
    foreseen_message_error: float | None
    silent_channels: int | None
    state_bound: StateBound | None


class BudgetPart(Record):
    """Thresholds for a budget: messages and operations of frames without each run's first.

    ``remembers``: the layer is stateful. ``share_of_error``: of the error that all thresholds
    cause; ``share_of_synops``: of the operations caused by all messages, here by this layer's.
    ``foreseen_threshold_error``: predicted relative L2 error of the output caused by the threshold.
    ``engine_``: of the engine's own operating point, None where it has none.
    """

    remembers: bool
    events_per_frame_working: float | None
    events_per_frame_working_predicted: float | None
    sent_synops_per_frame: float | None
    share_of_synops: float | None
    share_of_error: float | None
    foreseen_threshold_error: float | None
    engine_threshold: float | None = None
    engine_remembers: bool | None = None


class LayerReport(RoundedPart, BudgetPart):
    """One layer.

    ``sources``: names of what its synapses read, "input" among them; empty in reports of earlier
    versions. ``state_max``: as ``state_min``. The headroom is that of the largest state, with the
    bias or without. ``activation_snr_db``: the sums of the messages at the receivers against the
    float network's activations. ``share_of_operations``: of all operations, those done in the
    layer; ``share_of_output_error``: of the energy of all predicted errors.
    """

    name: str
    op: Annotated[str, pydantic.AfterValidator(_known_operation)]
    neurons: int
    outputs: int
    channels: int
    weights: int
    sources: list[str] = pydantic.Field(default_factory=list)
    scale: float
    scale_min: float
    scale_max: float
    limited_by: LimitsText
    shift: int
    relayed: bool
    weight_levels: int
    activation_max: float
    activation_max_ann: float
    state_max: float
    state_limit: float
    state_headroom_bits: float
    message_headroom_bits: float
    threshold: float
    threshold_ann: float
    density: float | None
    events_per_frame_predicted: float | None
    events_per_frame_measured: float
    synops_per_frame_measured: float
    share_of_operations: float | None
    activation_snr_db: float | None
    overflows: int
    oversized: int
    distributions: Distributions
    share_of_output_error: float | None

    @property
    def is_relay(self) -> bool:
        """Whether the conversion added the layer."""
        return self.op == RELAY

    @property
    def weight_bits_available(self) -> int:
        """Bits of a weight, sign included."""
        return RELAYED_WEIGHT_BITS if self.relayed else WEIGHT_BITS

    @property
    def predicted_errors(self) -> tuple[float | None, ...]:
        """Relative errors of the output caused by weights, messages and the threshold."""
        return predicted_errors(self, self)


def predicted_errors(rounded: RoundedPart, budget: BudgetPart) -> tuple[float | None, ...]:
    """Relative errors of the output caused by weights, messages and the threshold."""
    weights, messages = rounded.foreseen_weight_error, rounded.foreseen_message_error
    return (weights, messages, budget.foreseen_threshold_error)


def energy(errors: Sequence[float | None]) -> float | None:
    """Sum of the squares of independent relative errors; None where none of them is known."""
    if all(error is None for error in errors):
        return None
    return sum((error or 0.0) ** 2 for error in errors)


def total_error(layers: Iterable[Sequence[float | None]]) -> float:
    """Relative L2 error of the output; errors of different layers are taken as independent."""
    return math.sqrt(sum(energy(errors) or 0.0 for errors in layers))
