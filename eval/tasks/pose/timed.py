"""Errors and displacements of poses frame by frame."""

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import Pixels, length
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.pose.moved import MOVED_PX
from ann2sdnn.eval.results.timeline import TimedKind, Values
from ann2sdnn.eval.tasks.difference import means_of_rows

ERROR = TimedKind("error [px]", "mean distance of a frame's joints from the labels")
MOVED = TimedKind(
    "displacement [px]",
    "mean distance of a frame's joints from the ANN's, each at most 5 px, of joints that the ANN is"
    " confident of",
)


def px_by_frame(pixels: Pixels, labels: ProjectedLabels) -> Values:
    """Mean distance [n] of the points [n, 13, 2] from the visible labels; NaN without any."""
    distances = length((pixels - labels.pixels).astype(np.float32))
    return means_of_rows(np.where(labels.visible, distances, np.nan))


def moved_by_frame(moved: NDArray[np.float32]) -> Values:
    """Mean [n] of distances [n, 13], each at most 5 px; NaN where no joint counts."""
    return means_of_rows(np.minimum(moved, MOVED_PX))
