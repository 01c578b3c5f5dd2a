r"""A sigma-delta neuron for slayer with the project's delta unit, and pooling inside.

.. math::
    d[t] &= a[t] - \tilde a[t-1] \\
    m[t] &= \lfloor d[t] / \delta \rfloor \, \delta
            \text{ if } |d[t]| \geq \vartheta \text{ else } 0 \\
    \tilde a[t] &= \tilde a[t-1] + m[t]

Where a[t] is negative, without a ReLU, the change is rounded up, so that :math:`\tilde a` follows
a rounded towards 0. The stock neuron, as in lava-dl and lava-nc, rounds down and takes
:math:`\tilde a[t] = a[t]` where it sends, so the receiver's sum drifts away by half a message unit
per message on average.

This module imports lava; import it only where slayer is used.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.graph.operations import pool
from ann2sdnn.sdnn.engine.exact import activation_limit
from ann2sdnn.sdnn.engine.tensors import delta, wrapped
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer

slayer: Any = import_lava("lava.lib.dl.slayer")

TensorFunction = Callable[[Tensor], Tensor]


class _DeltaUnit(torch.autograd.Function):
    """The delta unit over a sequence, with lava-dl's relaxed gradient."""

    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes them by position)
        ctx: Any,
        activation: Tensor,
        threshold: Tensor,
        sent: Tensor,
        step: float | None,
        stock: bool,
        tau_grad: float,
        scale_grad: float,
    ) -> tuple[Tensor, Tensor]:
        messages = torch.empty_like(activation)
        changes = torch.empty_like(activation)
        for t in range(activation.shape[-1]):
            changes[..., t], messages[..., t], sent = delta(
                activation[..., t], sent, threshold, step, stock=stock
            )
        ctx.save_for_backward(changes, threshold)
        ctx.relaxation = (tau_grad, scale_grad)
        ctx.mark_non_differentiable(sent)
        return messages, sent

    @staticmethod
    def backward(ctx: Any, grad_messages: Tensor, _: Tensor) -> Any:
        """Gradients of lava-dl: what was sent before is a constant, so a message's derivative by
        a[t] is +1 at t and -1 at t + 1; the threshold's is an exponential of width ``tau_grad``.
        """
        changes, threshold = ctx.saved_tensors
        tau_grad, scale_grad = ctx.relaxation
        grad_activation = grad_messages.clone()
        grad_activation[..., :-1] -= grad_messages[..., 1:]
        excess = changes.abs() - threshold
        smallest = torch.finfo(changes.dtype).tiny
        relaxed = -changes * scale_grad * torch.exp(-excess.abs() / tau_grad)
        slope = torch.where(
            excess > 0, relaxed / threshold.clamp(min=smallest), -torch.sign(changes)
        )
        grad_threshold = (slope * grad_messages).sum().reshape(1)
        return grad_activation, grad_threshold, None, None, None, None, None


class Delta(slayer.axon.Delta):  # type: ignore[misc]
    """Delta encoder with the project's delta unit; a drop-in for ``slayer.axon.Delta``.

    ``step``: the message unit (None: no rounding). ``stock``: lava-dl's own unit. A threshold of 0
    stays 0, where lava-dl clamps it to a message unit.
    """

    shape: Any
    sent: Tensor | None
    persistent_state: bool

    def __init__(
        self, threshold: float, step: float | None, *, stock: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(threshold=threshold, **kwargs)
        self.step = step
        self.stock = stock
        self.register_buffer("sent", None, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Messages [N, ..., T] for activations [N, ..., T]."""
        if self.shape is None:
            self.shape = input.shape[1:-1]
        sent = self.sent if self.persistent_state else None
        if sent is None or sent.shape != input.shape[:-1]:
            sent = torch.zeros_like(input[..., 0])
        apply: Callable[..., tuple[Tensor, Tensor]] = _DeltaUnit.apply
        messages, sent = apply(
            input, self.threshold, sent, self.step, self.stock, self.tau_grad, self.scale_grad
        )
        self.sent = sent.detach() if self.persistent_state else None
        return messages


class Sigma(slayer.dendrite.Sigma):  # type: ignore[misc]
    """Sigma decoder whose state wraps round at ``limit``, as a 24-bit integer does."""

    overflows: Tensor
    """int64 [T]: states that wrapped in each time step of the last call."""
    pre_state: Tensor

    def __init__(self, limit: float | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limit = limit

    def forward(self, input: Tensor) -> Tensor:
        """Running sum over the last axis; counts the states that wrapped round."""
        before = self.pre_state
        total: Tensor = super().forward(input)
        self.overflows = torch.zeros(total.shape[-1], dtype=torch.int64)
        limit = self.limit
        if limit is None or not bool(((total < -limit) | (total >= limit)).any()):
            return total
        # A state continues from its wrapped value, so the sum is taken step by step.
        known = self.persistent_state and before.shape == total.shape[:-1]
        state = before.to(total) if known else torch.zeros_like(total[..., 0])
        states = []
        for t in range(total.shape[-1]):
            reached = state + input[..., t]
            state = wrapped(reached, limit)
            self.overflows[t] = (state != reached).sum()
            states.append(state)
        if self.persistent_state:
            self.pre_state = state.detach().clone()
        return torch.stack(states, dim=-1)


class Neuron(slayer.neuron.sigma_delta.Neuron):  # type: ignore[misc]
    """The neuron of a converted layer: sigma, bias, activation, pooling, shift, delta.

    Pooling acts on activations, before they become messages, and so costs no operations.
    """

    shape: Any
    sigma: Any
    delta: Any
    bias: Tensor

    def __init__(
        self,
        layer: SigmaDeltaLayer,
        grid: Grid | None,
        *,
        stock: bool = False,
        activation: TensorFunction | None = None,
        **kwargs: Any,
    ) -> None:
        """``activation``: replaces the layer's ReLU or identity."""
        if activation is None:
            activation = torch.relu if layer.relu else torch.nn.Identity()
        super().__init__(threshold=layer.threshold, activation=activation, **kwargs)
        self.pool = layer.pool
        self.send_gain = layer.send_gain
        self._activation_limit = activation_limit(layer, grid)
        self._wide = False
        self.sigma = Sigma(
            None if grid is None else grid.state_limit, persistent_state=self.persistent_state
        )
        self.delta = Delta(
            layer.threshold,
            None if grid is None else grid.message_step,
            stock=stock,
            tau_grad=self.delta.tau_grad,
            scale_grad=self.delta.scale_grad,
            persistent_state=self.persistent_state,
            requires_grad=self.requires_grad,
        )
        if layer.n_carried:
            self._carry(layer)
        if layer.bias is not None:
            self.set_bias(layer.bias.flatten() if layer.geometry.reads_flat else layer.bias)

    def _carry(self, layer: SigmaDeltaLayer) -> None:
        """One threshold per channel: 0 for those that pass on what they receive."""
        thresholds = torch.full((layer.preactivation_shape[0],), layer.threshold)
        thresholds[-layer.n_carried :] = 0
        self.delta.threshold.data = thresholds.reshape(-1, 1, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Messages [N, C, H', W', T] for synaptic input [N, C, H, W, T]."""
        dendrite = self.sigma(input)
        if self.bias_is_set:
            dendrite = dendrite + self.bias.reshape(-1, 1, 1, 1)
        activation = self._pooled(self._exact(self.activation(dendrite))) * self.send_gain
        self.shape = self.sigma.shape
        messages: Tensor = self.delta(activation)
        return messages

    def _exact(self, activation: Tensor) -> Tensor:
        """In float64 from the first activation on that float32 cannot hold exactly."""
        if self._activation_limit is None:
            return activation
        self._wide = self._wide or float(activation.abs().max()) > self._activation_limit
        return activation.double() if self._wide else activation

    def _pooled(self, activation: Tensor) -> Tensor:
        if self.pool is None:
            return activation
        # Pooling knows no time: fold it into the batch.
        by_frame = activation.movedim(-1, 1)
        pooled = pool(self.pool, by_frame.flatten(0, 1))
        return pooled.reshape(*by_frame.shape[:2], *pooled.shape[1:]).movedim(1, -1)

    def reset(self) -> None:
        """Forget everything."""
        self.sigma.pre_state = torch.zeros(1, dtype=self.sigma.pre_state.dtype)
        self.delta.sent = None
        self._wide = False
