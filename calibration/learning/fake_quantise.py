"""Fake quantisation: the network on the grid with latent weights that learn.

Latent weights, in multiples of the weight step, are rounded in the forward pass, and messages
towards 0; gradients pass both unchanged (straight through, Bengio et al. 2013). Training on labels
(``ann.training.on_grid``) and distillation differ in the loss only.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.calibration.rounding.rounded import (
    QuantisedNetwork,
    Rounded,
    RoundedLayer,
    sent_value,
    step_limits,
    with_bias,
)
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import channels_last, linear
from ann2sdnn.support.training.grid import learned_integers, range_penalty, straight_through

Reads = Callable[[int, Tensor], None]
"""Called with a layer's index and the messages [N, C, H, W] that it reads."""
Sends = Callable[[int, Tensor], Tensor]
"""Makes of a layer's index and messages [N, C, H, W] those that it reads instead."""

_FEWEST_STEPS = 2.0  # layers with smaller weights (RMS) learn as fast as this


class FakeQuantised(torch.nn.Module):
    """``rounded`` with weights that learn; its parameters are the latent weights per layer."""

    def __init__(
        self, graph: Graph, plan: RangePlan, rounded: Rounded, *, near_limit: float
    ) -> None:
        """``near_limit``: the range penalty begins at the limits over this."""
        super().__init__()
        self.network = QuantisedNetwork(graph, plan, rounded)
        self.layers = rounded
        self.message_step = plan.grid.message_step
        self.state_cap = plan.grid.state_limit / near_limit
        self.message_cap = plan.grid.message_limit / near_limit
        scale = torch.from_numpy(plan.layers[-1].sent).to(torch.float32)[:, None, None]
        self.scale: Tensor
        self.register_buffer("scale", scale, persistent=False)
        self.latent = torch.nn.ParameterList(
            torch.from_numpy(layer.steps.astype(np.float32)) for layer in rounded
        )

    def forward(
        self,
        frames: Tensor,
        output_slope: float = 0.0,
        reads: Reads | None = None,
        sends: Sends | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The decoded output for uint8 frames [N, C, H, W], and the range penalty.

        ``output_slope``: slope of a last ReLU without pooling for negative values, so that a
        silent map learns. ``reads`` and then ``sends`` are called for every layer.
        """
        # Half precision has too few bits for a message, whatever the rest of a training uses.
        with torch.autocast(frames.device.type, enabled=False):
            return self._run(frames, output_slope, reads, sends)

    def _run(
        self, frames: Tensor, output_slope: float, reads: Reads | None, sends: Sends | None
    ) -> tuple[Tensor, Tensor]:
        x = self.network.encode(frames)
        over = torch.zeros((), device=x.device)
        last = len(self.layers) - 1
        for index, (layer, latent) in enumerate(zip(self.layers, self.latent, strict=True)):
            if reads is not None:
                reads(index, x)
            if sends is not None:
                x = sends(index, x)
            state = linear(layer.layer.geometry, x, _weight(layer, latent))
            z = with_bias(layer, state)
            value = sent_value(layer, z)
            if index == last and output_slope and layer.layer.relu and layer.layer.pool is None:
                value = value + output_slope * layer.plan.send_gain * z.clamp(max=0)
            # The state without bias wraps round; with bias it has to fit as well.
            over = over + range_penalty(state, self.state_cap, 1)
            over = over + range_penalty(value, self.message_cap, 1)
            if layer.bias is not None:
                over = over + range_penalty(z, self.state_cap, 1)
            x = _rounded(value, self.message_step)
        return x / self.scale, over

    def rates(self, rate: float) -> list[float]:
        """Learning rate per layer: ``rate`` times the root mean square of its weights."""
        sizes = [float(weight.detach().square().mean().sqrt()) for weight in self.latent]
        return [rate * max(_FEWEST_STEPS, size) for size in sizes]

    @torch.no_grad()
    def clamp(self) -> None:
        """Clamp the latent weights to 8 bits."""
        for weight, layer in zip(self.latent, self.layers, strict=True):
            weight.clamp_(*step_limits(layer.layer, layer.plan))

    def rounded(self) -> Rounded:
        """The layers with the latent weights rounded."""
        return tuple(
            replace(
                layer,
                steps=learned_integers(
                    weight, np.int64, f"layer {layer.layer.name}: a learned weight"
                ),
            )
            for layer, weight in zip(self.layers, self.latent, strict=True)
        )

    @torch.no_grad()
    def start_from(self, steps: Sequence[Tensor]) -> None:
        """Set the latent weights, in multiples of the weight step."""
        for weight, value in zip(self.latent, steps, strict=True):
            weight.copy_(value)
        self.clamp()


def _weight(rounded: RoundedLayer, latent: Tensor) -> Tensor:
    """The rounded weight in scaled units; its gradient reaches the latent weight."""
    return channels_last(straight_through(latent, latent.round()) * rounded.plan.weight_step)


def _rounded(value: Tensor, step: float) -> Tensor:
    with torch.no_grad():
        rounded = (value * (1 / step)).trunc_().mul_(step)  # exact: a power of two
    return straight_through(value, rounded)
