"""The report's record of one layer: data only."""

import pydantic

WEIGHT_BITS, MESSAGE_BITS, STATE_BITS = 8, 16, 24
RELAYED_WEIGHT_BITS = WEIGHT_BITS + 5  # of a layer that reads a relay's two copies


class HalfOctaves(pydantic.BaseModel):
    """A histogram of magnitudes in units of the grid, two bins an octave: ``counts`` of [1, 1.5),
    [1.5, 2), [2, 3), [3, 4), [4, 6), ... Of ``total`` values ``below`` are smaller than one unit
    and not zero; what is not counted is zero.
    """

    counts: list[int]
    below: int
    total: int


class Distributions(pydantic.BaseModel):
    """What a layer's neurons hold and send, of the float network's values put on the grid.

    ``positive``, ``negative``: pre-activations, in units of the state. ``activations``, and their
    ``changes`` from one frame to the next, in units of a message.
    """

    positive: HalfOctaves
    negative: HalfOctaves
    activations: HalfOctaves
    changes: HalfOctaves


class StateBound(pydantic.BaseModel):
    """Channels whose scale the state limits, so that their messages leave bits unused.

    ``channel``: the one that leaves most, ``wasted_bits``; its largest pre-activation, or state
    (the pre-activation without its bias) where that is larger, with its sign, and its activation
    are in the original network's units.
    """

    channels: int
    channel: int
    preactivation_ann: float
    activation_ann: float
    wasted_bits: float


class LayerReport(pydantic.BaseModel):
    """One layer. States, activations and thresholds in units of the scaled activation, unless the
    name ends in ``_ann`` (the original network's units). None where nothing was measured or
    predicted: of a relay, the smallest state, and before the first layer its density and messages.

    ``state_min``, ``state_max``: the weighted sums of what arrives, without the bias. The headroom
    is that of the largest state, with the bias or without.
    ``weight_bits``, ``message_bits``, ``state_bits``: what the largest value seen needs, its sign
    included, of 8, 16 and 24. ``foreseen_*_error``: relative L2 error of the output that the
    layer's weights, messages and thresholds cause. ``share_of_output_error``: of the energy of all
    of them; ``share_of_operations``: operations done in the layer. ``share_of_error`` and
    ``share_of_synops``, where thresholds keep a budget: of the thresholds' error, and of the
    operations that the layer's messages cause. ``activation_snr_db``: measured, what receivers
    have summed up against the float network's activations. ``silent_channels`` send nothing on any
    calibration frame.
    """

    name: str
    op: str
    neurons: int
    weights: int
    scale: float
    limited_by: str
    weight_levels: int
    weight_snr_db: float | None
    activation_max: float
    activation_max_ann: float
    state_min: float | None
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
    remembers: bool = True
    events_per_frame_working: float | None = None
    events_per_frame_working_predicted: float | None = None
    sent_synops_per_frame: float | None = None
    sent_synops_per_frame_predicted: float | None = None
    share_of_synops: float | None = None
    share_of_error: float | None = None
    shift: int = 6
    relayed: bool = False
    scale_min: float | None = None
    scale_max: float | None = None
    weight_bits: float | None = None
    message_bits: float | None = None
    state_bits: float | None = None
    widest_channel: int | None = None
    widest_preactivation_ann: float | None = None
    rounding_left: float | None = None
    foreseen_weight_error: float | None = None
    foreseen_message_error: float | None = None
    foreseen_threshold_error: float | None = None
    share_of_output_error: float | None = None
    share_of_operations: float | None = None
    activation_snr_db: float | None = None
    outputs: int | None = None
    channels: int | None = None
    silent_channels: int | None = None
    overflows: int | None = None
    oversized: int | None = None
    state_bound: StateBound | None = None
    distributions: Distributions | None = None

    @property
    def weight_bits_available(self) -> int:
        """Of a weight, sign included."""
        return RELAYED_WEIGHT_BITS if self.relayed else WEIGHT_BITS
