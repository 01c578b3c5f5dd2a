"""Conversion to an integer type that refuses what the type cannot hold.

NumPy's ``astype`` silently wraps numbers that are too large and makes numbers of NaN and infinity.
Everything that is written to a file or handed to lava as integers goes through here.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ann2sdnn.support.errors import Ann2SdnnError, ModelError


def narrowed(
    values: ArrayLike,
    dtype: Any,
    what: str,
    *,
    advice: str = "",
    error: type[Ann2SdnnError] = ModelError,
) -> NDArray[Any]:
    """``values`` as integers of ``dtype``, a copy of the same shape.

    ``what`` names the values and where they come from ("layer conv1: a bias"); ``advice`` says
    what to do. Raises ``error`` where a value is NaN, infinite, not whole, or outside the range of
    ``dtype``.
    """
    array = np.asarray(values)
    limits = np.iinfo(dtype)
    objects = array.ravel().tolist() if array.dtype == object else []
    if array.dtype.kind not in "fiubO" or not all(isinstance(each, int) for each in objects):
        raise error(_sentence(what, f"of type {array.dtype}", limits, advice))
    legal = _inside(array, int(limits.min), int(limits.max))
    if array.dtype.kind == "f":
        legal &= array == np.rint(array)
    if not legal.all():
        value = np.asarray(array[~legal]).ravel()[0]
        raise error(_sentence(what, f"of {value}", limits, advice))
    return array.astype(dtype)


def narrowed_int(
    value: Any,
    dtype: Any,
    what: str,
    *,
    advice: str = "",
    error: type[Ann2SdnnError] = ModelError,
) -> int:
    """One number as ``narrowed`` takes it, as a Python integer."""
    array = narrowed(value, dtype, what, advice=advice, error=error)
    if array.size != 1:
        raise error(f"{what} of {array.size} values; expected one number")
    return int(array.ravel()[0])


def _inside(array: NDArray[Any], low: int, high: int) -> NDArray[np.bool_]:
    """Which values lie from ``low`` to ``high``; NaN does not."""
    if array.dtype.kind == "f":
        # Limits as powers of two: 2^63 - 1 has no float64, and would be rounded up to 2^63.
        return np.asarray((array >= float(low)) & (array < float(high + 1)), np.bool_)
    if array.dtype.kind in "iu":
        # Limits that the array's own type can hold, so that nothing is compared in floats.
        held = np.iinfo(array.dtype)
        low, high = max(low, int(held.min)), min(high, int(held.max))
    return np.asarray((array >= low) & (array <= high), np.bool_)


def _sentence(what: str, found: str, limits: Any, advice: str) -> str:
    expected = f"expected whole numbers from {limits.min:,} to {limits.max:,}"
    return f"{what} {found}; {expected}{', ' + advice if advice else ''}"
