"""How one picture differs from what was recorded, drawn at random.

A network that is trained on synthetic people only meets other people, cameras and settings later.
So it sees more than the generator draws: shorter and longer windows, other distances and angles,
parts of the body that hardly send, softer outlines, other brightness, more noise. Half of the
pictures keep the geometry and half of them all events, so that what was recorded stays the rule.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Lengths of the window, as powers of two of the recorded length.
_WINDOW_OCTAVES = (-2.5, 1.0)
_MOVED, _SCALE, _STRETCH, _TURN_DEGREES = 0.5, 0.12, 0.04, 4.0
_SCALES = (0.7, 1.4)
_THINNED, _FEWEST = 0.3, 0.3
_FADED, _FADING_CELLS = 0.3, (6, 6)
_SOFT = 0.25
_OTHER_GAIN, _GAINS = 0.5, (0.6, 1.6)
_NOISY, _NOISE_EVENTS = 0.4, (3.0, 400.0)


@dataclass(frozen=True)
class Variation:
    """The changes of one picture.

    ``n_hops``: length of its window. ``matrix`` [2, 3]: of (column, row). ``kept`` [r, c]: share of
    the events that stay, in cells over the picture. ``noise``: events a window. ``soft``: whether
    an event is shared among neighbouring pixels. ``gain``: factor on the grey values. ``at_end``:
    whether the label is the pose at the window's end, not the mean over it. ``seed``: of the dice.
    """

    n_hops: int
    matrix: NDArray[np.float64]
    kept: NDArray[np.float64]
    noise: float
    soft: bool
    gain: float
    at_end: bool
    seed: int

    def moved(self, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where joints (column, row) [..., 2] are in the changed picture."""
        centres = pixels + 0.5
        moved = np.floor(centres @ self.matrix[:, :2].T + self.matrix[:, 2])
        return np.asarray(moved, np.int64)


def draw_variation(
    rng: np.random.Generator, hops_per_window: int, most_hops: int, centre: NDArray[np.float64]
) -> Variation:
    """Draw the changes of a picture whose person is at ``centre`` (column, row).

    ``most_hops``: hops that there are before the picture's end.
    """
    octaves = rng.uniform(*_WINDOW_OCTAVES)
    n_hops = int(np.clip(round(hops_per_window * 2**octaves), 1, most_hops))
    kept = np.ones((1, 1))
    if rng.random() < _FADED:
        kept = np.sqrt(rng.random(_FADING_CELLS))
    if rng.random() < _THINNED:
        kept = kept * rng.uniform(_FEWEST, 1.0)
    return Variation(
        n_hops,
        _matrix(rng, centre) if rng.random() < _MOVED else np.eye(2, 3),
        kept,
        _log_uniform(rng, _NOISE_EVENTS) if rng.random() < _NOISY else 0.0,
        bool(rng.random() < _SOFT),
        _log_uniform(rng, _GAINS) if rng.random() < _OTHER_GAIN else 1.0,
        bool(rng.random() < 0.5),
        int(rng.integers(1 << 63)),
    )


def _matrix(rng: np.random.Generator, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn and scale about ``centre``; the picture is shifted by a part of a pixel, too."""
    scale = float(np.clip(np.exp(_SCALE * rng.standard_normal()), *_SCALES))
    stretch = np.exp(0.5 * _STRETCH * rng.standard_normal())
    angle = np.radians(_TURN_DEGREES * rng.standard_normal())
    cos, sin = np.cos(angle), np.sin(angle)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag([stretch, 1 / stretch])
    shift = centre - linear @ centre + rng.uniform(-0.5, 0.5, 2)
    return np.column_stack([linear, shift])


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = np.log(limits)
    return float(np.exp(rng.uniform(low, high)))
