"""Example frames with what each network answered, for people to look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import Pixels
from ann2sdnn.data.sources.frames import FrameArray


@dataclass(frozen=True, eq=False)
class Points:
    """Points in one picture: (column, row) [n, 2], and which of them are shown [n]."""

    pixels: Pixels
    shown: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Example:
    """One frame [H, W] or [C, H, W], and what is drawn over or written below it.

    ``labels``, ``ann``, ``sdnn``: points, with lines between the pairs ``bones``; None where there
    are none or that network was not run. Only points that the ANN is confident of are shown, for
    the SDNN as well: the others are noise in both. ``caption``: answers that are no points.
    """

    title: str
    frame: FrameArray
    bones: tuple[tuple[int, int], ...] = ()
    labels: Points | None = None
    ann: Points | None = None
    sdnn: Points | None = None
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Film:
    """Consecutive frames of one sequence, and the work of the SDNN in each.

    ``sends``: names of the input and of the layers; ``shares`` float64 [T, n]: messages over the
    neurons of each.
    """

    frames: tuple[Example, ...]
    sends: tuple[str, ...]
    shares: NDArray[np.float64]
