"""Noise of thresholds: activations as a sigma-delta network with thresholds passes them on.

A neuron with threshold t sends when its value has moved by t, so the layers after it read a value
that is up to t off. In training, an activation a is passed on as

    s floor(a / s + u),

with u uniform in 0..1: a multiple of the step s whose mean is a. Zeros stay zero, and small values
are mostly silent. s is a share of the channel's mean non-zero activation, as thresholds are.
"""

import torch
from torch import Tensor

_TINY = 1e-30


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
        with torch.no_grad():
            step = self._share * mean_active(values)
            n = values.shape[0] // (2 if self._pairs else 1)
            if self._generator is None:
                self._generator = torch.Generator(values.device).manual_seed(self._seed)
            offset = torch.rand(
                (n, *values.shape[1:]),
                generator=self._generator,
                device=values.device,
                dtype=values.dtype,
            )
            if self._pairs:
                offset = offset.repeat(2, 1, 1, 1)
            rounded = values.div(step).add_(offset).floor_().mul_(step)
        result: Tensor = values + (rounded - values).detach()
        return result


def mean_active(values: Tensor) -> Tensor:
    """Mean non-zero value of each channel of ``values`` [N, C, H, W] >= 0, as [C, 1, 1]."""
    count = (values > 0).sum(dim=(0, 2, 3))
    size = values.sum(dim=(0, 2, 3), dtype=torch.float32)
    mean = (size / count.clamp(min=1)).clamp(min=_TINY)
    return mean[:, None, None].to(values.dtype)
