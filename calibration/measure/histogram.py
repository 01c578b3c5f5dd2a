"""Histograms of magnitudes of any range, with eight bins per octave.

The upper 12 bits of a positive float32 (sign 0, 8 of exponent, 3 of mantissa) number its bin, so
counting is a shift and an increment, and histograms can be added.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_SHIFT = 20  # 23 mantissa bits less the 3 that are kept
N_BINS = 1 << 11


def bin_edges() -> NDArray[np.float32]:
    """Lower edges of the bins, [N_BINS] and increasing; the last bins are infinite or NaN."""
    return (np.arange(N_BINS, dtype=np.uint32) << _SHIFT).view(np.float32)


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """A histogram: ``counts`` int64 [N_BINS] of non-zero values, ``total`` values in all."""

    counts: NDArray[np.int64]
    total: int

    @classmethod
    def empty(cls) -> "Magnitudes":
        """The histogram of no values."""
        return cls(np.zeros(N_BINS, np.int64), 0)

    def plus(self, values: Tensor) -> "Magnitudes":
        """The histogram with the magnitudes of ``values`` (float32, any shape) added."""
        return Magnitudes(self.counts + _counted(values).sum(axis=0), self.total + values.numel())

    @classmethod
    def of_signs(cls, values: Tensor) -> tuple["Magnitudes", "Magnitudes"]:
        """Histograms of the positive and of the negative ``values``; the others count as zeros."""
        positive, negative = _counted(values)
        return cls(positive, values.numel()), cls(negative, values.numel())

    def __add__(self, other: "Magnitudes") -> "Magnitudes":
        return Magnitudes(self.counts + other.counts, self.total + other.total)

    @property
    def density(self) -> float:
        """Fraction of values that are not zero."""
        return float(self.counts.sum() / self.total) if self.total else 0.0

    def fraction_at_least(self, magnitude: float) -> float:
        """Fraction of values whose magnitude is ``magnitude`` or more, linear within a bin."""
        if self.total == 0:
            return 0.0
        if magnitude <= 0:
            return self.density
        edges = bin_edges()
        index = int(np.float32(magnitude).view(np.uint32) >> _SHIFT)
        above = float(self.counts[index + 1 :].sum())
        inside = (float(edges[index + 1]) - magnitude) / float(edges[index + 1] - edges[index])
        return (above + inside * float(self.counts[index])) / self.total

    @property
    def mean(self) -> float:
        """Mean magnitude of the values that are not zero, each at the middle of its bin."""
        filled = np.flatnonzero(self.counts)
        if not filled.size:
            return 0.0
        edges = bin_edges()
        middles = (edges[filled].astype(np.float64) + edges[filled + 1].astype(np.float64)) / 2
        return float(self.counts[filled] @ middles / self.counts.sum())

    def percentile(self, percent: float) -> float:
        """The magnitude below which ``percent`` of the non-zero values lie (a bin's lower edge)."""
        n_nonzero = self.counts.sum()
        if n_nonzero == 0:
            return 0.0
        cumulative = np.cumsum(self.counts)
        index = int(np.searchsorted(cumulative, percent / 100 * n_nonzero, side="left"))
        return float(bin_edges()[min(index, N_BINS - 1)])


def _counted(values: Tensor) -> NDArray[np.int64]:
    """[2, N_BINS]: the positive and the negative among ``values`` (float32, any shape)."""
    # The order of the values does not matter: this one avoids a copy.
    if values.ndim == 4:
        values = values.permute(0, 2, 3, 1)
    counts = np.zeros((2, N_BINS), np.int64)
    _count(values.contiguous().numpy().reshape(-1).view(np.uint32), counts)
    return counts


@numba.njit(cache=True)
def _count(bits, counts):  # type: ignore[no-untyped-def]
    for value in bits:
        magnitude = value & np.uint32(0x7FFFFFFF)
        if magnitude != 0:
            counts[value >> np.uint32(31), magnitude >> np.uint32(_SHIFT)] += 1


@numba.njit(cache=True, parallel=True)
def count_magnitudes(values, before, counts):  # type: ignore[no-untyped-def]
    """Add ``values`` and their changes from ``before``, float32 [H, N] both, to ``counts``.

    ``before`` may be empty. ``counts`` int64 [bands, 2, N_BINS]: of values and of changes, for some
    bands of rows, which threads share.
    """
    height, n_bands = len(values), len(counts)
    for band in numba.prange(n_bands):
        of_values, of_changes = counts[band]
        for row in range(band * height // n_bands, (band + 1) * height // n_bands):
            _count_magnitudes(values[row], of_values)
            if before.size:
                _count_magnitudes(values[row] - before[row], of_changes)


@numba.njit(cache=True)
def _count_magnitudes(values, counts):  # type: ignore[no-untyped-def]
    for value in values.view(np.uint32):
        magnitude = value & np.uint32(0x7FFFFFFF)
        if magnitude != 0:
            counts[magnitude >> np.uint32(_SHIFT)] += 1
