"""The SDNN that learns: slayer blocks whose weights are quantised on their way into the synapse.

What a layer has received is the sum of all messages to it, and its state is the weighted sum of
that. So a chunk of frames starts by giving every synapse what had been received before, in its
first frame, and every state is computed anew from there: with weights that do not change this is
what a state that goes on holds, and with weights that do, the state is that of the new ones and
has their gradient. What is carried over from chunk to chunk is what has been sent, detached.

This module imports lava; import it only where slayer is going to be used.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ann2sdnn.convert.functional import fan_out
from ann2sdnn.convert.geometry import Dense, Shape
from ann2sdnn.convert.relays import RELAY_SUFFIX
from ann2sdnn.convert.symmetric import with_symmetric_pads
from ann2sdnn.errors import UsageError
from ann2sdnn.sdnn.network import Arithmetic, SigmaDeltaLayer, network_from_spec
from ann2sdnn.sdnn.slayer_backend import build_block
from ann2sdnn.sdnn.slayer_neuron import Delta
from ann2sdnn.sdnn.spec import UNITS, WEIGHT_MAX, WEIGHT_MIN, WEIGHT_STEP, Spec, SpecLayer
from ann2sdnn.sdnn.training_neuron import TrainingNeuron


@dataclass(frozen=True, eq=False)
class Pass:
    """A chunk of T frames of N runs.

    ``maps`` [N, T, O, H, W]: decoded outputs in the original network's units. ``operations``
    [N, T]: synaptic operations. ``excess``: the hinge on ranges. All have gradients.
    ``messages``: what the input and each layer sent, [N, C, H, W, T].
    """

    maps: Tensor
    operations: Tensor
    excess: Tensor
    messages: tuple[Tensor, ...]


class TrainableSdnn(nn.Module):
    """A spec whose weights, biases and thresholds learn; raises UsageError where it cannot.

    Relays keep theirs, and so does the last threshold, which saves no operation.
    """

    def __init__(self, spec: Spec, *, output_slope: float = 0.1) -> None:
        super().__init__()
        if spec.memoryless_layers:
            raise UsageError(
                f"{spec.memoryless_layers[0]} is memoryless, which slayer's layers are not; train a"
                " conversion made with --memory all"
            )
        network = network_from_spec(spec)
        last = len(spec.layers) - 1
        self.spec = spec
        self.input_step = network.input_step
        self.encoder = Delta(0.0, None, persistent_state=True)
        self.layers = nn.ModuleList(
            TrainingLayer(
                layer,
                network.arithmetic,
                spec.grid.threshold_step,
                output_slope if index == last else None,
            )
            for index, layer in enumerate(network.layers)
        )
        self.trained[-1].neuron.delta.threshold.requires_grad_(False)
        self.register_buffer("output_scale", network.output_scale, persistent=False)

    @property
    def trained(self) -> tuple["TrainingLayer", ...]:
        """The layers."""
        return tuple(one for one in self.layers if isinstance(one, TrainingLayer))

    def begin(self, height: int, width: int) -> None:
        """Forget everything; frames of this size follow. Fan-outs are those of the weights now."""
        self.encoder.sent = None
        shape: Shape = (self.spec.input_shape[0], height, width)
        if shape != self.spec.input_shape and any(one.is_dense for one in self.trained):
            raise UsageError(
                f"a network with dense layers takes whole frames only; its {height}x{width} windows"
                " need --crop none"
            )
        fan_outs, receiving = [], self.trained
        for layer in receiving:
            weight = layer.quantised().detach()
            fan_outs.append(fan_out(layer.layer.geometry, weight.cpu(), shape).to(weight.device))
            shape = layer.output_shape(shape)
        self._input_fan_out = fan_outs[0]
        fan_outs.append(torch.zeros(shape, device=fan_outs[0].device))
        for layer, after in zip(receiving, fan_outs[1:], strict=True):
            layer.neuron.delta.sent = None
            layer.neuron.delta.fan_out = after

    def forward(self, frames: Tensor) -> Pass:
        """The next frames [N, C, H, W, T], uint8."""
        values = frames.to(torch.float32) * self.input_step
        before = self.encoder.sent
        messages = self.encoder(values)
        operations = ((messages != 0) * self._input_fan_out[..., None]).sum(dim=(1, 2, 3))
        received = messages.clone()
        if before is not None:
            received[..., 0] += before
        sent, excess = [messages], values.new_zeros(())
        for layer in self.trained:
            messages = layer(received)
            received = layer.neuron.received(messages)
            operations = operations + layer.neuron.delta.operations
            excess = excess + layer.neuron.excess
            sent.append(messages)
        decoded = torch.cumsum(received, dim=-1).movedim(-1, 1)
        return Pass(decoded / self.output_scale, operations, excess, tuple(sent))

    def to_spec(self) -> Spec:
        """What has been learned so far, in integers."""
        layers = [
            one.to_spec(layer) for one, layer in zip(self.trained, self.spec.layers, strict=True)
        ]
        return replace(self.spec, layers=tuple(layers))


class TrainingLayer(nn.Module):
    """One slayer block, whose weight is latent: continuous, in scaled units."""

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        arithmetic: Arithmetic,
        threshold_step: float,
        slope: float | None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.is_dense = isinstance(layer.geometry, Dense)
        geometry, padded = with_symmetric_pads(layer.geometry, layer.weight.numpy())
        self.block = build_block(geometry, torch.from_numpy(padded))
        self.block.neuron = TrainingNeuron(layer, arithmetic, threshold_step, slope)
        # Taps that only make padding symmetric are no weights: they are added on the way.
        self._padding = [] if self.is_dense else _padding(layer)
        shape = (*layer.weight.shape, *self.block.synapse.weight.shape[layer.weight.ndim :])
        self.block.synapse.weight = nn.Parameter(layer.weight.clone().reshape(shape))
        self.block.synapse.pre_hook_fx = self._into_synapse
        self.largest = WEIGHT_MAX / UNITS
        # netx has a layer without ReLU as two halves, one with the negated weights.
        self.smallest = (WEIGHT_MIN if layer.relu else -WEIGHT_MAX) / UNITS
        if layer.name.endswith(RELAY_SUFFIX):
            self.block.requires_grad_(False)

    @property
    def neuron(self) -> TrainingNeuron:
        """The block's neuron."""
        return self.block.neuron  # type: ignore[no-any-return]

    @property
    def weight(self) -> nn.Parameter:
        """The latent weight, with slayer's axis of time."""
        return self.block.synapse.weight  # type: ignore[no-any-return]

    def quantised(self) -> Tensor:
        """The weight as the synapse applies it, in the layout of the spec's."""
        weight: Tensor = self.neuron.quantize_8bit(self.weight)
        return weight.reshape(self.layer.weight.shape)

    def forward(self, received: Tensor) -> Tensor:
        """Messages [N, O, H', W', T] of a layer that has been sent ``received`` [N, C, H, W, T]."""
        if self.is_dense:
            synaptic = self.block.synapse(received.flatten(1, 3))[:, :, None, None]
        else:
            synaptic = self.block.synapse(received)
        messages: Tensor = self.neuron(synaptic)
        return messages

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the messages where ``shape`` comes in."""
        out = self.layer.geometry.output_shape(shape, tuple(self.layer.weight.shape))
        return out if self.layer.pool is None else self.layer.pool.output_shape(out)

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring what has been learned back into what the spec can hold."""
        self.weight.clamp_(self.smallest, self.largest)
        delta = self.neuron.delta
        delta.threshold.clamp_(delta.least, self.neuron.message_cap)

    def to_spec(self, layer: SpecLayer) -> SpecLayer:
        """``layer`` with what has been learned."""
        steps = self.quantised().detach().cpu().numpy() * (UNITS / WEIGHT_STEP)
        delta, bias = self.neuron.delta, layer.bias
        if bias is not None:
            learned = self.neuron.bias.detach().cpu().flatten().numpy() * UNITS
            bias = np.rint(learned).astype(np.int32)
        return replace(
            layer,
            weight=(np.rint(steps) * WEIGHT_STEP).astype(np.int16),
            bias=bias,
            threshold=delta.threshold_units,
        )

    def _into_synapse(self, weight: Tensor) -> Tensor:
        quantised: Tensor = self.neuron.quantize_8bit(weight)
        return F.pad(quantised, self._padding) if any(self._padding) else quantised


def _padding(layer: SigmaDeltaLayer) -> list[int]:
    """For F.pad: zero taps before and after in time, columns and rows."""
    _, taps = with_symmetric_pads(layer.geometry, np.ones(layer.weight.shape, np.int8))
    rows, columns = np.nonzero(taps[0, 0])
    height, width = taps.shape[2:]
    return [
        *(0, 0),
        *(int(columns.min()), int(width - 1 - columns.max())),
        *(int(rows.min()), int(height - 1 - rows.max())),
    ]
