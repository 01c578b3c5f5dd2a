r"""The sigma-delta neuron while it learns: lava-dl's, with the project's delta unit and a threshold
that is trained.

Forward it computes what ``slayer_neuron.Neuron`` computes, the threshold rounded to the grid. Of
what is not differentiable the gradient is replaced:

- messages are floored and sent or not, but what the receiver has summed up follows the activation,
  so :math:`\partial \tilde a[t] / \partial a[t] = 1` (straight through, Bengio et al. 2013);
- "a message was sent" is taken for :math:`\sigma((|d| - \vartheta) / w)`, with a width ``w`` of a
  share of the threshold, so that the count of operations has a gradient for activations, which
  come to change less, and for thresholds;
- a higher threshold keeps back messages :math:`d` whose size is near it, at the same density.

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.sdnn.network import Arithmetic, SigmaDeltaLayer
from ann2sdnn.sdnn.slayer_neuron import Delta, Neuron, Sigma
from ann2sdnn.sdnn.spec import UNITS

_WIDTH = 0.3  # of the surrogate, in thresholds
_NEAR_LIMIT = 1.1  # limits over this are where the hinge begins


class _SendMessages(torch.autograd.Function):
    """The delta unit over a sequence, and what its messages cost."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes them by position)
        ctx: Any,
        activation: Tensor,
        threshold: Tensor,
        sent: Tensor,
        fan_out: Tensor,
        threshold_step: float,
        message_step: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``activation`` [N, C, H, W, T], ``sent`` [N, C, H, W] before it, ``fan_out`` [C, H, W];
        messages like ``activation``, operations [N, T], and what has been sent after it.
        """
        on_grid = torch.round(threshold / threshold_step) * threshold_step
        messages, changes = [], []
        for frame in activation.movedim(-1, 0).contiguous():
            change = frame - sent
            message = torch.floor(change * (1 / message_step)).mul_(message_step)
            message.mul_(change.abs() >= on_grid)
            sent = sent + message
            messages.append(message)
            changes.append(change)
        by_frame = torch.stack([message != 0 for message in messages], dim=1)  # [N, T, C, H, W]
        operations = by_frame.flatten(2).to(fan_out.dtype) @ fan_out.flatten()
        ctx.save_for_backward(
            torch.stack(changes, dim=-1), threshold.clamp(min=message_step), fan_out
        )
        ctx.mark_non_differentiable(sent)
        return torch.stack(messages, dim=-1), operations, sent

    @staticmethod
    def backward(ctx: Any, grad_messages: Tensor, grad_operations: Tensor, _: Tensor) -> Any:
        changes, threshold, fan_out = ctx.saved_tensors
        # Most neurons do not change at all, and those have no part in what follows.
        place = torch.nonzero(changes, as_tuple=True)
        run, where, frame = place[0], place[1:-1], place[-1]
        change = changes[place]
        sent = torch.sigmoid((change.abs() - threshold) / (_WIDTH * threshold))
        density = sent * (1 - sent) / (_WIDTH * threshold)
        cost = density * fan_out[where] * grad_operations[run, frame]
        kept_back = density * change * grad_messages[place]
        grad_threshold = -(kept_back + cost).sum().reshape(1)
        grad_change = grad_messages.clone()
        grad_change[place] += cost * change.sign()
        grad_activation = grad_change.clone()
        grad_activation[..., :-1] -= grad_change[..., 1:]
        return grad_activation, grad_threshold, None, None, None, None


class _LeakyBackward(torch.autograd.Function):
    """ReLU whose gradient does not vanish where it is silent."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.slope = slope
        return values.relu()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (values,) = ctx.saved_tensors
        return torch.where(values > 0, grad, ctx.slope * grad), None


class TrainingDelta(Delta):
    """Delta encoder whose ``threshold`` learns, and that counts what its messages cost.

    ``fan_out`` [C, H, W]: operations that a message of each neuron causes. ``operations`` [N, T]:
    those of the last call. ``before`` [N, C, H, W]: what had been sent before it.
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
        return int(torch.round(self.threshold.detach() / self.threshold_step))

    def forward(self, input: Tensor) -> Tensor:
        """Messages [N, C, H, W, T] for activations [N, C, H, W, T]."""
        self.before = torch.zeros_like(input[..., 0]) if self.sent is None else self.sent
        apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = _SendMessages.apply
        messages, self.operations, sent = apply(
            input,
            self.threshold,
            self.before.detach(),
            self.fan_out,
            self.threshold_step,
            self.message_step,
        )
        self.sent = sent.detach()
        return messages


class TrainingNeuron(Neuron):
    """``excess``: by how much the last call's states and messages exceeded where the hinge begins.

    What it is given starts with all that has been received so far, so its sigma starts at 0; what
    it sends are messages, and ``received`` is what its receiver is to be given.
    """

    delta: TrainingDelta
    excess: Tensor

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        arithmetic: Arithmetic,
        threshold_step: float,
        slope: float | None,
    ) -> None:
        """``slope``: the gradient of a silent ReLU; None for the usual one."""
        if arithmetic.message_step is None or arithmetic.message_limit is None:
            raise ValueError("a network without a grid has nothing to train through")
        super().__init__(
            threshold=layer.threshold,
            activation=_activation(layer.relu, slope),
            pool=layer.pool,
            message_step=arithmetic.message_step,
            state_limit=None,
            send_gain=layer.send_gain,
        )
        self.sigma = Sigma(None)
        self.delta = TrainingDelta(layer.threshold, threshold_step, arithmetic.message_step)
        self.state_cap = (arithmetic.state_limit or 0.0) / _NEAR_LIMIT
        self.message_cap = arithmetic.message_limit / _NEAR_LIMIT
        if layer.bias is not None:
            self.set_bias(layer.bias)
            self.bias.requires_grad_(True)

    def forward(self, input: Tensor) -> Tensor:
        """Messages [N, C, H', W', T] for synaptic input [N, C, H, W, T]."""
        self.sigma.shape = None  # windows of different sizes follow one another
        state = self.sigma(input)
        if self.bias_is_set:
            state = state + _rounded(self.bias, 1 / UNITS)[None, ..., None]
        activation = self._pooled(self.activation(state)) * self.send_gain
        self.excess = _hinge(state, self.state_cap) + _hinge(activation, self.message_cap)
        messages: Tensor = self.delta(activation)
        return messages

    def received(self, messages: Tensor) -> Tensor:
        """``messages`` with all that had been sent before put into the first frame."""
        first = messages[..., :1] + self.delta.before[..., None]
        return torch.cat([first, messages[..., 1:]], dim=-1)


def _activation(relu: bool, slope: float | None) -> Callable[[Tensor], Tensor]:
    if not relu:
        return torch.nn.Identity()
    if slope is None:
        return torch.relu
    apply: Callable[..., Tensor] = _LeakyBackward.apply
    return lambda values: apply(values, slope)


def _rounded(values: Tensor, step: float) -> Tensor:
    """On the grid, straight through."""
    return values + (torch.round(values / step) * step - values).detach()


def _hinge(values: Tensor, cap: float) -> Tensor:
    """Square of what the largest magnitude of each channel exceeds ``cap`` by, over ``cap``."""
    with torch.no_grad():
        smallest, largest = torch.aminmax(values)
    if largest <= cap and smallest >= -cap:  # as a rule; saves a pass back through all values
        return values.new_zeros(())
    top, bottom = values.amax(dim=(0, 2, 3, 4)), -values.amin(dim=(0, 2, 3, 4))
    return (torch.maximum(top, bottom) / cap - 1).relu().square().sum()
