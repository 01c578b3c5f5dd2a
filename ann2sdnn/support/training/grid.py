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
    return values + (rounded.detach() - values.detach())


def range_penalty(values: Tensor, cap: float, channel_axis: int) -> Tensor:
    """Sum over channels of relu(max abs(value) / cap - 1)^2."""
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
