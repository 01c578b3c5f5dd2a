"""Values of every frame, in the order in which frames were evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimedSequence:
    """The values of one sequence: by name of the network, float64 [T], NaN where there is none.

    ``error``: against the labels; ``moved``: distance from the ANN. Both in pixels, means over the
    joints of a frame.
    """

    name: str
    n_frames: int
    error: Mapping[str, Values]
    moved: Mapping[str, Values]
