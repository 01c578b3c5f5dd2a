"""The outputs of a subject as one tensor, and the weight that the loss gives to each.

Targets of several outputs hold all their values, one output after another, as ``joined`` in
``graph/planes.py`` arranges them.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

_SILENT = 1e-12  # energy of targets below which they count as silent


def joined_in_time(outputs: Sequence[Tensor]) -> Tensor:
    """Messages [N, O, H, W, T] of one output as they are; of several as [N, K, 1, 1, T]."""
    if len(outputs) == 1:
        return outputs[0]
    return torch.cat([one.flatten(1, 3) for one in outputs], dim=1)[:, :, None, None]


def output_sizes(outputs: Sequence[torch.Size]) -> tuple[int, ...]:
    """Values per frame of outputs [N, O, H, W, T] of these shapes."""
    return tuple(prod(shape[1:4]) for shape in outputs)


def loss_weights(targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """What squared errors are multiplied by before their mean is taken, for ``targets``
    [N, O, H, W, T] or, of several outputs, [N, K, 1, 1, T].

    1 for a single output. Those of several outputs, of ``sizes`` values each, make the mean that of
    the outputs' relative squared errors.
    """
    if len(sizes) == 1:
        return torch.ones(())
    values, n_outputs = sum(sizes), len(sizes)
    weights = [
        values / (n_outputs * size * part.square().mean().clamp_min(_SILENT)).expand(size)
        for size, part in zip(sizes, torch.split(targets, list(sizes), dim=1), strict=True)
    ]
    return torch.cat(weights)[:, None, None, None]
