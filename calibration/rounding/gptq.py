r"""Error-compensated rounding: what rounding one weight does wrong, the others make up for.

For one output channel with inputs x (a column a weight) rounding w to q costs (w - q)^T H (w - q),
H = sum x x^T. Rounded column by column, the error of a column is spread over those that are still
free so that the cost grows least (Frantar et al. 2023, GPTQ; with U the upper Cholesky factor of
the inverse of H, column j's error e is answered by w_k -= e U_jk / U_jj for k > j).

The inputs are what the already rounded layers before really send, and the target is the float
network's pre-activation, so errors from before are made up for as well: w starts from

.. math:: w^* = w + (z_{float} - w x) x^T (H + \lambda I)^{-1}.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]

_DAMPING = 0.01
_SWEEPS = 4


@dataclass(frozen=True, eq=False)
class Moments:
    """Of one group's inputs x and of what the float weights fall short of: ``hessian`` [K, K] =
    sum x x^T, ``shortfall`` [O, K] = sum (z_float - w x) x^T.
    """

    hessian: Tensor
    shortfall: Tensor


def compensated_target(weight: Tensor, moments: Moments, damping: float = _DAMPING) -> Tensor:
    """The weights [O, K] that would answer the float network best, before any rounding."""
    damped = _damped(moments.hessian, damping)
    correction: Tensor = torch.linalg.solve(damped, moments.shortfall.T).T
    return weight + correction


def round_compensated(
    weight: Tensor, hessian: Tensor, limits: tuple[int, int], damping: float = _DAMPING
) -> Tensor:
    """Whole numbers [O, K] inside ``limits`` for the ``weight`` [O, K], in float64.

    What the limits clip off is made up for like any other error. Never worse on its objective
    than rounding to the nearest: a last descent moves single weights by whole steps.
    """
    order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
    damped = _damped(hessian, damping)
    ordered = damped[order][:, order]
    upper = torch.linalg.cholesky(
        torch.cholesky_inverse(torch.linalg.cholesky(ordered)), upper=True
    )
    free = weight[:, order].clone()
    rounded = torch.empty_like(free)
    for j in range(free.shape[1]):
        rounded[:, j] = free[:, j].round().clamp(*limits)
        error = (free[:, j] - rounded[:, j]) / upper[j, j]
        free[:, j + 1 :] -= error[:, None] * upper[j, j + 1 :]
    found = torch.empty_like(rounded)
    found[:, order] = rounded
    nearest = weight.round().clamp(*limits)
    worse = objective(found, weight, damped) > objective(nearest, weight, damped)
    found[worse] = nearest[worse]
    return _descend(found, weight, damped, limits)


def objective(rounded: Tensor, weight: Tensor, hessian: Tensor) -> Tensor:
    """(w - q)^T H (w - q) of each row [O]."""
    error = rounded - weight
    return ((error @ hessian) * error).sum(dim=1)


def _descend(rounded: Tensor, weight: Tensor, hessian: Tensor, limits: tuple[int, int]) -> Tensor:
    """Coordinate descent: each weight in turn to its best whole number, the others held."""
    found = rounded.clone()
    gradient = (found - weight) @ hessian
    diagonal = hessian.diagonal()
    for _ in range(_SWEEPS):
        moved = 0
        for j in range(found.shape[1]):
            best = (found[:, j] - gradient[:, j] / diagonal[j]).round().clamp(*limits)
            step = best - found[:, j]
            changed = step != 0
            if changed.any():
                moved += int(changed.sum())
                found[:, j] = best
                gradient[changed] += step[changed, None] * hessian[j]
        if moved == 0:
            break
    return found


def _damped(hessian: Tensor, damping: float) -> Tensor:
    mean = float(hessian.diagonal().mean())
    # An input that is never there leaves its weights alone.
    return hessian + torch.eye(len(hessian), dtype=hessian.dtype) * max(damping * mean, 1e-12)
