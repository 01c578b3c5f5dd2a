"""The robust displacement of a network: its mean with an interval, over groups of frames.

A plain mean depends on the few joints that jump to another peak of their map, tens of pixels away.
Here a distance counts at most 5 px, and how many joints jump is counted by itself.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import bootstrap_interval
from ann2sdnn.data.pose.moved import MOVED_PX


@dataclass(frozen=True)
class Displacement:
    """Distances of ``n_joints`` joints from the reference's.

    ``capped_px``: mean of min(distance, 5 px), with its 95% ``interval`` where there are two
    groups or more; ``mean_px``: the plain mean; ``moved_over_5px``: share of joints.
    """

    capped_px: float
    interval: tuple[float, float] | None
    mean_px: float
    moved_over_5px: float
    n_joints: int


class CappedDisplacement:
    """Adds up displacements by group, which is a recording with all its cameras."""

    def __init__(self) -> None:
        # Of each group and call of ``add``: joints, sums of capped and of plain distances, joints
        # moved. They are added up in the end, so that merged parts have the sums of the whole.
        self._sums: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)

    def add(self, group: str, moved: NDArray[np.float32]) -> None:
        """Count distances [n, 13] in pixels, NaN for a joint that does not count."""
        distances = moved[np.isfinite(moved)].astype(np.float64)
        capped = np.minimum(distances, MOVED_PX)
        over = np.count_nonzero(distances > MOVED_PX)
        self._sums[group].append(
            np.array([distances.size, capped.sum(), distances.sum(), over], np.float64)
        )

    def merge(self, later: "CappedDisplacement") -> None:
        """Count what ``later`` has counted, as if it had been added here now."""
        for group, sums in later._sums.items():
            self._sums[group] += sums

    def result(self) -> Displacement | None:
        """The displacement so far; None where no joint counted."""
        sums = np.array([np.sum(each, axis=0) for each in self._sums.values()]).reshape(-1, 4)
        n_joints, *totals = sums.sum(axis=0)
        if not n_joints:
            return None
        capped, plain, over = (float(total / n_joints) for total in totals)
        interval = bootstrap_interval(sums[:, 1], sums[:, 0])
        return Displacement(capped, interval, plain, over, int(n_joints))
