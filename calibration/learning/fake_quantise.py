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
    decoded,
    sent_value,
    step_limits,
    with_bias,
)
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import channels_last, summed
from ann2sdnn.graph.planes import Planes
from ann2sdnn.support.training.grid import learned_integers, range_penalty, straight_through

Reads = Callable[[int, Tensor], None]
"""Called with the number of a plane that layers read, and its messages [N, C, H, W]."""
Sends = Callable[[int, Tensor], Tensor]
"""Makes of the number of a plane and its messages [N, C, H, W] those that layers read instead."""

_FEWEST_STEPS = 2.0  # layers with smaller weights (RMS) learn as fast as this


class FakeQuantised(torch.nn.Module):
    """``rounded`` with weights that learn; its parameters are the latent weights per synapse."""

    def __init__(
        self, graph: Graph, plan: RangePlan, rounded: Rounded, *, near_limit: float
    ) -> None:
        """``near_limit``: the range penalty begins at the limits over this."""
        super().__init__()
        self.network = QuantisedNetwork(graph, plan, rounded)
        self.graph, self.plan = graph, plan
        self.layers = rounded
        self.message_step = plan.grid.message_step
        self.state_cap = plan.grid.state_limit / near_limit
        self.message_cap = plan.grid.message_limit / near_limit
        self.latent = torch.nn.ParameterList(
            torch.from_numpy(steps.astype(np.float32)) for layer in rounded for steps in layer.steps
        )
        ends = np.cumsum([len(layer.steps) for layer in rounded])
        self._own = [slice(end - len(x.steps), end) for end, x in zip(ends, rounded, strict=True)]

    def forward(
        self,
        frames: Tensor,
        output_slope: float = 0.0,
        reads: Reads | None = None,
        sends: Sends | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The decoded output for uint8 frames [N, C, H, W], and the range penalty.

        ``output_slope``: slope of an output's ReLU without pooling for negative values, so that a
        silent map learns. ``reads`` and then ``sends`` are called for every plane that is read.
        """
        # Half precision has too few bits for a message, whatever the rest of a training uses.
        with torch.autocast(frames.device.type, enabled=False):
            return self._run(frames, output_slope, reads, sends)

    def _run(
        self, frames: Tensor, output_slope: float, reads: Reads | None, sends: Sends | None
    ) -> tuple[Tensor, Tensor]:
        def passed_on(plane: int, x: Tensor) -> Tensor:
            if not self.graph.readers[plane]:
                return x
            if reads is not None:
                reads(plane, x)
            return x if sends is None else sends(plane, x)

        planes = Planes(self.graph, passed_on(0, self.network.encode(frames)))
        over = torch.zeros((), device=frames.device)
        for index, layer in enumerate(self.layers):
            weights = [
                _weight(layer, number, latent)
                for number, latent in enumerate(self.latent_of(index))
            ]
            state = summed(layer.layer, planes.inputs(), weights)
            z = with_bias(layer, state)
            value = sent_value(layer, z)
            if output_slope and self._learns_below_zero(index):
                value = value + output_slope * layer.plan.send_gain * z.clamp(max=0)
            # The state without bias wraps round; with bias it has to fit as well.
            over = over + range_penalty(state, self.state_cap, 1)
            over = over + range_penalty(value, self.message_cap, 1)
            if layer.layer.bias is not None:
                over = over + range_penalty(z, self.state_cap, 1)
            planes.put(passed_on(index + 1, _rounded(value, self.message_step)))
        return decoded(self.graph, self.plan, planes.outputs), over

    def _learns_below_zero(self, index: int) -> bool:
        """Whether layer ``index`` is an output of its own, with a ReLU and without pooling."""
        layer = self.layers[index].layer
        return not self.graph.readers[index + 1] and layer.relu and layer.pool is None

    def latent_of(self, index: int) -> list[Tensor]:
        """The latent weights of the synapses of layer ``index``."""
        return list(self.latent)[self._own[index]]

    def rates(self, rate: float) -> list[float]:
        """Learning rate per layer: ``rate`` times the root mean square of its weights."""
        sizes = [float(weight.detach().square().mean().sqrt()) for weight in self.latent]
        return [rate * max(_FEWEST_STEPS, size) for size in sizes]

    @torch.no_grad()
    def clamp(self) -> None:
        """Clamp the latent weights to 8 bits."""
        for index, layer in enumerate(self.layers):
            for number, weight in enumerate(self.latent_of(index)):
                weight.clamp_(*step_limits(layer.layer, layer.plan, number))

    def rounded(self) -> Rounded:
        """The layers with the latent weights rounded."""
        return tuple(
            replace(
                layer,
                steps=tuple(
                    learned_integers(
                        weight, np.int64, f"layer {layer.layer.name}: a learned weight"
                    )
                    for weight in self.latent_of(index)
                ),
            )
            for index, layer in enumerate(self.layers)
        )

    @torch.no_grad()
    def start_from(self, steps: Sequence[Tensor]) -> None:
        """Set the latent weights, in multiples of the weight step."""
        for weight, value in zip(self.latent, steps, strict=True):
            weight.copy_(value)
        self.clamp()


def _weight(rounded: RoundedLayer, number: int, latent: Tensor) -> Tensor:
    """The rounded weight of a synapse in scaled units; its gradient reaches the latent weight."""
    step = rounded.plan.weight_step(number)
    return channels_last(straight_through(latent, latent.round()) * step)


def _rounded(value: Tensor, step: float) -> Tensor:
    with torch.no_grad():
        rounded = (value * (1 / step)).trunc_().mul_(step)  # exact: a power of two
    return straight_through(value, rounded)
