"""The SDNN that learns: slayer blocks whose weights are quantised on their way into the synapse.

Each layer keeps the sum of the messages it received and computes its state from that sum with the
current weights. On the grid this equals slayer's order (weigh, then sum) exactly, allows 2-D
convolutions, and gives the state a gradient for the current weights. Only what was sent is carried
from chunk to chunk, detached.

This module imports lava; import it only where slayer is going to be used.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.slayer.backend import build_block
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, network_from_spec
from ann2sdnn.sdnn.spec.spec import (
    UNITS,
    WEIGHT_MAX,
    WEIGHT_MIN,
    WEIGHT_STEP,
    Grid,
    Spec,
    SpecLayer,
)
from ann2sdnn.sdnn.training.neuron import TrainingNeuron, by_frame, by_pixel, excess_of
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.frame_check import check_frames
from ann2sdnn.support.training.grid import learned_integers


class Pass(NamedTuple):
    """Results for a chunk of T frames of N runs; the first three have gradients."""

    maps: Tensor
    """Decoded outputs in the original network's units [N, T, O, H, W]."""
    operations: Tensor
    """Synaptic operations [N, T]."""
    excess: Tensor
    """Range penalty."""
    sent: tuple[tuple[Tensor, Tensor], ...]
    """Per input and layer, the sum of its messages before the chunk [N, H, W, C] and after each
    frame [N, T, H, W, C]."""

    def messages(self) -> tuple[Tensor, ...]:
        """Messages of the input and each layer, in slayer's layout [N, C, H, W, T]."""
        return tuple(
            torch.diff(reached, dim=1, prepend=before[:, None]).permute(0, 4, 2, 3, 1)
            for before, reached in self.sent
        )


class TrainableSdnn(nn.Module):
    """A spec whose weights, biases and thresholds learn.

    Relays do not learn, nor does the last threshold, which saves no operation. Raises UsageError
    for a spec with memoryless layers.
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
                spec.grid,
                output_slope if index == last else None,
            )
            for index, layer in enumerate(network.layers)
        )
        self.trained[-1].neuron.delta.threshold.requires_grad_(False)
        self.register_buffer("output_scale", network.output_scale, persistent=False)

    @property
    def trained(self) -> tuple["TrainingLayer", ...]:
        """The layers."""
        return tuple(layer for layer in self.layers if isinstance(layer, TrainingLayer))

    def begin(self, height: int, width: int) -> None:
        """Reset all states and prepare for frames of this size.

        Raises UsageError for another size than the spec's where a layer is dense.
        """
        shape: Shape = (self.spec.input_shape[0], height, width)
        if shape != self.spec.input_shape and any(layer.is_dense for layer in self.trained):
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
        """Update the operations per message to the current weights."""
        costs = [layer.operations_per_message() for layer in self.trained]
        self._input_fan_out = costs[0]
        for layer, cost in zip(self.trained, (*costs[1:], self._nothing), strict=True):
            layer.neuron.delta.fan_out = cost

    def prune(self, share: float) -> None:
        """Set the smallest ``share`` of the weights of each inner layer to 0."""
        for layer in self.trained[1:-1]:
            layer.prune(share)

    def forward(self, frames: Tensor) -> Pass:
        """Run the next frames [N, C, H, W, T], uint8, of the size given to ``begin``.

        Raises DataError for frames of another shape or type, and for T = 0.
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
        """The spec that was learned so far."""
        pairs = zip(self.trained, self.spec.layers, strict=True)
        return replace(self.spec, layers=tuple(layer.to_spec(old) for layer, old in pairs))


class TrainingLayer(nn.Module):
    """A slayer block whose weight is latent: continuous, in scaled units."""

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        grid: Grid,
        slope: float | None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.is_dense = layer.geometry.reads_flat
        self.block = build_block(layer)
        self.block.neuron = TrainingNeuron(layer, grid, slope)
        # Taps that only make padding symmetric do not learn: they are added on the way.
        self._geometry, (top, left, bottom, right) = layer.geometry.symmetric()
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
        """The weight as the synapse applies it, in the spec's layout."""
        return self._applied(self.weight).reshape(self.layer.weight.shape)

    def begin(self, shape: Shape) -> Shape:
        """Prepare for inputs of ``shape``; returns the shape of the messages."""
        weight = self.quantised().detach()
        self._fan_out = by_pixel(fan_out(self.layer.geometry, weight, shape)[None])[0]
        used = (weight != 0).to(weight.dtype)
        self._n_used = self._sum_by_source(used).clamp(min=1)
        out = self.layer.geometry.output_shape(shape, tuple(self.layer.weight.shape))
        return out if self.layer.pool is None else self.layer.pool.output_shape(out)

    @torch.no_grad()
    def operations_per_message(self) -> Tensor:
        """Operations per message of each input neuron, [H, W, C].

        Counted in ``begin``, and from then on scaled with the number of its channel's non-zero
        weights.
        """
        used = (self.quantised() != 0).to(self._fan_out.dtype)
        share = self._sum_by_source(used) / self._n_used
        if self.is_dense:  # a share per neuron, in the order of [C, H, W]
            height, width, channels = self._fan_out.shape
            share = share.reshape(channels, height, width).permute(1, 2, 0)
        return self._fan_out * share

    def _sum_by_source(self, used: Tensor) -> Tensor:
        return self.layer.geometry.sum_by_source(used, self.layer.input_shape[0])

    @torch.no_grad()
    def prune(self, share: float) -> None:
        """Apply the smallest ``share`` of the weights as 0.

        They continue to learn, and return when others have become smaller.
        """
        n_pruned = round(share * self.weight.numel())
        if n_pruned == 0 or not self.weight.requires_grad:
            self._kept = None
            return
        size = self.weight.abs()
        self._kept = size > size.flatten().kthvalue(n_pruned).values

    def forward(self, received: Tensor) -> Tensor:
        """Sum of the messages sent up to each frame [N, T, H', W', O].

        ``received``: sum of the messages received up to each frame [N, T, H, W, C].
        """
        # The synapse without its axis of time.
        weight = self._into_synapse(self.weight)
        weight = weight.reshape(weight.shape[: self.layer.weight.ndim])
        synaptic = by_pixel(self._geometry.linear(by_frame(received), weight))
        reached: Tensor = self.neuron(synaptic.reshape(*received.shape[:2], *synaptic.shape[1:]))
        return reached

    @torch.no_grad()
    def clamp(self) -> None:
        """Clamp weights and threshold to the range of the spec."""
        self.weight.clamp_(self.smallest, self.largest)
        delta = self.neuron.delta
        delta.threshold.clamp_(delta.least, self.neuron.message_cap)

    def to_spec(self, layer: SpecLayer) -> SpecLayer:
        """``layer`` with the learned weights, bias and threshold."""
        steps = (self.quantised() * (UNITS / WEIGHT_STEP)).round() * WEIGHT_STEP
        weight = learned_integers(steps, np.int16, f"layer {layer.name}: a learned weight")
        bias = layer.bias
        if bias is not None:
            units, what = self.neuron.bias.flatten() * UNITS, f"layer {layer.name}: a learned bias"
            bias = learned_integers(units, np.int32, what)
        return replace(layer, weight=weight, bias=bias, threshold=self.neuron.delta.threshold_units)

    def _applied(self, weight: Tensor) -> Tensor:
        """The quantised weight without the pruned ones; gradients ignore pruning."""
        quantised: Tensor = self.neuron.quantize_8bit(weight)
        if self._kept is None:
            return quantised
        return quantised - (quantised * ~self._kept).detach()

    def _into_synapse(self, weight: Tensor) -> Tensor:
        applied = self._applied(weight)
        return F.pad(applied, self._padding) if any(self._padding) else applied
