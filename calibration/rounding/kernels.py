"""Rounding of one weight after the other, as compiled loops over a few rows at a time.

A row is an output channel, and rows do not depend on each other. Eight of them share each row of
the matrix that they read, which for thousands of inputs is far larger than a cache.
"""

import numba
import numpy as np

_ROWS = 8


@numba.njit(cache=True, parallel=True)
def round_columns(free, upper, low, high, rounded):  # type: ignore[no-untyped-def]
    """Round ``free`` [O, K] column by column to ``rounded``: whole numbers from ``low`` to ``high``
    [K].

    What rounding column j changes is made up for in the columns after it, by row j of ``upper``
    [K, K]; ``free`` is changed in place. All are float64.
    """
    n_rows, n_columns = free.shape
    for group in numba.prange((n_rows + _ROWS - 1) // _ROWS):
        rows = range(group * _ROWS, min((group + 1) * _ROWS, n_rows))
        for j in range(n_columns):
            factors = upper[j, j + 1 :]
            for row in rows:
                value = free[row, j]
                whole = min(max(np.rint(value), low[j]), high[j])
                rounded[row, j] = whole
                error = (value - whole) / upper[j, j]
                _subtract(free[row, j + 1 :], error, factors)


@numba.njit(cache=True, parallel=True)
def descend(best, gradient, hessian, low, high, n_sweeps):  # type: ignore[no-untyped-def]
    """Move each weight of ``best`` [O, K] to its best whole number from ``low`` to ``high`` [K], in
    place.

    ``gradient`` [O, K]: half the objective's; it is kept up to date. ``hessian`` [K, K]. A row ends
    after ``n_sweeps`` over its weights, or one in which nothing moves. All are float64.
    """
    n_rows, n_columns = best.shape
    for row in numba.prange(n_rows):
        for _ in range(n_sweeps):
            n_moved = 0
            for j in range(n_columns):
                value = np.rint(best[row, j] - gradient[row, j] / hessian[j, j])
                step = min(max(value, low[j]), high[j]) - best[row, j]
                if step != 0:
                    n_moved += 1
                    best[row, j] += step
                    _subtract(gradient[row], -step, hessian[j])
            if n_moved == 0:
                break


@numba.njit(cache=True)
def _subtract(values, factor, others):  # type: ignore[no-untyped-def]
    for k in range(len(values)):
        values[k] -= factor * others[k]
