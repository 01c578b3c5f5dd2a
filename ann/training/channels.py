"""Sums and products per channel of activations [N, C, H, W], in few passes over memory.

In training these run on every activation of every layer, so on a CPU they take as long as the
convolutions unless each works on long contiguous rows in the activations' own precision.
"""

import torch
from torch import Tensor

_TINY = 1e-30


def sums(values: Tensor) -> Tensor:
    """Sum of each channel of ``values`` [N, C, H, W], as [C] float32."""
    # bfloat16 is summed in float32 inside; float16 could not hold the result.
    wide = torch.float32 if values.dtype == torch.float16 else None
    return values.permute(0, 2, 3, 1).flatten(0, 2).sum(dim=0, dtype=wide).float()


def times(values: Tensor, factors: Tensor) -> Tensor:
    """``values`` [N, C, H, W] times a factor per channel [C], in the precision of ``values``."""
    rows = values.permute(0, 2, 3, 1)
    product = rows.flatten(2) * factors.to(values.dtype).repeat(rows.shape[2])
    return product.view(*rows.shape).permute(0, 3, 1, 2)


def counted(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``values`` [N, C, H, W] >= 0: 1 where one is not zero, and per channel how many are not
    zero and the mean of these, above 0 [C].
    """
    is_active = values.sign()
    count = sums(is_active)
    mean = (sums(values) / count.clamp(min=1)).clamp(min=_TINY)
    return is_active, count, mean
