"""Textured shapes that move before a still textured background, with the class of every pixel."""

import numpy as np
from numpy.typing import NDArray

from applications.shapes import N_SHAPES, mask

SIZE = 64
LENGTH = 8  # frames per sequence
_NOISE = 2.0  # standard deviation of a pixel's noise, in counts

_Array = NDArray[np.float64]


def _texture(rng: np.random.Generator, colour: _Array, contrast: float) -> _Array:
    """Periodic noise [3, 64, 64] around ``colour`` [3] with amplitudes of one over the frequency,
    and a standard deviation of ``contrast`` counts.
    """
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(SIZE, SIZE))) / frequency)
    return colour[:, None, None] + noise * contrast / noise.std()


class _Shape:
    """A shape of any colour with a texture of its own, which moves along a line."""

    def __init__(self, rng: np.random.Generator, radius: tuple[float, float]) -> None:
        self.kind = int(rng.integers(N_SHAPES))
        self._radius = rng.uniform(*radius)
        self._texture = _texture(rng, rng.uniform(20, 235, 3), rng.uniform(5, 20))
        self._place, self._speed = rng.uniform(0.25 * SIZE, 0.75 * SIZE, 2), rng.normal(0, 1, 2)

    def draw(self, number: int, picture: _Array, classes: NDArray[np.int64]) -> None:
        """Draw the shape as it is in frame ``number`` into ``picture`` [3, 64, 64] and
        ``classes`` [64, 64].
        """
        row, column = self._place + number * self._speed
        rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
        inside = mask(self.kind, rows - row, columns - column, self._radius)
        moved = np.roll(self._texture, (round(row), round(column)), axis=(1, 2))
        picture[:, inside] = moved[:, inside]
        classes[inside] = 1 + self.kind


def scene(
    rng: np.random.Generator, n_shapes: int, radius: tuple[float, float], length: int = LENGTH
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Frames [L, 3, 64, 64] of ``n_shapes`` shapes with radii between the two given, in pixels, and
    the class of every pixel [L, 64, 64]: 0 for the background, then disc, square, triangle, ring.

    ``length`` is L. Later shapes cover earlier ones.
    """
    background = _texture(rng, rng.uniform(40, 215, 3), rng.uniform(5, 20))
    shapes = [_Shape(rng, radius) for _ in range(n_shapes)]
    frames = np.zeros((length, 3, SIZE, SIZE), np.uint8)
    classes = np.zeros((length, SIZE, SIZE), np.int64)
    for number, frame in enumerate(frames):
        picture = background.copy()
        for shape in shapes:
            shape.draw(number, picture, classes[number])
        frame[:] = np.clip(np.rint(picture + rng.normal(0, _NOISE, picture.shape)), 0, 255)
    return frames, classes
