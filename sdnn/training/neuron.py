r"""The sigma-delta neuron while it learns: lava-dl's, with the project's delta unit and a threshold
that is trained.

Forward it computes what ``slayer_neuron.Neuron`` computes, the threshold rounded to the grid. It is
written in sums where slayer's is written in messages: it takes states, which are weighted sums of
all that was received, and gives :math:`\tilde a`, all that it has sent so far. Values lie in memory
frame by frame and pixel by pixel, [N, T, H, W, C], as convolutions want them. Of what is not
differentiable the gradient is replaced:

- messages are floored and sent or not, but what the receiver has summed up follows the activation,
  so :math:`\partial \tilde a[t] / \partial a[t] = 1` (straight through, Bengio et al. 2013);
- "a message was sent" is taken for :math:`\sigma((|d| - \vartheta) / w)`, with a width ``w`` of a
  share of the threshold, so that the count of operations has a gradient for activations, which
  come to change less, and for thresholds;
- a higher threshold keeps back messages :math:`d` whose size is near it, at the same density.

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.operations import pool
from ann2sdnn.sdnn.engine.tensors import delta
from ann2sdnn.sdnn.slayer.neuron import Delta, Neuron
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer
from ann2sdnn.sdnn.spec.spec import UNITS, Grid
from ann2sdnn.sdnn.training.kernels import N_BLOCKS, send, send_backward
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.threads import follow_torch
from ann2sdnn.support.training.grid import learned_integers, range_penalty, straight_through

_WIDTH = 0.3  # of the surrogate, in thresholds
_NEAR_LIMIT = 1.1  # limits over this are where the hinge begins


class _Send(torch.autograd.Function):
    """The delta unit over a sequence, and what its messages cost.

    In torch, for accelerators; ``_CompiledSend`` is the same for the CPU.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes them by position)
        ctx: Any,
        activation: Tensor,
        threshold: Tensor,
        sent: Tensor,
        fan_out: Tensor,
        threshold_step: float,
        message_step: float,
    ) -> tuple[Tensor, Tensor]:
        """``activation`` [N, T, H, W, C], ``sent`` [N, H, W, C] before it, ``fan_out`` [H, W, C];
        what has been sent by each frame, like ``activation``, and operations [N, T].
        """
        on_grid = torch.round(threshold / threshold_step) * threshold_step
        changes, reached = torch.empty_like(activation), torch.empty_like(activation)
        operations = activation.new_empty(activation.shape[:2])
        for t in range(activation.shape[1]):
            changes[:, t], message, sent = delta(activation[:, t], sent, on_grid, message_step)
            operations[:, t] = (message != 0).flatten(1).to(fan_out.dtype) @ fan_out.flatten()
            reached[:, t] = sent
        ctx.save_for_backward(changes, threshold.clamp(min=message_step), fan_out)
        return reached, operations

    @staticmethod
    def backward(ctx: Any, grad_reached: Tensor, grad_operations: Tensor) -> Any:
        changes, threshold, fan_out = ctx.saved_tensors
        n_neurons = fan_out.numel()
        # Most neurons do not change at all, and those have no part in what follows.
        place = torch.nonzero(changes.flatten()).flatten()
        change = changes.flatten()[place]
        sent = torch.sigmoid((change.abs() - threshold) / (_WIDTH * threshold))
        density = sent * (1 - sent) / (_WIDTH * threshold)
        price = grad_operations.flatten()[place // n_neurons]
        cost = density * fan_out.flatten()[place % n_neurons] * price
        # What is kept back is missing from then on.
        missing = grad_reached.clone()
        for t in range(missing.shape[1] - 2, -1, -1):
            missing[:, t] += missing[:, t + 1]
        kept_back = density * change * missing.flatten()[place]
        grad_threshold = -(kept_back + cost).sum().reshape(1)
        grad_change = torch.zeros_like(changes)
        grad_change.view(-1)[place] = cost * change.sign()
        grad_activation = grad_reached + grad_change
        grad_activation[:, :-1] -= grad_change[:, 1:]
        return grad_activation, grad_threshold, None, None, None, None


class _CompiledSend(torch.autograd.Function):
    """``_Send`` for the CPU, in one pass forward and one backward."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes them by position)
        ctx: Any,
        activation: Tensor,
        threshold: Tensor,
        sent: Tensor,
        fan_out: Tensor,
        threshold_step: float,
        message_step: float,
    ) -> tuple[Tensor, Tensor]:
        follow_torch()
        activation = activation.contiguous()
        on_grid = float(torch.round(threshold / threshold_step)) * threshold_step
        changes, reached = torch.empty_like(activation), torch.empty_like(activation)
        operations = torch.empty(*activation.shape[:2], N_BLOCKS)
        send(
            activation.flatten(2).numpy(),
            sent.flatten(1).contiguous().numpy(),
            np.float32(on_grid),
            np.float32(message_step),
            fan_out.flatten().numpy(),
            changes.flatten(2).numpy(),
            reached.flatten(2).numpy(),
            operations.numpy(),
        )
        ctx.save_for_backward(changes, fan_out)
        ctx.threshold = max(float(threshold), message_step)
        return reached, operations.sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, grad_reached: Tensor, grad_operations: Tensor) -> Any:
        changes, fan_out = ctx.saved_tensors
        follow_torch()
        grad_activation = torch.empty_like(changes)
        grad_threshold = torch.zeros(N_BLOCKS)
        send_backward(
            changes.flatten(2).numpy(),
            np.float32(ctx.threshold),
            np.float32(_WIDTH),
            fan_out.flatten().numpy(),
            grad_reached.contiguous().flatten(2).numpy(),
            grad_operations.contiguous().numpy(),
            grad_activation.flatten(2).numpy(),
            grad_threshold.numpy(),
        )
        total = grad_threshold.sum().reshape(1)
        return grad_activation, total, None, None, None, None


class TrainingDelta(Delta):
    """Delta encoder whose ``threshold`` learns, and that counts what its messages cost.

    ``fan_out`` [H, W, C]: operations that a message of each neuron causes. Of the last call:
    ``operations`` [N, T], and what had been sent ``before`` it, [N, H, W, C].
    """

    fan_out: Tensor
    operations: Tensor
    before: Tensor

    def __init__(self, threshold: float, threshold_step: float, message_step: float) -> None:
        super().__init__(threshold, message_step, persistent_state=True, requires_grad=True)
        self.threshold_step = threshold_step
        self.message_step = message_step
        # Half a unit is rounded to none, and can grow in proportion to itself.
        self.least = threshold_step / 2
        self.threshold.data.clamp_(min=self.least)

    @property
    def threshold_units(self) -> int:
        """The threshold as the spec holds it."""
        units = self.threshold / self.threshold_step
        return int(learned_integers(units, np.int64, "a learned threshold").item())

    def forward(self, input: Tensor) -> Tensor:
        """What has been sent by each frame, for activations; both [N, T, H, W, C].

        Raises UsageError for other shapes than the frames before, or than ``fan_out``.
        """
        one = input[:, 0].shape
        if self.fan_out.shape != one[1:] or (self.sent is not None and self.sent.shape != one):
            raise UsageError(
                f"activations of shape {list(input.shape)} after others, or for messages to"
                f" {list(self.fan_out.shape)}; begin again for frames of another size"
            )
        self.before = torch.zeros_like(input[:, 0]) if self.sent is None else self.sent
        unit: Any = _CompiledSend if input.device.type == "cpu" else _Send
        apply: Callable[..., tuple[Tensor, Tensor]] = unit.apply
        reached, self.operations = apply(
            input,
            self.threshold,
            self.before.detach(),
            self.fan_out,
            self.threshold_step,
            self.message_step,
        )
        self.sent = reached[:, -1].detach().clone()
        return reached


class TrainingNeuron(Neuron):
    """Lava-dl's neuron with a delta unit that learns.

    Its input is the state, already summed up, so its sigma only passes it on, for listeners.
    """

    delta: TrainingDelta
    near: tuple[tuple[Tensor, float], ...]
    """Of the last call, the states without and with bias and the activations, each with the cap
    where its range penalty begins."""

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        grid: Grid,
        slope: float | None,
    ) -> None:
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
