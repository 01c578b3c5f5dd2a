"""A linear operation in float32 that is certified exact, or done in float64.

Weights and messages are multiples of fixed steps, so every product and sum is an integer multiple
of their product, and float32 is exact while no partial sum, in whatever order a library adds,
exceeds 2^24 of them. The sum of |w| |m| bounds every partial sum. It is bounded in three steps,
each tighter and dearer than the one before: channel maxima, one convolution with the largest
weight over the output channels, and the convolution of |m| with |w| itself.
"""

import torch
from torch import Tensor

from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.operations import linear
from ann2sdnn.sdnn.spec.network import Arithmetic, SigmaDeltaLayer

# Room for the rounding of the bounds themselves, which are computed in float32.
_SAFETY = 0.999


class ExactnessCertificate:
    """Whether a linear operation on given messages is exact in float32."""

    def __init__(self, geometry: Geometry, weight: Tensor, exact_limit: float) -> None:
        self.geometry = geometry
        self.limit = exact_limit * _SAFETY
        self._magnitude = weight.abs()
        # The largest weight over the output channels, and its sums over taps [C]: the latter times
        # the largest message of each channel bound every sum.
        self._envelope = geometry.envelope(self._magnitude)
        self._by_channel: Tensor | None = None
        if self._envelope is not None and not geometry.reads_flat:
            taps = self._envelope.flatten(0, 1)
            self._by_channel = taps.reshape(len(taps), -1).sum(dim=1)

    def holds(self, messages: Tensor, peaks: Tensor | None = None) -> bool:
        """Whether every partial sum for ``messages`` [N, C, H, W] is exact, in any order.

        ``peaks`` [C], the largest magnitude of each channel, saves looking for it.
        """
        if self._by_channel is not None:
            largest = messages.abs().amax(dim=(0, 2, 3)) if peaks is None else peaks
            if float(largest @ self._by_channel) < self.limit:
                return True
        magnitude = messages.abs()
        if self._envelope is not None:
            envelope = linear(self.geometry, magnitude, self._envelope)
            if float(envelope.max()) < self.limit:
                return True
        return float(linear(self.geometry, magnitude, self._magnitude).max()) < self.limit


class ExactLinear:
    """``linear`` of messages on the grid, exact, and so small that adding it to a state is exact:
    float32, or float64 where float32 could not hold it. It is not wrapped round: whether a state
    overflows is decided by the exact sum (``sdnn/reference/equations.py``).
    """

    def __init__(
        self, geometry: Geometry, weight: Tensor, exact_limit: float, state_limit: float
    ) -> None:
        self.geometry = geometry
        self.weight = weight
        # The sum is added to a state, and that must be exact too.
        self._certificate = ExactnessCertificate(geometry, weight, exact_limit - state_limit)

    def __call__(self, messages: Tensor, peaks: Tensor) -> Tensor:
        """The operation on ``messages`` [N, C, H, W] whose channels peak at ``peaks`` [C]."""
        if messages.dtype == torch.float32 and self._certificate.holds(messages, peaks):
            return linear(self.geometry, messages, self.weight)
        return linear(self.geometry, messages.to(torch.float64), self.weight.to(torch.float64))


def activation_limit(layer: SigmaDeltaLayer, arithmetic: Arithmetic) -> float | None:
    """Magnitude of an activation up to which float32 holds what pooling and the delta unit make of
    it; None where no activation of ``layer`` can be larger.

    A sum over a pooling window, and the difference of two such sums of either sign, are multiples
    of the same unit as weighted sums, so that ``exact_limit`` bounds them too.
    """
    if arithmetic.exact_limit is None or arithmetic.state_limit is None:
        return None
    window = layer.pool.window if layer.pool is not None and layer.pool.kind == "sum" else 1
    limit = arithmetic.exact_limit / (window * (1 if layer.relu else 2))
    bias = 0.0 if layer.bias is None else float(layer.bias.abs().max())
    return limit if arithmetic.state_limit + bias > limit else None


def narrow_if_exact(values: Tensor) -> Tensor:
    """``values`` in float32 where that holds every one of them, else as they are."""
    if values.dtype == torch.float32:
        return values
    single = values.to(torch.float32)
    return single if torch.equal(single.to(values.dtype), values) else values
