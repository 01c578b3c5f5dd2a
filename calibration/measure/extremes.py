r"""How far the few values of a small layer reach on frames that calibration did not show.

A convolution has thousands of neurons per channel, and the largest of all frames says where its
values end. A dense layer, or a global average, has one value per channel and frame: of 16 frames
the largest is exceeded by one of 17 others. For such layers the mean :math:`m` and the variance
:math:`s^2` of each frame's largest value predict the value that one frame in 1,000 exceeds,

.. math::
    m + t \, \tilde s \sqrt{1 + 1 / n},
    \qquad \tilde s^2 = \frac{d_0 s_0^2 + d s^2}{d_0 + d},

with t the quantile of Student's distribution with :math:`d_0 + d` degrees of freedom. Few frames
say little about one channel's variance, so it is moderated by that of the layer, :math:`s_0^2`, the
geometric mean over channels without its bias (Smyth 2004, "Linear models and empirical Bayes
methods", whose :math:`d_0` is fixed here). Frames of one sequence resemble each other: n is the
number of sequences or, where that is more, a sixteenth of the frames, and d = n - 1.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma
from scipy.stats import t as student

SMALL = 64
"""Neurons per channel up to which a layer's values are extrapolated."""

_EXCEEDED = 1e-3  # share of frames that exceed the level
_PRIOR = 8.0  # d0: degrees of freedom of the layer's variance
_CONSTANT = 1e-12  # of the layer's largest variance: less is rounding
_RESEMBLE = 16  # consecutive frames that say as much as one

FloatArray = NDArray[np.float64]


class FrameExtremes:
    """Mean and variance, per channel, of the largest and the smallest value of each frame."""

    def __init__(self, n_channels: int) -> None:
        self._n_frames = 0
        # Of each sequence, [2, 2, n_channels]: sums and sums of squares of the largest and of the
        # smallest. They are added up in the end: merged parts then have the sums of the whole.
        self._sums: list[FloatArray] = []
        self._n_channels, self._starts = n_channels, True

    def begin(self) -> None:
        """The next frame is the first of a sequence."""
        self._starts = True

    def merge(self, later: "FrameExtremes") -> None:
        """Add the sequences of ``later``."""
        self._n_frames += later._n_frames
        self._sums += later._sums

    def add(self, values: NDArray[np.float32]) -> None:
        """Add one frame's values [H, W, C]."""
        extremes = np.stack([values.max(axis=(0, 1)), values.min(axis=(0, 1))]).astype(np.float64)
        self._n_frames += 1
        if self._starts:
            self._sums.append(np.zeros((2, 2, self._n_channels)))
            self._starts = False
        self._sums[-1] += (extremes, np.square(extremes))

    def levels(self, n_sequences: int) -> tuple[FloatArray, FloatArray] | None:
        """The values [C] that one frame in 1,000 exceeds, and falls below; None without frames."""
        if not self._n_frames:
            return None
        n = max(2, n_sequences, self._n_frames // _RESEMBLE)
        mean, square = np.sum(self._sums, axis=0) / self._n_frames
        variance = np.maximum(square - np.square(mean), 0)
        spread = np.sqrt(_moderated(variance * n / (n - 1), n - 1))
        reach = float(student.isf(_EXCEEDED, _PRIOR + n - 1)) * math.sqrt(1 + 1 / n) * spread
        return mean[0] + reach[0], mean[1] - reach[1]


def _moderated(variance: FloatArray, freedom: int) -> FloatArray:
    """Variances [2, C] of channels, with ``freedom`` degrees of freedom, and of the layer."""
    # A channel that never changes is silent or constant: it has no spread to extrapolate.
    varied = variance > _CONSTANT * variance.max()
    if not varied.any():
        return np.zeros_like(variance)
    half = freedom / 2
    layer = math.exp(float(np.log(variance[varied]).mean()) + math.log(half) - digamma(half))
    moderated = (_PRIOR * layer + freedom * variance) / (_PRIOR + freedom)
    return np.asarray(np.where(varied, moderated, 0), np.float64)
