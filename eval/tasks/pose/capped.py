"""The robust displacement of a network: its mean with an interval, over groups of frames."""

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import bootstrap_interval, capped_mean


class CappedDisplacement:
    """Displacements from the ANN, each capped at 5 px, by group: a recording with all cameras."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, group: str, moved: NDArray[np.float32]) -> None:
        """Count distances [n, 13] in pixels, NaN for a joint that does not count."""
        count = int(np.isfinite(moved).sum())
        self._sums[group] += count * (capped_mean(moved) or 0.0)
        self._counts[group] += count

    def fields(self) -> dict[str, Any]:
        """The mean and its 95% interval; None where no joint counted, and for a single group."""
        sums, counts = (
            np.array(list(values.values()), np.float64) for values in (self._sums, self._counts)
        )
        return {
            "displacement_capped_px": float(sums.sum() / counts.sum()) if counts.sum() else None,
            "displacement_capped_px_interval": bootstrap_interval(sums, counts),
        }
