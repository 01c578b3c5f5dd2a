r"""The delta unit while it learns: its forward pass in sums, and surrogate gradients.

It takes activations and gives :math:`\tilde a`, the sum of all messages sent. Forward it equals
``slayer.neuron.Delta`` with the threshold rounded to the grid. Where it is not differentiable, the
gradient is replaced:

- The receiver's sum is taken to follow the activation,
  :math:`\partial \tilde a[t] / \partial a[t] = 1` (straight through, Bengio et al. 2013).
- "A message was sent" is taken for :math:`\sigma((|d| - \vartheta) / w)`, whose width ``w`` is
  a share of the threshold. So the count of operations has a gradient for activations, which change
  less then, and for thresholds.
- A higher threshold holds back messages :math:`d` whose size is near it, with the same density.

Values lie in memory frame by frame and pixel by pixel, [N, T, H, W, C], as convolutions need them.

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.sdnn.engine.tensors import delta
from ann2sdnn.sdnn.engine.threads import follow_torch
from ann2sdnn.sdnn.slayer.neuron import Delta
from ann2sdnn.sdnn.training.kernels import N_BLOCKS, send, send_backward
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.training.grid import learned_integers

_WIDTH = 0.3  # of the surrogate, in thresholds


class Send(torch.autograd.Function):
    """The delta unit over a sequence, and the operations that its messages cause.

    ``compiled``: in one compiled pass, for the CPU; otherwise the same in torch.
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
        compiled: bool,
    ) -> tuple[Tensor, Tensor]:
        """The sum of messages after each frame, [N, T, H, W, C], and operations [N, T].

        ``activation`` [N, T, H, W, C]; ``sent`` [N, H, W, C]: sum of messages before the first
        frame; ``fan_out`` [H, W, C]: operations per message.
        """
        on_grid = torch.round(threshold / threshold_step) * threshold_step
        run = _compiled if compiled else _in_torch
        changes, reached, operations = run(activation, sent, on_grid, fan_out, message_step)
        ctx.save_for_backward(changes, threshold.clamp(min=message_step), fan_out)
        ctx.compiled = compiled
        return reached, operations

    @staticmethod
    def backward(ctx: Any, grad_reached: Tensor, grad_operations: Tensor) -> Any:
        """The surrogate gradients of activation and threshold."""
        run = _compiled_backward if ctx.compiled else _backward_in_torch
        changes, threshold, fan_out = ctx.saved_tensors
        gradients = run(changes, threshold, fan_out, grad_reached, grad_operations)
        return *gradients, None, None, None, None, None


def _in_torch(
    activation: Tensor, sent: Tensor, threshold: Tensor, fan_out: Tensor, message_step: float
) -> tuple[Tensor, Tensor, Tensor]:
    changes, reached = torch.empty_like(activation), torch.empty_like(activation)
    operations = activation.new_empty(activation.shape[:2])
    for t in range(activation.shape[1]):
        changes[:, t], message, sent = delta(activation[:, t], sent, threshold, message_step)
        operations[:, t] = (message != 0).flatten(1).to(fan_out.dtype) @ fan_out.flatten()
        reached[:, t] = sent
    return changes, reached, operations


def _backward_in_torch(
    changes: Tensor,
    threshold: Tensor,
    fan_out: Tensor,
    grad_reached: Tensor,
    grad_operations: Tensor,
) -> tuple[Tensor, Tensor]:
    n_neurons = fan_out.numel()
    # Most neurons do not change at all, and have no part in what follows.
    place = torch.nonzero(changes.flatten()).flatten()
    change = changes.flatten()[place]
    sent = torch.sigmoid((change.abs() - threshold) / (_WIDTH * threshold))
    density = sent * (1 - sent) / (_WIDTH * threshold)
    price = grad_operations.flatten()[place // n_neurons]
    cost = density * fan_out.flatten()[place % n_neurons] * price
    # A message that is held back is missing from then on.
    missing = grad_reached.clone()
    for t in range(missing.shape[1] - 2, -1, -1):
        missing[:, t] += missing[:, t + 1]
    held_back = density * change * missing.flatten()[place]
    grad_threshold = -(held_back + cost).sum().reshape(1)
    grad_change = torch.zeros_like(changes)
    grad_change.view(-1)[place] = cost * change.sign()
    grad_activation = grad_reached + grad_change
    grad_activation[:, :-1] -= grad_change[:, 1:]
    return grad_activation, grad_threshold


def _compiled(
    activation: Tensor, sent: Tensor, threshold: Tensor, fan_out: Tensor, message_step: float
) -> tuple[Tensor, Tensor, Tensor]:
    follow_torch()
    activation = activation.contiguous()
    changes, reached = torch.empty_like(activation), torch.empty_like(activation)
    operations = torch.empty(*activation.shape[:2], N_BLOCKS)
    send(
        activation.flatten(2).numpy(),
        sent.flatten(1).contiguous().numpy(),
        np.float32(threshold.item()),
        np.float32(message_step),
        fan_out.flatten().numpy(),
        changes.flatten(2).numpy(),
        reached.flatten(2).numpy(),
        operations.numpy(),
    )
    return changes, reached, operations.sum(dim=-1)


def _compiled_backward(
    changes: Tensor,
    threshold: Tensor,
    fan_out: Tensor,
    grad_reached: Tensor,
    grad_operations: Tensor,
) -> tuple[Tensor, Tensor]:
    follow_torch()
    grad_activation, grad_threshold = torch.empty_like(changes), torch.zeros(N_BLOCKS)
    send_backward(
        changes.flatten(2).numpy(),
        np.float32(threshold.item()),
        np.float32(_WIDTH),
        fan_out.flatten().numpy(),
        grad_reached.contiguous().flatten(2).numpy(),
        grad_operations.contiguous().numpy(),
        grad_activation.flatten(2).numpy(),
        grad_threshold.numpy(),
    )
    return grad_activation, grad_threshold.sum().reshape(1)


class TrainingDelta(Delta):
    """Delta encoder whose threshold learns, and that counts the operations of its messages."""

    fan_out: Tensor
    """Operations per message of each neuron [H, W, C]; set by the caller."""
    operations: Tensor
    """Operations of the last call [N, T]."""
    before: Tensor
    """Sum of the messages before the last call [N, H, W, C]."""

    def __init__(self, threshold: float, threshold_step: float, message_step: float) -> None:
        super().__init__(threshold, message_step, persistent_state=True, requires_grad=True)
        self.threshold_step = threshold_step
        self.message_step = message_step
        # Half a unit is rounded to 0, and can grow in proportion to itself.
        self.least = threshold_step / 2
        self.threshold.data.clamp_(min=self.least)

    @property
    def threshold_units(self) -> int:
        """The threshold as the spec holds it."""
        units = self.threshold / self.threshold_step
        return int(learned_integers(units, np.int64, "a learned threshold").item())

    def forward(self, input: Tensor) -> Tensor:
        """Sum of the messages after each frame for activations; both [N, T, H, W, C].

        Raises UsageError for other shapes than the frames before, or than ``fan_out``.
        """
        shape = input[:, 0].shape
        is_known = self.sent is None or self.sent.shape == shape
        if self.fan_out.shape != shape[1:] or not is_known:
            raise UsageError(
                f"activations of shape {list(input.shape)} after others, or for messages to"
                f" {list(self.fan_out.shape)}; begin again for frames of another size"
            )
        self.before = torch.zeros_like(input[:, 0]) if self.sent is None else self.sent
        apply: Callable[..., tuple[Tensor, Tensor]] = Send.apply
        reached, self.operations = apply(
            input,
            self.threshold,
            self.before.detach(),
            self.fan_out,
            self.threshold_step,
            self.message_step,
            input.device.type == "cpu",
        )
        self.sent = reached[:, -1].detach().clone()
        return reached
