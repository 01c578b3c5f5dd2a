"""A layer of the SDNN that learns: a slayer block that quantises its weight on the way in.

The layer gets the sum of the messages it received and computes its state from that sum with the
current weights. On the grid this equals slayer's order (weigh, then sum) exactly, allows 2-D
convolutions, and gives the state a gradient for the current weights.

This module imports lava; import it only where slayer is going to be used.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.slayer.backend import build_block
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_MIN, WEIGHT_STEP, Grid
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer
from ann2sdnn.sdnn.spec.spec import SpecLayer
from ann2sdnn.sdnn.training.neuron import TrainingNeuron, by_frame, by_pixel
from ann2sdnn.support.training.grid import learned_integers


class TrainingLayer(nn.Module):
    """A slayer block whose weight is latent: continuous, in scaled units."""

    def __init__(self, layer: SigmaDeltaLayer, grid: Grid, slope: float | None) -> None:
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
        # netx holds a layer without ReLU as two halves, of which the second has negated weights.
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
        self._n_used = self._count_used().clamp(min=1)
        out = self.layer.geometry.output_shape(shape, tuple(self.layer.weight.shape))
        return out if self.layer.pool is None else self.layer.pool.output_shape(out)

    @torch.no_grad()
    def operations_per_message(self) -> Tensor:
        """Operations per message of each input neuron, [H, W, C].

        Counted in ``begin``, and from then on scaled with the number of its channel's non-zero
        weights.
        """
        share = self._count_used() / self._n_used
        if self.is_dense:  # a share per neuron, in the order of [C, H, W]
            height, width, channels = self._fan_out.shape
            share = share.reshape(channels, height, width).permute(1, 2, 0)
        return self._fan_out * share

    @torch.no_grad()
    def _count_used(self) -> Tensor:
        """Number of non-zero weights per input channel (where a layer is dense, per neuron)."""
        used = (self.quantised() != 0).to(torch.float32)
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
