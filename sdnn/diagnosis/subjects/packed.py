"""Messages kept for later without their zeros, exactly: one bit a value, and the values."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packed:
    """A tensor of ``shape`` on the CPU: ``values`` that are not 0, in order, and where they are.

    ``mask``: a bit for each value of the tensor, eight to a byte.
    """

    shape: torch.Size
    mask: NDArray[np.uint8]
    values: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> "Packed":
        """Pack ``tensor``; what it is part of is not kept."""
        flat = tensor.detach().flatten()
        nonzero = flat != 0
        return cls(tensor.shape, np.packbits(nonzero.numpy()), flat[nonzero])

    def unpacked(self) -> Tensor:
        """The tensor again, a new one."""
        n_values = self.shape.numel()
        flat = torch.zeros(n_values, dtype=self.values.dtype)
        flat[torch.from_numpy(np.unpackbits(self.mask, count=n_values).view(np.bool_))] = (
            self.values
        )
        return flat.view(self.shape)
