"""Minimises a convex function within bounds."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import Bounds, minimize

from ann2sdnn.calibration.scales.plan import FloatArray

Objective = Callable[[FloatArray], tuple[float, FloatArray]]


def minimise(
    objective: Objective,
    start: FloatArray,
    lows: FloatArray,
    highs: FloatArray,
    *,
    max_steps: int,
    units: FloatArray | None = None,
) -> FloatArray:
    """The x [n] of the least ``objective`` (value and gradient) between ``lows`` and ``highs``.

    ``start`` is moved within the bounds. ``units`` [n]: lengths in which the objective bends about
    alike along every axis; None stands for 1.
    """
    unit = np.ones(len(start)) if units is None else units

    def in_units(y: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(y * unit)
        return value, gradient * unit

    result = minimize(
        in_units,
        np.clip(start, lows, highs) / unit,
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(lows / unit, highs / unit),
        options={"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 1e-10, "maxcor": 10},
    )
    return np.asarray(result.x * unit, np.float64)
