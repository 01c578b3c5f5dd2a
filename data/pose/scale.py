"""Places in a resized picture, and the same places in the whole picture of the camera.

Errors and budgets in pixels are in those of the whole picture, whatever size a network sees, so
that the numbers of networks for different sizes compare.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Pair


@dataclass(frozen=True)
class PictureScale:
    """How many columns (``across``) and rows (``down``) of the whole picture a pixel covers."""

    across: float = 1.0
    down: float = 1.0

    @classmethod
    def between(cls, whole: Pair, resized: Pair) -> "PictureScale":
        """Of pictures of (height, width) ``whole`` that become ``resized``."""
        return cls(whole[1] / resized[1], whole[0] / resized[0])

    def to_whole(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Centres of the resized picture's ``pixels`` [..., 2] (column, row) in the whole picture.

        Float64, with whole numbers at the centres of pixels; unchanged where pictures are whole.
        """
        return pixels if self == WHOLE else (pixels + 0.5) * self._factors - 0.5

    def to_resized(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """``pixels`` [..., 2] (column, row) of the whole picture as float32 places in the resized
        one; unchanged where pictures are whole.
        """
        if self == WHOLE:
            return pixels
        return np.asarray((pixels + 0.5) / self._factors - 0.5, np.float32)

    @property
    def _factors(self) -> NDArray[np.float64]:
        return np.array([self.across, self.down])


WHOLE = PictureScale()
