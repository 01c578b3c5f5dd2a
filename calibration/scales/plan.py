"""The range plan: one scale per channel, one shift per layer and one weight step per synapse."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX, SHIFT, UNITS, WEIGHT_STEP, Grid
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.options.fields import CheckedOptions, number, numbers

FloatArray = NDArray[np.float64]

LARGEST_GAIN = MESSAGE_MAX // 255  # message units per uint8 count, so that 255 fits 16 bits
# A relay sends every channel as it is and divided by this, so the weights that read it are
# w1 + w2 / 32: five more bits.
RELAY_DIVISOR = 32


class Limit(str, Enum):
    """What keeps the scales of a layer from growing."""

    STATE = "state (24 bits)"
    MESSAGE = "message (16 bits)"
    WEIGHTS = "weights (8 bits)"
    NOISE = "noise balance"
    ON_GRID = "on the grid"
    EXACT = "exact"

    @property
    def short(self) -> str:
        """Without the number of bits."""
        return self.value.partition(" (")[0]


Limits = tuple[Limit, ...]


@dataclass(frozen=True)
class ScaleOptions(CheckedOptions):
    """What a plan is solved for."""

    limit_error = ConversionError

    # Measured ranges may need more than was asked for, at most the 15 bits of a message.
    headroom: float = number(1.25, at_least=1, at_most=2**15)
    """The limits over the largest value seen."""
    relays: tuple[int, ...] = numbers((), at_least=0, at_most=10**6, distinct=True)
    """Layers that read relays of their sources."""
    free_shifts: bool = False
    """Each layer has its own right shift."""


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """``scale`` [O]: activation in the layer's neurons over the float network's. ``sent`` [O]: the
    same ratio after pooling and ``shift``. ``tied``: number of the synapse whose weights these
    scales make exact, or None. ``relayed``: numbers of the synapses that read a relay.
    ``limited_by``: the limits that keep the scales from growing.
    """

    scale: FloatArray
    sent: FloatArray
    shift: int = SHIFT
    tied: int | None = None
    relayed: frozenset[int] = frozenset()
    limited_by: Limits = (Limit.NOISE,)

    def weight_divisor(self, number: int = 0) -> int:
        """Weights of a synapse are multiples of 1/32 divided by this."""
        return RELAY_DIVISOR if number in self.relayed else 1

    def weight_step(self, number: int = 0) -> float:
        """Step of the weight of a synapse in scaled units."""
        return WEIGHT_STEP / UNITS / self.weight_divisor(number)

    @property
    def send_gain(self) -> float:
        """Sent value over the pooled activation in the neuron."""
        return 2.0 ** (SHIFT - self.shift)


@dataclass(frozen=True, eq=False)
class PlannedNoise:
    """Predicted energy [L] of the output error by each layer's rounding, over the output's energy:
    of weights, and of messages and biases.
    """

    weight: FloatArray
    message: FloatArray

    @property
    def relative_error(self) -> float:
        """Predicted relative L2 error of the output, with weights rounded to the nearest."""
        return self.with_left(1.0)

    def with_left(self, left: float) -> float:
        """Predicted relative L2 error where rounding leaves the share ``left`` of weight noise."""
        return float(np.sqrt(left * self.weight.sum() + self.message.sum()))


@dataclass(frozen=True, eq=False)
class RangePlan:
    """``input_gain``: message units per 1.0 of a frame's value, a whole number for uint8 pixels;
    ``input_offset`` [C]: message units that are subtracted, none without a mean; ``input_scale``:
    scaled over original input.

    ``headroom``: the limits over the largest value seen. ``relay_errors``: predicted relative error
    without relays, with the first, the second, ... at the headroom that was requested.
    """

    input_gain: float
    input_scale: float
    grid: Grid
    layers: tuple[LayerPlan, ...]
    noise: PlannedNoise
    headroom: float
    relay_errors: tuple[float, ...] = ()
    input_offset: tuple[int, ...] = ()

    @property
    def relays(self) -> tuple[int, ...]:
        """Layers that read relays."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.relayed)

    def arriving(self, graph: Graph, index: int) -> tuple[FloatArray, ...]:
        """[C] per synapse of layer ``index``: scale of what it receives."""
        return tuple(
            self.layers[plane - 1].sent
            if plane
            else np.full(graph.input_shape[0], self.input_scale)
            for plane in graph.reads[index]
        )


def pool_gain(layer: Layer) -> int:
    """The sum over a window of the layer's average pooling, over the average; 1 without one."""
    pool = layer.pool
    return pool.window if pool is not None and pool.kind == "average" else 1
