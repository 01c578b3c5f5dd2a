"""The price on activations: operations that non-zero activations cause, as a differentiable share.

A value that is not zero costs an operation per weight that reads it, and so does a message of the
converted network. The number of non-zero values of a channel is written as

    sum |a| / mean of |a| over the non-zero values,

whose gradient, with the mean held fixed, is the same for every non-zero value of the channel
whatever the channel's scale. So the price cannot be avoided by making all values smaller.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ann2sdnn.ann.network import KERNEL, LAYERS

FAN_OUTS = tuple(KERNEL * KERNEL * layer.out_channels for layer in LAYERS)
"""Operations per value that each layer of the pose network reads, away from borders."""


class OperationShare:
    """Counts the operations of one pass; call it with every layer's index and what it reads.

    ``fan_outs``: operations per value read, per layer.
    """

    def __init__(self, fan_outs: Sequence[int] = FAN_OUTS) -> None:
        self._fan_outs = fan_outs
        self._operations: Tensor | float = 0.0
        self._dense = 0

    def __call__(self, index: int, values: Tensor) -> None:
        """Count layer ``index``, which reads ``values`` [N, C, H, W]."""
        fan_out = self._fan_outs[index]
        self._operations = self._operations + fan_out * soft_count(values).sum()
        self._dense += fan_out * values.numel()

    @property
    def share(self) -> Tensor:
        """Share 0..1 of the dense operations so far that non-zero values cause."""
        return torch.as_tensor(self._operations) / max(self._dense, 1)


def soft_count(values: Tensor) -> Tensor:
    """[C]: number of non-zero values per channel of ``values`` [N, C, H, W], differentiable.

    The gradient is 1 / (mean non-zero |value| of the channel) for positive values, its negative for
    negative values, and 0 for zeros.
    """
    size = values.float().abs().sum(dim=(0, 2, 3))
    with torch.no_grad():
        count = values.count_nonzero(dim=(0, 2, 3))
        mean = torch.where(count > 0, size / count.clamp(min=1), 1.0)
    return size / mean
