"""The SDNN that learns: slayer blocks whose weights are quantised on their way into the synapse.

What a layer has received is the sum of all messages to it, and its state is the weighted sum of
that. slayer weighs first and sums then; here it is the other way round, which is the same number
(on the grid to the last bit), and lets a synapse run as a convolution of single pictures, which is
faster than slayer's own of five axes. And every state is computed anew from all that had been
received: with weights that do not change this is what a state that goes on holds, and with weights
that do, the state is that of the new ones and has their gradient. What is carried over from chunk
to chunk is what has been sent, detached.

This module imports lava; import it only where slayer is going to be used.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.slayer.backend import build_block
from ann2sdnn.sdnn.slayer.neuron import slayer
from ann2sdnn.sdnn.spec.network import Arithmetic, SigmaDeltaLayer, network_from_spec
from ann2sdnn.sdnn.spec.spec import UNITS, WEIGHT_MAX, WEIGHT_MIN, WEIGHT_STEP, Spec, SpecLayer
from ann2sdnn.sdnn.training.neuron import TrainingNeuron, by_frame, by_pixel, excess_of
from ann2sdnn.support.errors import ConversionError, DataError, UsageError
from ann2sdnn.support.frame_check import check_frames
from ann2sdnn.support.integers import narrowed


class Pass(NamedTuple):
    """A chunk of T frames of N runs.

    ``maps`` [N, T, O, H, W]: decoded outputs in the original network's units. ``operations``
    [N, T]: synaptic operations. ``excess``: the hinge on ranges. All have gradients. ``sent``: of
    the input and each layer, what had been sent before [N, H, W, C] and by each frame
    [N, T, H, W, C].
    """

    maps: Tensor
    operations: Tensor
    excess: Tensor
    sent: tuple[tuple[Tensor, Tensor], ...]

    def messages(self) -> tuple[Tensor, ...]:
        """What the input and each layer sent, [N, C, H, W, T], as slayer lays it out."""
        return tuple(
            torch.diff(reached, dim=1, prepend=before[:, None]).permute(0, 4, 2, 3, 1)
            for before, reached in self.sent
        )


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
        """Forget everything; frames of this size follow."""
        shape: Shape = (self.spec.input_shape[0], height, width)
        if shape != self.spec.input_shape and any(one.is_dense for one in self.trained):
            raise UsageError(
                f"a network with dense layers takes whole frames only; its {height}x{width} windows"
                " need --crop none"
            )
        self._shape = shape
        self._seen: Tensor | None = None
        for layer in self.trained:
            layer.neuron.delta.sent = None
            shape = layer.begin(shape)
        channels, height, width = shape
        self._nothing = self.output_scale.new_zeros(height, width, channels)
        self.count_weights()

    def count_weights(self) -> None:
        """Take the weights as they are now for what a message costs."""
        costs = [layer.operations_per_message() for layer in self.trained]
        self._input_fan_out = costs[0]
        for layer, cost in zip(self.trained, (*costs[1:], self._nothing), strict=True):
            layer.neuron.delta.fan_out = cost

    def prune(self, share: float) -> None:
        """Bring ``share`` of the weights of every layer to 0, the smallest ones.

        Not of the first, on whose few weights everything hangs, nor of the last.
        """
        for layer in self.trained[1:-1]:
            layer.prune(share)

    def forward(self, frames: Tensor) -> Pass:
        """The next frames [N, C, H, W, T], uint8, of the size given to ``begin``; T is 1 or more.

        Raises DataError for others.
        """
        if frames.ndim != 5 or frames.shape[-1] == 0:
            raise DataError(
                f"frames of shape {list(frames.shape)}; expected [N, C, H, W, T], T of 1 or more"
            )
        check_frames(frames[..., 0], self._shape)
        reached = frames.permute(0, 4, 2, 3, 1).to(torch.float32).contiguous() * self.input_step
        before = torch.zeros_like(reached[:, 0]) if self._seen is None else self._seen
        self._seen = reached[:, -1]
        changed = torch.diff(reached, dim=1, prepend=before[:, None]) != 0
        operations = changed.flatten(2).to(torch.float32) @ self._input_fan_out.flatten()
        sent, near = [(before, reached)], list[tuple[Tensor, float]]()
        for layer in self.trained:
            reached = layer(reached)
            operations = operations + layer.neuron.delta.operations
            near.extend(layer.neuron.near)
            sent.append((layer.neuron.delta.before, reached))
        maps = reached.permute(0, 1, 4, 2, 3) / self.output_scale
        return Pass(maps, operations, excess_of(near), tuple(sent))

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
        self.is_dense = layer.geometry.reads_flat
        self.block = build_block(layer)
        self.block.neuron = TrainingNeuron(layer, arithmetic, threshold_step, slope)
        # Taps that only make padding symmetric are no weights: they are added on the way.
        top, left, bottom, right = layer.geometry.symmetric()[1]
        self._padding = [0, 0, left, right, top, bottom]  # time, columns, rows
        shape = (*layer.weight.shape, *self.block.synapse.weight.shape[layer.weight.ndim :])
        self.block.synapse.weight = nn.Parameter(layer.weight.clone().reshape(shape))
        self.block.synapse.pre_hook_fx = self._into_synapse
        self._kept: Tensor | None = None
        self.largest = WEIGHT_MAX / UNITS
        # netx has a layer without ReLU as two halves, one with the negated weights.
        self.smallest = (WEIGHT_MIN if layer.relu else -WEIGHT_MAX) / UNITS
        if layer.is_relay:
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
        return self._applied(self.weight).reshape(self.layer.weight.shape)

    def begin(self, shape: Shape) -> Shape:
        """Inputs of ``shape`` follow; returns that of the messages."""
        weight = self.quantised().detach()
        self._fan_out = by_pixel(fan_out(self.layer.geometry, weight, shape)[None])[0]
        used = (weight != 0).to(weight.dtype)
        self._n_used = self._sum_by_source(used).clamp(min=1)
        out = self.layer.geometry.output_shape(shape, tuple(self.layer.weight.shape))
        return out if self.layer.pool is None else self.layer.pool.output_shape(out)

    @torch.no_grad()
    def operations_per_message(self) -> Tensor:
        """What a message of each input neuron costs, [H, W, C].

        That was counted in ``begin``, and since then grows and shrinks with the number of the
        channel's weights that are not 0.
        """
        used = (self.quantised() != 0).to(self._fan_out.dtype)
        share = self._sum_by_source(used) / self._n_used
        if self.is_dense:  # a share a neuron, in the order of [C, H, W]
            height, width, channels = self._fan_out.shape
            share = share.reshape(channels, height, width).permute(1, 2, 0)
        return self._fan_out * share

    def _sum_by_source(self, used: Tensor) -> Tensor:
        return self.layer.geometry.sum_by_source(used, self.layer.input_shape[0])

    @torch.no_grad()
    def prune(self, share: float) -> None:
        """Take the smallest ``share`` of the weights for 0.

        They go on learning as if they were not, and come back when others have become smaller.
        """
        n_pruned = round(share * self.weight.numel())
        if n_pruned == 0 or not self.weight.requires_grad:
            self._kept = None
            return
        size = self.weight.abs()
        self._kept = size > size.flatten().kthvalue(n_pruned).values

    def forward(self, received: Tensor) -> Tensor:
        """What has been sent by each frame [N, T, H', W', O] by a layer that had received
        ``received`` [N, T, H, W, C] by then.
        """
        synaptic = by_pixel(weigh(self.block.synapse, by_frame(received)))
        reached: Tensor = self.neuron(synaptic.reshape(*received.shape[:2], *synaptic.shape[1:]))
        return reached

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
            bias = _whole(learned, np.int32, layer, "a learned bias")
        return replace(
            layer,
            weight=_whole(np.rint(steps) * WEIGHT_STEP, np.int16, layer, "a learned weight"),
            bias=bias,
            threshold=delta.threshold_units,
        )

    def _applied(self, weight: Tensor) -> Tensor:
        """Rounded, and without those that are pruned, of which gradients know nothing."""
        quantised: Tensor = self.neuron.quantize_8bit(weight)
        if self._kept is None:
            return quantised
        return quantised - (quantised * ~self._kept).detach()

    def _into_synapse(self, weight: Tensor) -> Tensor:
        applied = self._applied(weight)
        return F.pad(applied, self._padding) if any(self._padding) else applied


def _whole(values: NDArray[Any], dtype: Any, layer: SpecLayer, what: str) -> NDArray[Any]:
    advice = "the training has diverged, so train with a lower rate"
    named = f"layer {layer.name}: {what}"
    return narrowed(np.rint(values), dtype, named, advice=advice, error=ConversionError)


def weigh(synapse: Any, pictures: Tensor) -> Tensor:
    """What slayer's ``synapse`` makes of single pictures [n, C, H, W], without an axis of time."""
    weight = synapse.pre_hook_fx(synapse.weight)
    if isinstance(synapse, slayer.synapse.Dense):
        return F.linear(pictures.flatten(1), weight.flatten(1))[:, :, None, None]
    transposed = isinstance(synapse, slayer.synapse.ConvTranspose)
    convolve = F.conv_transpose2d if transposed else F.conv2d
    return convolve(
        pictures,
        weight[..., 0],
        stride=synapse.stride[:2],
        padding=synapse.padding[:2],
        dilation=synapse.dilation[:2],
        groups=synapse.groups,
    )
