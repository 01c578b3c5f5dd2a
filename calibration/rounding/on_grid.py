r"""Recognises weights that already lie on lava's grid and keeps them.

With one power of two as the scale of every layer (after an average pooling of n pixels: n times as
much, the sum that stands for it) and another for each channel of an output that no layer reads, the
converted weights are multiples of 1/32, biases multiples of 1/64 and a pixel a whole number of
message units. Then only messages are rounded. The network's scale is chosen so that a message unit
is ``MESSAGE_UNIT`` of its own activations, whatever ``spike_exp`` is, so every ``spike_exp`` gives
the same weights and messages. The scales of such outputs are the largest for which weights, states
and messages have room: finer messages at no cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.rounding.rounded import (
    Rounded,
    RoundedLayer,
    round_bias,
    scaled_steps,
    step_limits,
)
from ann2sdnn.calibration.scales.plan import (
    LARGEST_GAIN,
    LayerPlan,
    Limit,
    PlannedNoise,
    RangePlan,
    pool_gain,
)
from ann2sdnn.calibration.scales.planning import MOST_USED, range_used_by_statistics
from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, Layer, output_channel_view
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, Grid

FloatArray = NDArray[np.float64]

MESSAGE_UNIT = 2.0**-12
"""One unit of a message, in activations of a network that was trained on the grid."""

_EXPONENTS = range(-24, 25)  # of the last layer's scales
_UNITS = sorted(range(-8, 9), key=abs)  # exponents of other message units
_ROOM = 0.8  # of a range, for the last layer's scales
_LARGEST_ERROR = 0.05  # predicted relative error of flooring messages


@dataclass(frozen=True, eq=False)
class OnGrid:
    """The plan that keeps every weight. ``range_used``: the largest share of a state's or message's
    range that any calibration frame uses.
    """

    plan: RangePlan
    rounded: Rounded
    range_used: float

    @property
    def objection(self) -> str | None:
        """Why the network should be planned nevertheless, or None."""
        if self.range_used > MOST_USED:
            return f"calibration frames use {self.range_used:.0%} of the range"
        error = self.plan.noise.relative_error
        if error > _LARGEST_ERROR:
            return f"flooring its messages would change the output by about {error:.0%}"
        return None


def find_on_grid(evidence: Evidence, grid: Grid) -> OnGrid | None:
    """The plan without rounding, or None for a network that is not on ``grid``."""
    graph = evidence.graph
    # float32 values are rounded to message units, so there is no grid that they keep.
    unit = _message_unit(graph.input_scale) if graph.preprocessing.dtype == "uint8" else None
    if unit is None:
        return None
    offset = [mean / unit for mean in graph.preprocessing.mean]
    if any(units != round(units) for units in offset):
        return None
    network_scale = grid.message_step / unit
    layers: list[LayerPlan] = []
    for layer, (plane, *_) in zip(graph.layers, graph.reads, strict=True):
        # A large average is a sum: weights of 1 for what arrives.
        window = layer.weight[0].size if is_average(layer) else 1
        arriving = layers[plane - 1].sent if window > 1 and plane else network_scale
        layers.append(_plan(layer, np.full(layer.preactivation_shape[0], arriving * window)))
    blank = PlannedNoise(*np.zeros((2, len(layers))))
    input_gain = round(graph.input_scale / unit)
    plan = RangePlan(
        input_gain,
        network_scale,
        grid,
        tuple(layers),
        blank,
        headroom=1.0,
        input_offset=tuple(map(round, offset)),
    )
    for plane in graph.output_planes:
        if not graph.readers[plane]:
            scale = _output_scale(evidence, plan, plane - 1)
            if scale is None:
                return None
            layers[plane - 1] = _plan(graph.layers[plane - 1], scale)
    plan = replace(plan, layers=tuple(layers))
    rounded = _rounded(graph, plan)
    if rounded is None:
        return None
    used = max(range_used_by_statistics(plan, statistics) for statistics in evidence.measured)
    noise = _noise(evidence, plan)
    errors = (noise.relative_error,)
    plan = replace(plan, noise=noise, headroom=1 / used, relay_errors=errors)
    return OnGrid(plan, rounded, used)


def _message_unit(input_scale: float) -> float | None:
    """The unit nearest to ``MESSAGE_UNIT`` of which a pixel is a legal whole number, or None."""
    for exponent in _UNITS:
        unit = MESSAGE_UNIT * 2.0**exponent
        gain = input_scale / unit
        if gain == round(gain) and 1 <= gain <= LARGEST_GAIN:
            return unit
    return None


def _plan(layer: Layer, scale: FloatArray) -> LayerPlan:
    return LayerPlan(scale=scale, sent=scale * pool_gain(layer), limited_by=(Limit.ON_GRID,))


def _output_scale(evidence: Evidence, plan: RangePlan, index: int) -> FloatArray | None:
    """[O]: the scales of layer ``index``, or None where no power of two makes whole numbers."""
    graph = evidence.graph
    layer, own = graph.layers[index], plan.layers[index]
    steps = scaled_steps(layer, own, plan.arriving(graph, index))
    smallest = _smallest_whole(layer, steps)
    if smallest is None:
        return None
    seen = [statistics.layers[index] for statistics in evidence.measured]
    state = np.max([one.state_peak for one in seen], axis=0)
    message = np.max([one.message_peak * pool_gain(layer) for one in seen], axis=0)
    largest_steps = _by_channel(layer, [np.abs(one) for one in steps])
    room = np.min(
        [
            (WEIGHT_MAX / UNITS / own.weight_step()) / _tiny(largest_steps),
            _ROOM * plan.grid.state_limit / _tiny(state * own.scale),
            _ROOM * plan.grid.message_limit / _tiny(message * own.scale),
        ],
        axis=0,
    )
    largest = 2.0 ** np.floor(np.log2(room))
    # A channel without weights, and a silent one, have unlimited room.
    power = np.maximum(smallest, np.minimum(largest, 2.0 ** max(_EXPONENTS)))
    return np.asarray(own.scale * power, np.float64)


def _smallest_whole(layer: Layer, steps: Sequence[FloatArray]) -> FloatArray | None:
    """[O]: the smallest power of two that makes a channel's ``steps`` whole numbers."""
    smallest = np.full(layer.preactivation_shape[0], np.nan)
    for exponent in reversed(_EXPONENTS):
        scaled = [one * 2.0**exponent for one in steps]
        off = _by_channel(layer, [np.abs(one - np.rint(one)) for one in scaled])
        smallest[off == 0] = 2.0**exponent
    return None if np.isnan(smallest).any() else smallest


def _by_channel(layer: Layer, values: Sequence[FloatArray]) -> FloatArray:
    """[O]: the largest of ``values``, laid out as the layer's weights, in each output channel."""
    n_channels = layer.preactivation_shape[0]
    largest = np.zeros(n_channels)
    for synapse, own in zip(layer.synapses, values, strict=True):
        channel = output_channel_view(synapse, np.arange(n_channels, dtype=np.float64))
        index = np.broadcast_to(channel, own.shape).astype(np.int64)
        np.maximum.at(largest, index.ravel(), own.ravel())
    return largest


def _rounded(graph: Graph, plan: RangePlan) -> Rounded | None:
    """The unchanged layers, or None where a weight or bias is not on the grid."""
    layers = []
    for index, (layer, own) in enumerate(zip(graph.layers, plan.layers, strict=True)):
        arriving = plan.arriving(graph, index)
        steps = scaled_steps(layer, own, arriving)
        if is_average(layer):
            # 1/n is no float32; n times that is 1 except for the last bits
            steps = tuple(np.rint(one) for one in steps)
        low, high = step_limits(layer, own)
        if any((one != np.rint(one)).any() or one.min() < low or one.max() > high for one in steps):
            return None
        bias = round_bias(layer, own)
        if bias is not None and layer.bias is not None:
            wanted = layer.bias.astype(np.float64) * own.scale * UNITS
            if (bias != wanted).any():
                return None
        whole = tuple(one.astype(np.int64) for one in steps)
        layers.append(RoundedLayer(layer, own, arriving, whole, bias))
    return tuple(layers)


def _noise(evidence: Evidence, plan: RangePlan) -> PlannedNoise:
    """The noise of flooring messages; weights have none."""
    energy = max(evidence.sensitivity.output_energy, 1e-30)
    message = [
        plan.grid.message_step**2 / energy * float((seen.message / np.square(own.sent)).sum())
        for own, seen in zip(plan.layers, evidence.sensitivity.layers, strict=True)
    ]
    return PlannedNoise(np.zeros(len(message)), np.array(message))


def _tiny(values: FloatArray) -> FloatArray:
    return np.maximum(values, 1e-30)
