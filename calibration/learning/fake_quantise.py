r"""Fake quantisation: the network on the grid with latent weights that learn.

Latent weights in multiples of the weight step are rounded in the forward pass, and the gradient
passes the rounding as if it were not there (straight through, Bengio et al. 2013); messages are
floored in the same way. Training on labels (``training/on_grid.py``) and distillation
(``learning/distil.py``) differ in the loss alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.calibration.rounding.rounded import (
    IntArray,
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
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed

_DIVERGED = "the training has diverged, so train with a lower rate"
_FEWEST_STEPS = 2.0  # root mean square that a layer's rate is relative to, at least


class FakeQuantised(torch.nn.Module):
    """``rounded`` with weights that learn; its parameters are the latent weights, by layer."""

    def __init__(
        self, graph: Graph, plan: RangePlan, rounded: Rounded, *, near_limit: float
    ) -> None:
        """``near_limit``: limits over this are where the penalty begins."""
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
            torch.from_numpy(one.steps.astype(np.float32)) for one in rounded
        )

    def forward(self, frames: Tensor, output_slope: float = 0.0) -> tuple[Tensor, Tensor]:
        """The decoded output for uint8 frames [N, C, H, W], and how far states and messages are
        beyond where the penalty begins. ``output_slope``: what a last ReLU without pooling passes
        of negative values, so that a silent map learns.
        """
        # Half precision has not the bits of a message, whatever the rest of a training uses.
        with torch.autocast(frames.device.type, enabled=False):
            return self._answer(frames, output_slope)

    def _answer(self, frames: Tensor, output_slope: float) -> tuple[Tensor, Tensor]:
        x = self.network.encode(frames)
        over = torch.zeros((), device=x.device)
        last = len(self.layers) - 1
        for index, (one, latent) in enumerate(zip(self.layers, self.latent, strict=True)):
            state = linear(one.layer.geometry, x, _weight(one, latent))
            z = with_bias(one, state)
            value = sent_value(one, z)
            if index == last and output_slope and one.layer.relu and one.layer.pool is None:
                value = value + output_slope * one.plan.send_gain * z.clamp(max=0)
            # The state wraps round, and it is without the bias; with it, it has to fit as well.
            over = over + _hinge(state, self.state_cap) + _hinge(value, self.message_cap)
            if one.bias is not None:
                over = over + _hinge(z, self.state_cap)
            x = _floored(value, self.message_step)
        return x / self.scale, over

    def rates(self, rate: float) -> list[float]:
        """Learning rates of the layers: ``rate`` times the root mean square of the weights."""
        sizes = [float(weight.detach().square().mean().sqrt()) for weight in self.latent]
        return [rate * max(_FEWEST_STEPS, size) for size in sizes]

    @torch.no_grad()
    def clamp(self) -> None:
        """Put latent weights that have left the legal ones back to the border."""
        for weight, one in zip(self.latent, self.layers, strict=True):
            weight.clamp_(*step_limits(one.layer, one.plan))

    def rounded(self) -> Rounded:
        """The layers with the latent weights rounded."""
        return tuple(
            replace(one, steps=_whole(weight, one))
            for one, weight in zip(self.layers, self.latent, strict=True)
        )

    @torch.no_grad()
    def start_from(self, steps: Sequence[Tensor]) -> None:
        """Set the latent weights, in multiples of the weight step."""
        for weight, value in zip(self.latent, steps, strict=True):
            weight.copy_(value)
        self.clamp()


def _whole(weight: Tensor, one: RoundedLayer) -> IntArray:
    rounded = weight.detach().cpu().round().numpy()
    what = f"layer {one.layer.name}: a learned weight"
    return narrowed(rounded, np.int64, what, advice=_DIVERGED, error=ConversionError)


def _weight(one: RoundedLayer, latent: Tensor) -> Tensor:
    """The rounded weight in scaled units; its gradient reaches the latent one."""
    rounded = latent + (latent.round() - latent).detach()
    return channels_last(rounded * one.plan.weight_step)


def _floored(value: Tensor, step: float) -> Tensor:
    with torch.no_grad():
        lost = (value / step).floor_().mul_(step).sub_(value)
    return value + lost


def _hinge(values: Tensor, cap: float) -> Tensor:
    """Mean square of what the largest values of each channel exceed ``cap`` by, over ``cap``."""
    top, bottom = values.amax(dim=(0, 2, 3)), -values.amin(dim=(0, 2, 3))
    return (torch.maximum(top, bottom) / cap - 1).relu().square().sum()
