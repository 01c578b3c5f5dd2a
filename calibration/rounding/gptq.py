r"""Error-compensated rounding (GPTQ): later weights compensate the rounding errors of earlier ones.

For one output channel with inputs x (one row per weight) rounding w to q costs (w - q)^T H (w - q),
H = sum x x^T. Rounded column by column, the error of a column is spread over those that are still
free so that the cost grows least (Frantar et al. 2023, GPTQ; with U the upper Cholesky factor of
the inverse of H, column j's error e is answered by w_k -= e U_jk / U_jj for k > j).

The inputs are the messages of the rounded layers before, and the target is the float network's
pre-activation, so errors of earlier layers are compensated as well: w starts from

.. math:: w^* = w + (z_{float} - w x) x^T (H + \lambda I)^{-1}.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.rounding.kernels import descend, round_columns
from ann2sdnn.sdnn.engine.threads import follow_torch

FloatArray = NDArray[np.float64]

Limits = tuple[Tensor, Tensor] | tuple[int, int]
"""The smallest and the largest legal weight: of all K columns, or [K] each."""

_DAMPING = 0.01
_SWEEPS = 4


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of one group's inputs x: ``hessian`` [K, K] = sum x x^T, and ``shortfall``
    [O, K] = sum (z_float - w x) x^T.
    """

    hessian: Tensor
    shortfall: Tensor


def compensated_target(weight: Tensor, moments: Moments, damping: float = _DAMPING) -> Tensor:
    """The weights [O, K] closest to the float network's output, before rounding."""
    damped = _damped(moments.hessian, damping)
    correction: Tensor = torch.linalg.solve(damped, moments.shortfall.T).T
    return weight + correction


def round_compensated(weight: Tensor, hessian: Tensor, limits: Limits) -> Tensor:
    """Whole numbers [O, K] inside ``limits`` for the ``weight`` [O, K], in float64.

    Clipping at the limits is compensated like any other error. The objective is never worse than
    that of rounding to the nearest; a last descent moves single weights by whole steps.
    """
    low, high = (torch.as_tensor(limit).expand(weight.shape[1]) for limit in limits)
    order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
    damped = _damped(hessian, _DAMPING)
    ordered = damped[order][:, order]
    upper = torch.linalg.cholesky(
        torch.cholesky_inverse(torch.linalg.cholesky(ordered)), upper=True
    )
    free = weight[:, order].contiguous()
    rounded = torch.empty_like(free)
    bounds = low[order].double().numpy(), high[order].double().numpy()
    follow_torch()
    round_columns(free.numpy(), upper.contiguous().numpy(), *bounds, rounded.numpy())
    compensated = torch.empty_like(rounded)
    compensated[:, order] = rounded
    nearest = weight.round().clamp(low, high)
    worse = objective(compensated, weight, damped) > objective(nearest, weight, damped)
    compensated[worse] = nearest[worse]
    return _descend(compensated, weight, damped, (low, high))


def objective(rounded: Tensor, weight: Tensor, hessian: Tensor) -> Tensor:
    """(w - q)^T H (w - q) of each row [O]."""
    error = rounded - weight
    return ((error @ hessian) * error).sum(dim=1)


def _descend(
    rounded: Tensor, weight: Tensor, hessian: Tensor, limits: tuple[Tensor, Tensor]
) -> Tensor:
    """Coordinate descent: each weight in turn to its best whole number, the others fixed."""
    best = rounded.clone()
    gradient = (best - weight) @ hessian
    bounds = [limit.double().contiguous().numpy() for limit in limits]
    descend(best.numpy(), gradient.numpy(), hessian.numpy(), *bounds, _SWEEPS)
    return best


def _damped(hessian: Tensor, damping: float) -> Tensor:
    mean = float(hessian.diagonal().mean())
    # The weights of an input that is always 0 stay as they are.
    return hessian + torch.eye(len(hessian), dtype=hessian.dtype) * max(damping * mean, 1e-12)
