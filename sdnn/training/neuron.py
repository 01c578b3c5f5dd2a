"""The sigma-delta neuron while it learns: lava-dl's, with a delta unit whose threshold learns.

It is written in sums where slayer's is written in messages: its input is the state, the weighted
sum of all messages received, and its output the sum of all messages sent. Values lie in memory
frame by frame and pixel by pixel, [N, T, H, W, C].

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ann2sdnn.graph.operations import pool
from ann2sdnn.sdnn.slayer.neuron import Neuron
from ann2sdnn.sdnn.spec.grid import UNITS, Grid
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer
from ann2sdnn.sdnn.training.delta import TrainingDelta
from ann2sdnn.support.training.grid import range_penalty, straight_through

_NEAR_LIMIT = 1.1  # the range penalty begins at the limits over this


class TrainingNeuron(Neuron):
    """Lava-dl's neuron with a delta unit that learns.

    Its input is the state, already summed up, so its sigma only passes it on, for listeners.
    """

    delta: TrainingDelta
    near: tuple[tuple[Tensor, float], ...]
    """Of the last call, the states without and with bias and the activations, each with the cap
    where its range penalty begins."""

    def __init__(self, layer: SigmaDeltaLayer, grid: Grid, slope: float | None) -> None:
        """``slope``: gradient of a ReLU where it is silent; None for 0."""
        super().__init__(layer, grid, activation=_activation(layer.relu, slope))
        self.sigma = torch.nn.Identity()
        self.delta = TrainingDelta(layer.threshold, grid.threshold_step, grid.message_step)
        self.state_cap = grid.state_limit / _NEAR_LIMIT
        self.message_cap = grid.message_limit / _NEAR_LIMIT
        if self.bias_is_set:
            self.bias.requires_grad_(True)

    def forward(self, input: Tensor) -> Tensor:
        """Sum of the messages up to each frame [N, T, H', W', C] for states [N, T, H, W, C]."""
        state = z = self.sigma(input)
        # The state without bias wraps round; with bias it has to fit as well.
        self.near = ((state, self.state_cap),)
        if self.bias_is_set:
            bias = self.bias.flatten()
            z = state + straight_through(bias, torch.round(bias * UNITS) / UNITS)
            self.near += ((z, self.state_cap),)
        activation = self._pooled(self.activation(z)) * self.send_gain
        self.near += ((activation, self.message_cap),)
        reached: Tensor = self.delta(activation)
        return reached

    def _pooled(self, activation: Tensor) -> Tensor:
        if self.pool is None:
            return activation
        pooled = by_pixel(pool(self.pool, by_frame(activation)))
        return pooled.reshape(*activation.shape[:2], *pooled.shape[1:])


def by_frame(values: Tensor) -> Tensor:
    """[N, T, H, W, C] as pictures [N T, C, H, W], channels last in memory; a view."""
    return values.flatten(0, 1).permute(0, 3, 1, 2)


def by_pixel(pictures: Tensor) -> Tensor:
    """[n, C, H, W] as [n, H, W, C]; a view where channels are last in memory."""
    return pictures.permute(0, 2, 3, 1).contiguous()


def _activation(relu: bool, slope: float | None) -> Callable[[Tensor], Tensor]:
    if not relu:
        return torch.nn.Identity()
    if slope is None:
        return torch.relu
    # Of the negative values only the gradient passes.
    return lambda z: z.relu() + slope * straight_through(z.clamp(max=0), torch.zeros_like(z))


def excess_of(near: Sequence[tuple[Tensor, float]]) -> Tensor:
    """Range penalty of all pairs of values [N, T, H, W, C] and their cap."""
    with torch.no_grad():
        largest = torch.stack([torch.stack(torch.aminmax(x)).abs().max() / cap for x, cap in near])
    # As a rule none exceeds its cap, which saves a pass back through all values.
    excess = largest.new_zeros(())
    for (values, cap), most in zip(near, largest.tolist(), strict=True):
        if most > 1:
            excess = excess + range_penalty(values, cap, -1)
    return excess
