"""The prices on activations and on their changes: operations as differentiable shares.

A value that is not zero costs an operation per weight that reads it, and so does a message of a
network without memory. The number of non-zero values of a channel is written as

    sum a / mean of a over the non-zero values,

whose gradient, with the mean held fixed, is the same for every non-zero value of the channel
whatever the channel's scale. So the price cannot be avoided by making all values smaller.

A neuron with memory sends where its value has changed since it last sent. From one picture to the
next the changes of a channel count as

    sum |a - a'| / mean of a over the non-zero values.

With a threshold that is a share of the channel's values, a neuron sends in proportion to that.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.ann.training.channels import counted, sums, times


class OperationShare:
    """Counts the operations of one pass; call it with every layer's index and what it reads.

    ``fan_outs``: operations per value read, per layer. ``pairs``: whether the second half of a
    batch holds the pictures that follow those of the first half.
    """

    def __init__(self, fan_outs: Sequence[float], *, pairs: bool = False) -> None:
        self._fan_outs, self._pairs = fan_outs, pairs
        self._operations: Tensor | float = 0.0
        self._changes: Tensor | float = 0.0
        self._dense = 0.0

    def __call__(self, index: int, values: Tensor) -> None:
        """Count layer ``index``, which reads ``values`` [N, C, H, W]."""
        fan_out = self._fan_outs[index]
        if self._pairs:
            count, changes = soft_changes(values)
            self._changes = self._changes + 2 * fan_out * changes  # the dense share is of N
        else:
            count = soft_count(values)
        self._operations = self._operations + fan_out * count
        self._dense += fan_out * values.numel()

    @property
    def share(self) -> Tensor:
        """Share 0..1 of the dense operations so far that non-zero values cause."""
        return torch.as_tensor(self._operations) / max(self._dense, 1)

    @property
    def changed_share(self) -> Tensor:
        """Share of the dense operations that changes between the pictures of pairs cause."""
        return torch.as_tensor(self._changes) / max(self._dense, 1)


def paid(price: float, share: Tensor, error: Tensor) -> Tensor:
    """What a batch with this ``share`` of the operations adds to its loss.

    ``error``: the batch's loss without it; predicting nothing has 1. A network that predicts
    nothing pays nothing: the price would silence it for good.
    """
    learned: Tensor = (1 - error.detach()).clamp(min=0)
    return price * learned * share


def soft_count(values: Tensor) -> Tensor:
    """Number of non-zero values of ``values`` [N, C, H, W] >= 0, differentiable.

    The gradient is 1 / (mean non-zero value of the channel) for non-zero values, and 0 for zeros.
    """
    result: Tensor = _SoftCount.apply(values)  # type: ignore[no-untyped-call]
    return result


def soft_changes(values: Tensor) -> tuple[Tensor, Tensor]:
    """``soft_count``, and the sum of changes in units of the channel's mean non-zero value.

    ``values`` [2 N, C, H, W] >= 0: the second N follow the first. The gradients hold the mean
    fixed.
    """
    result: tuple[Tensor, Tensor] = _SoftChanges.apply(values)  # type: ignore[no-untyped-call]
    return result


class _SoftCount(torch.autograd.Function):
    """In few passes over the values, of which there are many."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        is_active, count, mean = counted(values)
        ctx.save_for_backward(is_active, mean)
        return count.sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        is_active, mean = ctx.saved_tensors
        return times(is_active, gradient / mean)


class _SoftChanges(torch.autograd.Function):
    """In few passes, too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> tuple[Tensor, Tensor]:
        is_active, count, mean = counted(values)
        first, second = values.chunk(2)
        change = second - first
        ctx.save_for_backward(is_active, mean, change.sign())
        return count.sum(), (sums(change.abs_()) / mean).sum()

    @staticmethod
    def backward(ctx: Any, of_count: Tensor, of_change: Tensor) -> Tensor:
        is_active, mean, sign = ctx.saved_tensors
        result = times(is_active, of_count / mean)
        by_change = times(sign, of_change / mean)
        first, second = result.chunk(2)
        first -= by_change
        second += by_change
        return result
