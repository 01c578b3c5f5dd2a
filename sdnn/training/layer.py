"""A layer of the SDNN that learns: a slayer block that quantises its weights on the way in.

The layer gets the sums of the messages it received and computes its state from these sums with the
current weights. On the grid this equals slayer's order (weigh, then sum) exactly, allows 2-D
convolutions, and gives the state a gradient for the current weights.

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.layers import Synapse, with_synapses
from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.slayer.backend import block_synapses, build_block
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_MIN, WEIGHT_STEP, Grid
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer
from ann2sdnn.sdnn.spec.spec import SpecLayer
from ann2sdnn.sdnn.training.neuron import TrainingNeuron, by_frame, by_pixel
from ann2sdnn.support.training.grid import learned_integers


class TrainingSynapse:
    """A slayer synapse whose weight is latent: continuous, in scaled units.

    ``module``: slayer's, which holds the weight. ``quantise``: rounds a weight to the grid.
    """

    def __init__(self, module: Any, synapse: Synapse, quantise: Callable[[Tensor], Tensor]) -> None:
        self.synapse = synapse
        self._module, self._quantise = module, quantise
        # Taps that only make padding symmetric do not learn: they are added on the way.
        self._geometry, (top, left, bottom, right) = synapse.geometry.symmetric()
        self._padding = [0, 0, left, right, top, bottom]  # time, columns, rows
        shape = (*synapse.weight.shape, *module.weight.shape[synapse.weight.ndim :])
        module.weight = nn.Parameter(synapse.weight.clone().reshape(shape))
        module.pre_hook_fx = self._into_synapse
        self._kept: Tensor | None = None

    @property
    def weight(self) -> nn.Parameter:
        """The latent weight, with slayer's axis of time."""
        return self._module.weight  # type: ignore[no-any-return]

    def quantised(self) -> Tensor:
        """The weight as the synapse applies it, in the spec's layout."""
        return self._applied(self.weight).reshape(self.synapse.weight.shape)

    def begin(self, shape: Shape) -> None:
        """Prepare for inputs of ``shape``."""
        weight = self.quantised().detach()
        self._fan_out = by_pixel(fan_out(self.synapse.geometry, weight, shape)[None])[0]
        self._n_used = self._count_used().clamp(min=1)

    @torch.no_grad()
    def operations_per_message(self) -> Tensor:
        """Operations per message of each input neuron, [H, W, C].

        Counted in ``begin``, and from then on scaled with the number of its channel's non-zero
        weights.
        """
        share = self._count_used() / self._n_used
        if self.synapse.geometry.reads_flat:  # a share per neuron, in the order of [C, H, W]
            height, width, channels = self._fan_out.shape
            share = share.reshape(channels, height, width).permute(1, 2, 0)
        return self._fan_out * share

    @torch.no_grad()
    def _count_used(self) -> Tensor:
        """Number of non-zero weights per input channel (where a layer is dense, per neuron)."""
        used = (self.quantised() != 0).to(torch.float32)
        return self.synapse.geometry.sum_by_source(used, self.synapse.input_shape[0])

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

    def __call__(self, received: Tensor) -> Tensor:
        """Weighted sums [N T, H', W', O] for the sums of messages ``received`` [N, T, H, W, C]."""
        # The synapse without its axis of time.
        weight = self._into_synapse(self.weight)
        weight = weight.reshape(weight.shape[: self.synapse.weight.ndim])
        return by_pixel(self._geometry.linear(by_frame(received), weight))

    def integers(self, what: str) -> NDArray[np.int16]:
        """The learned weight in 1/64; ``what`` names one of its values in errors."""
        steps = (self.quantised() * (UNITS / WEIGHT_STEP)).round() * WEIGHT_STEP
        return learned_integers(steps, np.int16, what)

    def _applied(self, weight: Tensor) -> Tensor:
        """The quantised weight without the pruned ones; gradients ignore pruning."""
        quantised = self._quantise(weight)
        if self._kept is None:
            return quantised
        return quantised - (quantised * ~self._kept).detach()

    def _into_synapse(self, weight: Tensor) -> Tensor:
        applied = self._applied(weight)
        return F.pad(applied, self._padding) if any(self._padding) else applied


class TrainingLayer(nn.Module):
    """A slayer block whose synapses learn."""

    def __init__(self, layer: SigmaDeltaLayer, grid: Grid, slope: float | None) -> None:
        super().__init__()
        self.layer = layer
        self.block = build_block(layer)
        self.block.neuron = TrainingNeuron(layer, grid, slope)
        self.synapses = [
            TrainingSynapse(module, synapse, self.neuron.quantize_8bit)
            for module, synapse in zip(block_synapses(self.block), layer.synapses, strict=True)
        ]
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
        """The latent weight of the first synapse."""
        return self.synapses[0].weight

    def quantised(self) -> Tensor:
        """The weight of the first synapse as it is applied, in the spec's layout."""
        return self.synapses[0].quantised()

    def begin(self, shapes: Sequence[Shape]) -> None:
        """Prepare for inputs of ``shapes``, one for each synapse."""
        for synapse, shape in zip(self.synapses, shapes, strict=True):
            synapse.begin(shape)

    def forward(self, received: Sequence[Tensor]) -> Tensor:
        """Sum of the messages sent up to each frame [N, T, H', W', O].

        ``received``: for each synapse the sum of the messages received up to each frame
        [N, T, H, W, C].
        """
        weighted = [own(sums) for own, sums in zip(self.synapses, received, strict=True)]
        synaptic = sum(weighted[1:], weighted[0])
        reached: Tensor = self.neuron(synaptic.reshape(*received[0].shape[:2], *synaptic.shape[1:]))
        return reached

    @torch.no_grad()
    def clamp(self) -> None:
        """Clamp weights and threshold to the range of the spec."""
        for synapse in self.synapses:
            synapse.weight.clamp_(self.smallest, self.largest)
        delta = self.neuron.delta
        delta.threshold.clamp_(delta.least, self.neuron.message_cap)

    def to_spec(self, layer: SpecLayer) -> SpecLayer:
        """``layer`` with the learned weights, bias and threshold."""
        what = f"layer {layer.name}: a learned"
        synapses = [
            replace(old, weight=learned.integers(f"{what} weight"))
            for learned, old in zip(self.synapses, layer.synapses, strict=True)
        ]
        bias = layer.bias
        if bias is not None:
            units = self.neuron.bias.flatten() * UNITS
            bias = learned_integers(units, np.int32, f"{what} bias")
        threshold = self.neuron.delta.threshold_units
        return replace(with_synapses(layer, synapses), bias=bias, threshold=threshold)
