"""Time courses of movements: varying repetitions and slow wandering."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_REPETITIONS = 512  # drawn ahead; a recording that lasts longer starts over with the first


class Wander:
    """A smooth random course of mean 0 and standard deviation 1: a sum of slow sines."""

    def __init__(self, rng: np.random.Generator, low_hz: float, high_hz: float) -> None:
        self._frequency = np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), 6))
        self._phase = rng.uniform(0, 2 * np.pi, 6)
        self._weight = rng.uniform(0.5, 1.0, 6)
        self._weight *= np.sqrt(2 / (self._weight**2).sum())

    def __call__(self, time_s: FloatArray) -> FloatArray:
        """Values [T] at times [T]."""
        angle = 2 * np.pi * self._frequency * time_s[:, None] + self._phase
        return np.asarray(np.sin(angle) @ self._weight)


@dataclass(frozen=True)
class Stroke:
    """Shares of one repetition: moving out, staying, moving back; the rest is a pause."""

    out: float
    stay: float
    back: float


class Rhythm:
    """Repetitions of about ``period_s``; each has its own length and strength."""

    def __init__(self, rng: np.random.Generator, period_s: float, *, jitter: float = 0.08) -> None:
        lengths = period_s * np.exp(jitter * rng.standard_normal(_REPETITIONS))
        self._starts = np.concatenate([[0.0], np.cumsum(lengths)])
        self._strengths = np.clip(1 + jitter * rng.standard_normal(_REPETITIONS), 0.75, 1.2)
        self._offset_s = rng.uniform(0, period_s)

    def phase(self, time_s: FloatArray, lead: float = 0.0) -> FloatArray:
        """Repetitions [T] done since the first, in fractions of one, ``lead`` ahead."""
        wrapped = (time_s + self._offset_s) % self._starts[-1]
        phase: FloatArray = np.interp(wrapped, self._starts, np.arange(len(self._starts))) + lead
        return phase

    def stroke(self, time_s: FloatArray, shape: Stroke, lead: float = 0.0) -> FloatArray:
        """Course [T] that leaves 0, stays near 1 and returns, once a repetition.

        ``lead`` (in repetitions) lets one limb run ahead of another.
        """
        phase = self.phase(time_s, lead)
        repetition = np.floor(phase).astype(int) % _REPETITIONS
        within = phase % 1.0
        rise = minimum_jerk(within / shape.out)
        fall = minimum_jerk((within - shape.out - shape.stay) / shape.back)
        return np.asarray(self._strengths[repetition] * (rise - fall))


def minimum_jerk(part: FloatArray) -> FloatArray:
    """10 p^3 - 15 p^4 + 6 p^5, from 0 to 1 (Flash and Hogan, 1985: how people reach)."""
    p = np.clip(part, 0.0, 1.0)
    return np.asarray(p**3 * (10 - 15 * p + 6 * p**2))
