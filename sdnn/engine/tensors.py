"""The equations of a sigma-delta neuron in torch: ``sdnn/reference/equations.py`` on tensors.

Values are real numbers on the grid, in float32 where that is exact and in float64 elsewhere.
"""

import torch
from torch import Tensor


def wrapped(values: Tensor, limit: float) -> Tensor:
    """``values`` wrapped round into [-limit, limit), as signed integers of fixed width are."""
    # In float64: float32 may hold a value exactly, and not its sum with the limit.
    wide = torch.remainder(values.double() + limit, 2 * limit) - limit
    return wide.to(values.dtype)


def delta(
    activation: Tensor, sent: Tensor, threshold: Tensor, step: float | None, *, stock: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """The change of ``activation``, the messages, and what has been ``sent`` afterwards.

    Messages are multiples of ``step``, a power of two (None: not rounded). ``stock``: the neuron of
    lava-nc and lava-dl as released, which rounds down even where the activation is negative.
    """
    change = activation - sent
    sends = change.abs() >= threshold
    rounded = change if step is None else _rounded(change / step, activation, stock=stock) * step
    messages = torch.where(sends, rounded, torch.zeros_like(rounded))
    return change, messages, torch.where(sends, activation, sent) if stock else sent + messages


def _rounded(units: Tensor, activation: Tensor, *, stock: bool) -> Tensor:
    down = torch.floor(units)
    return down if stock else torch.where(activation < 0, torch.ceil(units), down)
