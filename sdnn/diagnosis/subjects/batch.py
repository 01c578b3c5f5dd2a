"""A batch of messages that layers process in parts: one sequence, or a few of them, at a time.

Only lava-dl's MeanOnlyBatchNorm makes sequences depend on each other. ``batch_mean`` computes its
mean over all parts first; every part then runs with that mean.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.subject import Stage


@dataclass(frozen=True, eq=False)
class Packed:
    """A tensor stored exactly, without its zeros.

    ``mask``: one bit per value of the tensor, eight per byte. ``values``: the non-zero values.
    """

    shape: torch.Size
    mask: NDArray[np.uint8]
    values: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "Packed":
        """Pack a tensor on the CPU."""
        flat = tensor.detach().flatten()
        nonzero = flat != 0
        return cls(tensor.shape, np.packbits(nonzero.numpy()), flat[nonzero])

    def unpacked(self) -> Tensor:
        """A new tensor with the values."""
        n_values = self.shape.numel()
        flat = torch.zeros(n_values, dtype=self.values.dtype)
        mask = np.unpackbits(self.mask, count=n_values).view(np.bool_)
        flat[torch.from_numpy(mask)] = self.values
        return flat.view(self.shape)


class Batch(tuple[Packed, ...]):
    """The messages that the input or a layer sent, split along N."""

    __slots__ = ()

    @classmethod
    def of(cls, tensors: Iterable[Tensor]) -> "Batch":
        """Pack one tensor after another."""
        return cls(Packed.of(tensor) for tensor in tensors)

    @property
    def n_messages(self) -> int:
        """Number of values, zeros included."""
        return sum(part.shape.numel() for part in self)

    @property
    def events(self) -> int:
        """Number of values that are not 0."""
        return sum(len(part.values) for part in self)

    @property
    def mean_size(self) -> float:
        """Mean magnitude, zeros included."""
        total = sum(float(part.values.abs().sum(dtype=torch.float64)) for part in self)
        return total / self.n_messages


@torch.no_grad()
def batch_mean(stage: Stage, arrived: Batch) -> Tensor | None:
    """The mean [C] over the batch that the layer's norm subtracts; None without a norm."""
    if not stage.has_norm:
        return None
    # One mean over all values, so that it is rounded as that of an undivided batch.
    return joined(lambda part: stage.drive(part)[0], arrived).flatten(2).mean(dim=(0, 2))


def joined(compute: Callable[[Tensor], Tensor], arrived: Batch) -> Tensor:
    """``compute`` of every part, in one tensor [N, ...]."""
    return torch.cat([compute(part.unpacked()) for part in arrived])
