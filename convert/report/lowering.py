"""The lowered network in the conversion report: its size against the original, its ranges."""

import math
from collections.abc import Iterator
from typing import Literal

import pydantic

from ann2sdnn.support.files.json_text import Record

# A layer with less is named in a warning: 0.05 bits are 3.4% of the range.
LEAST_HEADROOM_BITS = 0.05
# Messages that carried values may add before the report names the other way: as many again.
_MOST_GROWTH = 2.0

Quantity = Literal["state", "sum", "message"]

NOT_STOCK = (
    "right shifts or thresholds outside netx' format stand beside it in network.net: stock netx"
    " loads the file but computes something else;"
    " ann2sdnn.sdnn.lava.network.load_network applies them"
)
_OF: dict[Quantity, str] = {
    "state": "states",
    "sum": "sums of a time step",
    "message": "messages",
}


class NetworkSize(Record):
    """``macs``: multiplications by non-zero weights of one dense frame, border-correct."""

    layers: int = pydantic.Field(gt=0)
    neurons: int = pydantic.Field(gt=0)
    nonzero_weights: int
    macs: int


class LoweredLayer(Record):
    """One layer of network.net: the largest magnitudes, in lava's integers, and the bits left.

    ``origin``: the layer of the conversion that it is a part of. ``state_peak``: of the state, with
    and without the bias; ``sum_peak``: of the inputs of a neuron in one time step; both in units of
    2^-(12 + spike_exp), of signed 24 bits. ``message_peak``: in units of 2^-(6 + spike_exp), of
    16 bits. Bits are null where nothing was sent.
    """

    name: str
    origin: str
    role: Literal["linear", "max", "sum"]
    neurons: int
    state_peak: int
    sum_peak: int
    message_peak: int
    state_headroom_bits: float | None
    sum_headroom_bits: float | None
    message_headroom_bits: float | None


class PassThrough(Record):
    """Channels of network.net that carry values of a network with branches past its layers.

    ``messages_per_frame`` and ``operations_per_frame`` are theirs, ``own_messages_per_frame`` those
    of all other neurons, without the input's: averages over the frames of the ranges but the first
    of each run, which sends everything, unless all runs have only one.
    """

    layers: int = pydantic.Field(gt=0)
    neurons: int = pydantic.Field(gt=0)
    messages_per_frame: float
    operations_per_frame: float
    own_messages_per_frame: float

    @property
    def growth(self) -> float:
        """All messages over those of the other neurons; infinite where these send none."""
        if not self.own_messages_per_frame:
            return math.inf if self.messages_per_frame else 1.0
        return 1 + self.messages_per_frame / self.own_messages_per_frame

    @property
    def is_costly(self) -> bool:
        """Whether network.net sends more than twice the messages that it would send without."""
        return self.growth > _MOST_GROWTH


class LoweredRanges(Record):
    """Measured on the first frames of ``runs`` calibration runs, ``frames`` in all, with the
    pipeline's delays, each run from a fresh start. Limits are largest magnitudes.
    """

    frames: int
    runs: int
    state_limit: int
    message_limit: int
    layers: list[LoweredLayer]
    pass_through: PassThrough | None = None
    """None for a chain, which carries nothing."""

    @property
    def tight(self) -> list[tuple[LoweredLayer, Quantity, float]]:
        """Layers almost without headroom, but without overflow, and the bits left."""
        return [
            (layer, quantity, bits)
            for layer, quantity, _, _, bits in self._used()
            if bits is not None and 0 <= bits < LEAST_HEADROOM_BITS
        ]

    @property
    def overflows(self) -> list[tuple[LoweredLayer, Quantity, int, int]]:
        """Layers with a number that does not fit, its peak and the limit."""
        return [
            (layer, quantity, peak, limit)
            for layer, quantity, peak, limit, _ in self._used()
            if peak > limit
        ]

    def _used(self) -> Iterator[tuple[LoweredLayer, Quantity, int, int, float | None]]:
        states, messages = self.state_limit, self.message_limit
        for layer in self.layers:
            yield layer, "state", layer.state_peak, states, layer.state_headroom_bits
            yield layer, "sum", layer.sum_peak, states, layer.sum_headroom_bits
            yield layer, "message", layer.message_peak, messages, layer.message_headroom_bits


class LoweringReport(Record):
    """``original`` counts a weight of a convolution once, and so does ``lowered``, where a finer
    grid in channels holds it once for every position. ``differences`` says what it sends otherwise.
    ``stock_legal``: netx alone computes the same; else right shifts or thresholds stand beside its
    content. ``ranges``: null where they were not measured.
    """

    original: NetworkSize
    lowered: NetworkSize
    packing: tuple[int, int]
    differences: list[str]
    stock_legal: bool
    ranges: LoweredRanges | None

    @property
    def growth(self) -> dict[str, float]:
        """Lowered over original, for each count."""
        before, after = self.original.model_dump(), self.lowered.model_dump()
        # A network whose weights are all 0 has none before and after.
        return {name: after[name] / before[name] if before[name] else 1.0 for name in before}


class LoweringRefusal(Record):
    """There is no network.net, and why."""

    refused: str


def lowering_warnings(report: LoweringReport | LoweringRefusal) -> list[str]:
    """A sentence for each thing that somebody who runs network.net should know."""
    if isinstance(report, LoweringRefusal):
        return [f"there is no network.net: {report.refused}"]
    tight = [] if report.ranges is None else report.ranges.tight
    carried = None if report.ranges is None else report.ranges.pass_through
    return [
        *([] if report.stock_legal else [NOT_STOCK]),
        *(
            f"network.net, layer {layer.name}: its {_OF[quantity]} have {bits:.2f} bits of headroom"
            " left on the calibration frames; convert with a larger --headroom"
            for layer, quantity, bits in tight
        ),
        *([] if carried is None or not carried.is_costly else [_costly(carried)]),
    ]


def _costly(carried: PassThrough) -> str:
    times = f", {carried.growth:.1f} times as many in all" if math.isfinite(carried.growth) else ""
    return (
        "network.net: channels that carry values past layers send"
        f" {carried.messages_per_frame:,.0f} messages per frame beside"
        f" {carried.own_messages_per_frame:,.0f} of the populations{times}; Sdnn.to_lava() builds"
        " the network without them"
    )
