"""Linear operations in float32 where that is exact, and in float64 elsewhere.

Weights and messages are multiples of fixed steps, so products and sums are integer multiples of the
product of both steps. float32 is exact as long as no partial sum, in whatever order a library adds,
exceeds 2^24 of them. The sum of |w| |m| bounds every partial sum.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.operations import linear
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer

# Room for the rounding of the bounds, which are computed in float32.
_SAFETY = 0.999


class ExactLinear:
    """A linear operation whose sums are exact; they are not wrapped.

    ``weight`` float32 for inputs of ``channels``; float32 is exact for sums below ``limit``.
    """

    def __init__(self, geometry: Geometry, weight: Tensor, channels: int, limit: float) -> None:
        self.geometry = geometry
        self.weight = weight
        self._limit = limit * _SAFETY
        self._magnitude = weight.abs()
        self._envelope = geometry.envelope(self._magnitude)
        # [groups, O / groups, I / groups]: sums over taps.
        self._norms = geometry.split(self._magnitude, channels).sum(dim=3)

    def __call__(self, messages: Tensor, peaks: Tensor | None = None) -> Tensor:
        """The operation on ``messages`` [N, C, H, W], float32 or float64; see ``is_exact``."""
        if messages.dtype == torch.float32 and self.is_exact(messages, peaks):
            return linear(self.geometry, messages, self.weight)
        return linear(self.geometry, messages.double(), self.weight.double())

    def is_exact(self, messages: Tensor, peaks: Tensor | None = None) -> bool:
        """Whether float32 holds every partial sum for ``messages`` [N, C, H, W], in any order.

        Tries three bounds, each tighter and slower than the one before: from the largest message of
        each channel, ``peaks`` [C] (None: computed here), from the largest weight over the output
        channels, and from all weights.
        """
        return any(
            float(self.bound(effort, messages, peaks).max()) < self._limit
            for effort in self.efforts
        )

    @property
    def efforts(self) -> tuple[int, ...]:
        """The bounds that ``bound`` has, the quickest first."""
        return (0, 2) if self._envelope is None else (0, 1, 2)

    def bound(self, effort: int, messages: Tensor, peaks: Tensor | None = None) -> Tensor:
        """Bounds of the sums' magnitude, as in ``is_exact``: [O], or [N, 1 or O, H', W']."""
        if effort == 0:
            largest = messages.abs().amax(dim=(0, 2, 3)) if peaks is None else peaks
            by_group = largest.reshape(len(self._norms), -1)
            return torch.einsum("goi,gi->go", self._norms, by_group).flatten()
        weight = self._envelope if effort == 1 else None
        return linear(self.geometry, messages.abs(), self._magnitude if weight is None else weight)


class ExactSum:
    """Tells where float32 holds the added results of several linear operations exactly.

    ``limit``: of the sums, as in ``ExactLinear``.
    """

    def __init__(self, operations: Sequence[ExactLinear], limit: float) -> None:
        self._operations = operations
        self._limit = limit * _SAFETY
        self._efforts = sorted({effort for one in operations for effort in one.efforts})

    def is_exact(self, messages: Sequence[Tensor]) -> bool:
        """Whether it holds every partial sum for ``messages`` [N, C, H, W] of each operation."""
        return any(self._bound(effort, messages) < self._limit for effort in self._efforts)

    def _bound(self, effort: int, messages: Sequence[Tensor]) -> float:
        pairs = zip(self._operations, messages, strict=True)
        bounds = [operation.bound(effort, own) for operation, own in pairs]
        return float(sum(bounds[1:], bounds[0]).max())


def activation_limit(layer: SigmaDeltaLayer, grid: Grid | None) -> float | None:
    """Magnitude of an activation below which float32 suffices for pooling and the delta unit.

    None where no activation of ``layer`` can be larger. A sum over a pooling window, and the
    difference of two such sums of either sign, are multiples of the same unit as weighted sums, so
    ``exact_limit`` bounds them too.
    """
    if grid is None:
        return None
    n_summed = 1 if layer.pool is None else layer.pool.n_summed
    limit = grid.exact_limit / (n_summed * (1 if layer.relu else 2))
    bias = 0.0 if layer.bias is None else float(layer.bias.abs().max())
    return limit if grid.state_limit + bias > limit else None


def narrow_if_exact(values: Tensor) -> Tensor:
    """``values`` in float32 where that holds every one of them, else as they are."""
    if values.dtype == torch.float32:
        return values
    single = values.to(torch.float32)
    return single if torch.equal(single.to(values.dtype), values) else values
