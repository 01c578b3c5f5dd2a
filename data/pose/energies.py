"""Sums of squares of outputs and of their differences, in one compiled pass over both."""

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Maps = NDArray[np.float32] | Tensor
Scale = np.float32 | np.float64

_ONE = np.float64(1)
_BLOCK = 4096  # sums of sums are more exact than one long sum


def energies(found: Maps, expected: Maps, scale: Scale = _ONE) -> tuple[float, float]:
    """The sums of squares of ``found`` - ``scale`` * ``expected``, and of ``scale`` * ``expected``.

    Both are float32 of one shape. Squares are taken in the precision of ``scale`` and added up in
    float64. Raises ValueError for different shapes.
    """
    if found.shape != expected.shape:
        raise ValueError(f"outputs of shape {found.shape} beside {expected.shape}")
    error, energy = _energies(_flat(found), _flat(expected), scale)
    return float(error), float(energy)


def _flat(maps: Maps) -> NDArray[np.float32]:
    # torch turns channels that lie last in memory several times as fast as numpy.
    array = maps.detach().contiguous().numpy() if isinstance(maps, Tensor) else maps
    return np.ascontiguousarray(array).reshape(-1)


@numba.njit(cache=True, nogil=True)
def _energies(found, expected, scale):  # type: ignore[no-untyped-def]
    error, energy = 0.0, 0.0
    for start in range(0, len(found), _BLOCK):
        own_error, own_energy = 0.0, 0.0
        for i in range(start, min(start + _BLOCK, len(found))):
            value = expected[i] * scale
            difference = found[i] - value
            own_error += difference * difference
            own_energy += value * value
        error += own_error
        energy += own_energy
    return error, energy
