"""Training on an integer grid: straight-through rounding, range penalty, and learned integers."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed


def straight_through(values: Tensor, rounded: Tensor) -> Tensor:
    """``rounded``, with the gradient of ``values`` (Bengio et al. 2013)."""
    result: Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call]
        values, rounded.detach()
    )
    return result


class _StraightThrough(torch.autograd.Function):
    """Without arithmetic: it would cost two passes, and last bits."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rounded: Tensor) -> Tensor:
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def range_penalty(values: Tensor, cap: float, channel_axis: int) -> Tensor:
    """Sum over channels of relu(max abs(value) / cap - 1)^2."""
    with torch.no_grad():
        # Nearly always, and the maxima per channel cost more than a convolution. With channels
        # last, as they lie in memory, nothing is copied.
        if all(bool(end.abs() <= cap) for end in torch.aminmax(values.movedim(channel_axis, -1))):
            return torch.zeros((), device=values.device)
    axes = [axis for axis in range(values.ndim) if axis != channel_axis % values.ndim]
    top, bottom = values.amax(dim=axes), -values.amin(dim=axes)
    return (torch.maximum(top, bottom) / cap - 1).relu().square().sum()


def learned_integers(values: Tensor, dtype: type[np.integer[Any]], what: str) -> NDArray[Any]:
    """``values`` rounded to integers of ``dtype``; ``what`` they are, for the error.

    Raises ConversionError for values that do not fit it.
    """
    advice = "the training has diverged, so train with a lower rate"
    rounded = np.rint(values.detach().cpu().numpy())
    return narrowed(rounded, dtype, what, advice=advice, error=ConversionError)
