"""Errors and displacements of poses frame by frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import Pixels, length
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.pose.moved import MOVED_PX
from ann2sdnn.eval.results.timeline import Values


def px_by_frame(pixels: Pixels, labels: ProjectedLabels) -> Values:
    """Mean distance [n] of the points [n, 13, 2] from the visible labels; NaN without any."""
    distances = length((pixels - labels.pixels).astype(np.float32))
    return _means(np.where(labels.visible, distances, np.nan))


def moved_by_frame(moved: NDArray[np.float32]) -> Values:
    """Mean [n] of distances [n, 13], each at most 5 px; NaN where no joint counts."""
    return _means(np.minimum(moved, MOVED_PX))


def _means(values: NDArray[np.floating[Any]]) -> Values:
    """The mean [n] of the numbers of every row; NaN for a row without any."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=1, dtype=np.float64)
    means = np.full(len(values), np.nan)
    np.divide(sums, known.sum(axis=1), out=means, where=known.any(axis=1))
    return means
