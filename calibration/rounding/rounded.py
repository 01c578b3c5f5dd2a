"""Rounded layers, and the rounded network as a function of single frames.

With thresholds of 0 the sigma-delta network decodes to the same values, so this is the converted
network, in float32 and with weights that may still change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.scales.plan import LayerPlan, RangePlan
from ann2sdnn.graph.layers import Graph, Layer, Synapse, input_channel_view, output_channel_view
from ann2sdnn.graph.operations import channels_last, check_graph_frames, linear, pool, summed
from ann2sdnn.graph.planes import Planes, joined
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_MIN, WEIGHT_STEP
from ann2sdnn.sdnn.spec.input_code import InputCode
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_EXACT = 1e-6  # of a message unit, by which a mean in message units is whole


@dataclass(frozen=True, eq=False)
class RoundedLayer:
    """``steps``: of each synapse the weight in multiples of the plan's weight step, laid out as the
    synapse's. ``arriving``: of each synapse the scale [C] of what it receives. ``bias`` [O] in
    1/64, or None.
    """

    layer: Layer
    plan: LayerPlan
    arriving: tuple[FloatArray, ...]
    steps: tuple[IntArray, ...]
    bias: IntArray | None


Rounded = tuple[RoundedLayer, ...]


def step_limits(layer: Layer, plan: LayerPlan, number: int = 0) -> tuple[int, int]:
    """Smallest and largest legal weight of a synapse in multiples of its weight step.

    netx stores a layer without ReLU as two halves, one with negated weights; -256 has no negative.
    """
    divisor = plan.weight_divisor(number)
    smallest = WEIGHT_MIN if layer.relu else -WEIGHT_MAX
    return smallest // WEIGHT_STEP * divisor, WEIGHT_MAX // WEIGHT_STEP * divisor


def scaled_steps(
    layer: Layer, plan: LayerPlan, arriving: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """Of each synapse the float weight in multiples of its weight step: W s_out / s_in / step."""
    return tuple(
        _scaled(synapse, plan.scale, received) / plan.weight_step(number)
        for number, (synapse, received) in enumerate(zip(layer.synapses, arriving, strict=True))
    )


def _scaled(synapse: Synapse, scale: FloatArray, arriving: FloatArray) -> FloatArray:
    gain = output_channel_view(synapse, scale) / input_channel_view(synapse, arriving)
    return np.asarray(synapse.weight.astype(np.float64) * gain, np.float64)


def round_bias(layer: Layer, plan: LayerPlan) -> IntArray | None:
    """The bias in 1/64 of the scaled activation."""
    if layer.bias is None:
        return None
    scaled = layer.bias.astype(np.float64) * plan.scale * UNITS
    what = f"layer {layer.name}: a scaled bias"
    return narrowed(np.rint(scaled), np.int64, what, error=ConversionError)


def with_exact_mean(graph: Graph, plan: RangePlan) -> tuple[Layer, ...]:
    """The layers, biases of those that read the input without the effect of rounding the mean to
    message units.

    The input is then off by the same in every pixel, which a layer turns into the same in every
    neuron, except where its kernel reaches beyond the border: the zeros there are exact. The bias
    is corrected for the other neurons (of a transposed convolution the median).
    """
    mean = np.array(graph.preprocessing.mean, np.float64)
    unit = graph.input_scale / plan.input_gain
    off = mean - np.array(plan.input_offset or 0) * unit
    if not (np.abs(off) > _EXACT * unit).any():
        return graph.layers
    everywhere = np.broadcast_to(off[:, None, None], graph.input_shape).astype(np.float32)
    x = torch.from_numpy(everywhere.copy())[None]
    return tuple(
        _corrected(layer, x, [number for number, plane in enumerate(planes) if plane == 0])
        for layer, planes in zip(graph.layers, graph.reads, strict=True)
    )


def _corrected(layer: Layer, x: Tensor, numbers: Sequence[int]) -> Layer:
    """The layer, its bias less what its synapses ``numbers`` make of ``x``."""
    bias = np.zeros(layer.preactivation_shape[0]) if layer.bias is None else layer.bias
    for number in numbers:
        synapse = layer.synapses[number]
        added = linear(synapse.geometry, x, torch.tensor(synapse.weight))[0].flatten(1)
        bias = bias - added.median(dim=1).values.numpy()
    return replace(layer, bias=bias.astype(np.float32)) if numbers else layer


def round_nearest(graph: Graph, plan: RangePlan) -> Rounded:
    """Round every weight to the nearest legal value; see also ``with_exact_mean``."""
    layers = []
    for index, (layer, own) in enumerate(
        zip(with_exact_mean(graph, plan), plan.layers, strict=True)
    ):
        arriving = plan.arriving(graph, index)
        what = f"layer {layer.name}: a scaled weight"
        steps = tuple(
            narrowed(
                np.clip(np.rint(scaled), *step_limits(layer, own, number)),
                np.int64,
                what,
                error=ConversionError,
            )
            for number, scaled in enumerate(scaled_steps(layer, own, arriving))
        )
        layers.append(RoundedLayer(layer, own, arriving, steps, round_bias(layer, own)))
    return tuple(layers)


def summing(layer_pool: Pool | None) -> Pool | None:
    """The sum, which stays on the grid, for an average pooling."""
    return None if layer_pool is None else layer_pool.on_grid()


def with_bias(rounded: RoundedLayer, state: Tensor) -> Tensor:
    """Scaled pre-activation for the ``state`` [N, O, H, W], the weighted sum of messages."""
    if rounded.bias is None:
        return state
    return state + torch.from_numpy(rounded.bias / UNITS).to(state)[:, None, None]


def sent_value(rounded: RoundedLayer, z: Tensor) -> Tensor:
    """The layer's messages before rounding: ReLU, pooling, shift."""
    a = pool(summing(rounded.layer.pool), z.relu() if rounded.layer.relu else z)
    return a if rounded.plan.send_gain == 1 else a * rounded.plan.send_gain


def _weights(rounded: RoundedLayer) -> list[Tensor]:
    return [
        channels_last(torch.from_numpy(steps * rounded.plan.weight_step(number)).float())
        for number, steps in enumerate(rounded.steps)
    ]


class QuantisedNetwork:
    """``rounded`` as a function of frames: ``state``, then the bias, then ``send``."""

    def __init__(self, graph: Graph, plan: RangePlan, rounded: Sequence[RoundedLayer]) -> None:
        self.graph = graph
        self.plan = plan
        self.layers = list(rounded)
        self.message_step = plan.grid.message_step
        dtype = graph.preprocessing.dtype
        self._code = InputCode(plan.input_gain, plan.input_offset, dtype)
        self._weights = [_weights(layer) for layer in rounded]

    def replace(self, index: int, layer: RoundedLayer) -> None:
        """Go on with ``layer`` as layer ``index``."""
        self.layers[index], self._weights[index] = layer, _weights(layer)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [N, C, H, W] as the messages of a first frame.

        Raises DataError for frames that the network does not take.
        """
        check_graph_frames(self.graph, frames)
        return channels_last(self._code.entering(frames, self.message_step))

    def state(self, index: int, inputs: Sequence[Tensor]) -> Tensor:
        """Scaled state of layer ``index``: the weighted sum of the messages that its synapses
        receive, without the bias.
        """
        return summed(self.layers[index].layer, inputs, self._weights[index])

    def part(self, index: int, number: int, messages: Tensor) -> Tensor:
        """What a synapse of layer ``index`` adds to the state for the ``messages`` it receives."""
        synapse = self.layers[index].layer.synapses[number]
        return linear(synapse.geometry, messages, self._weights[index][number])

    def preactivation(self, index: int, inputs: Sequence[Tensor]) -> Tensor:
        """Scaled pre-activation of layer ``index``."""
        return with_bias(self.layers[index], self.state(index, inputs))

    def send(self, index: int, z: Tensor) -> Tensor:
        """The messages of layer ``index`` for its pre-activation."""
        value = sent_value(self.layers[index], z)
        return (value / self.message_step).trunc_().mul_(self.message_step)

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """Decoded output for frames [N, C, H, W], in the original network's units."""
        planes = Planes(self.graph, self.encode(frames))
        for index in range(len(self.layers)):
            planes.put(self.send(index, self.preactivation(index, planes.inputs())))
        return decoded(self.graph, self.plan, planes.outputs)


def decoded(graph: Graph, plan: RangePlan, outputs: Sequence[Tensor]) -> Tensor:
    """The joined outputs in the original network's units, for what the outputs have sent."""
    scales = [plan.layers[plane - 1].sent for plane in graph.output_planes]
    return joined(
        [
            sent / torch.from_numpy(scale).to(sent)[:, None, None]
            for sent, scale in zip(outputs, scales, strict=True)
        ]
    )


@torch.inference_mode()
def range_used_by_frames(
    graph: Graph,
    plan: RangePlan,
    rounded: Sequence[RoundedLayer],
    frames: Sequence[Tensor],
    *,
    at_rest: bool = False,
) -> float:
    """Largest share of a state's or message's range that single ``frames`` use.

    ``at_rest``: also what the network uses before the first frame, where only biases drive it.

    The state, which wraps at 24 bits, is the weighted sum of messages without the bias. Its sum
    with the bias has to fit the same bits, because the neuron keeps it as its activation.
    """
    network = QuantisedNetwork(graph, plan, rounded)
    largest = 0.0
    nothing = (torch.zeros(1, *graph.input_shape),) * at_rest
    for entering in chain((network.encode(frame[None]) for frame in frames), nothing):
        planes = Planes(graph, entering)
        for index in range(len(rounded)):
            state = network.state(index, planes.inputs())
            z = with_bias(rounded[index], state)
            x = network.send(index, z)
            planes.put(x)
            reached = max(float(state.abs().max()), float(z.abs().max()))
            largest = max(
                largest,
                reached / plan.grid.state_limit,
                float(x.abs().max()) / plan.grid.message_limit,
            )
    return largest


def weight_snr_db(rounded: RoundedLayer) -> float:
    """Signal-to-noise ratio of the layer's rounding: 10 log10(sum w^2 / sum e^2)."""
    error = signal = 0.0
    weights = scaled_steps(rounded.layer, rounded.plan, rounded.arriving)
    for number, (weight, steps) in enumerate(zip(weights, rounded.steps, strict=True)):
        unit = 1 / rounded.plan.weight_divisor(number) ** 2
        error += unit * float(np.square(weight - steps).sum())
        signal += unit * float(np.square(weight).sum())
    return float("inf") if error == 0 else 10 * float(np.log10(signal / error))
