"""Pruning in training: the smallest weights of each hidden layer are set to 0 after every step.

Their share grows as in Zhu and Gupta, "To prune, or not to prune", 2017. A weight that is 0 saves
one operation per message of its input channel, in every pixel.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def prune(weights: Iterable[Tensor], share: float) -> None:
    """Set the smallest ``share`` 0..1 of the values of each of ``weights`` to 0, in place.

    The optimiser moves them again, so one of them stays only where it has become larger than others
    within a step.
    """
    for weight in weights:
        n_pruned = round(share * weight.numel())
        if n_pruned:
            size = weight.abs().flatten()
            weight.mul_(weight.abs() > size.kthvalue(n_pruned).values)
