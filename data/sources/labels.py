"""What is known about the frames of a sequence, for tasks that score classes or values."""

from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.sources.frames import Frames

Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float32]
"""Of n frames: [n] int64, the number of each frame's class, or [n, K] float32, the values that the
network is to compute, NaN where one is not known."""


@runtime_checkable
class LabelledFrames(Frames, Protocol):
    """A sequence with a class or values for each frame."""

    def targets(self) -> Targets:
        """Those of the sequence's frames, in order. Raises DataError where they cannot be read."""
