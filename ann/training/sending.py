"""Noise of thresholds: activations as a sigma-delta network with thresholds passes them on.

A neuron with threshold t sends when its value has moved by t, so the layers after it read a value
that is up to t off. In training, an activation a is passed on as

    s floor(a / s + u),

with u uniform in 0..1: a multiple of the step s whose mean is a. Zeros stay zero, and small values
are mostly silent. s is a share of the channel's mean non-zero activation, as thresholds are.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.ann.training.channels import counted, times


class NoisySending:
    """Rounds what every layer but the input passes on.

    ``share``: the step over the channel's mean non-zero value. ``pairs``: whether the second half
    of a batch holds the pictures that follow those of the first half; both get the same u, so that
    only what changes is sent. ``seed``: of the u, so that a resumed training repeats them.
    """

    def __init__(self, share: float, *, pairs: bool, seed: int) -> None:
        self._share, self._pairs, self._seed = share, pairs, seed
        self._generator: torch.Generator | None = None

    def __call__(self, index: int, values: Tensor) -> Tensor:
        """What layer ``index`` reads of ``values`` [N, C, H, W] >= 0; gradients pass unchanged."""
        if index == 0:
            return values
        if self._generator is None:
            self._generator = torch.Generator(values.device).manual_seed(self._seed)
        n, channels, height, width = values.shape
        shape = (n // (2 if self._pairs else 1), height, width, channels)
        offset = uniform(shape, self._generator).to(values.dtype).permute(0, 3, 1, 2)
        result: Tensor = _Sent.apply(values, self._share, offset)  # type: ignore[no-untyped-call]
        return result


class _Sent(torch.autograd.Function):
    """Rounding in few passes over the values; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, share: float, offset: Tensor) -> Tensor:
        _, _, mean = counted(values)
        step = share * mean
        steps = times(values, 1 / step)
        for part in steps.chunk(values.shape[0] // offset.shape[0]):
            part.add_(offset)
        return times(steps.floor_(), step)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


def uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Numbers between 0 and 1 in steps of 1/256, around a mean of 1/2, on the generator's device.

    Each random integer of 64 bits gives eight of them: on a CPU, drawing every number by itself
    takes longer than the convolutions of a step.
    """
    count = math.prod(shape)
    drawn = torch.empty(-(-count // 8), dtype=torch.int64, device=generator.device)
    drawn.random_(-(2**63), None, generator=generator)
    return drawn.view(torch.uint8)[:count].view(*shape).float().add_(0.5).mul_(1 / 256)
