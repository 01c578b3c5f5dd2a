"""Draws events into a picture, moved, thinned, softened and with noise.

What happens to an event follows from its number and the seed alone, so that two windows which
share events show the same ones.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import SMALLEST_DEVIATION


class Canvas:
    """Counts of one picture while it is drawn; ``size`` (height, width)."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._counts = np.zeros(size, np.float32)
        self._touched = np.empty(size[0] * size[1], np.int64)
        self._n = 0

    def draw(
        self,
        pixel: NDArray[np.uint32],
        first: NDArray[np.int64],
        number: int,
        change: tuple[Any, ...],
    ) -> float:
        """Add the events of consecutive hops; returns the deviation of the counts.

        ``first`` [hops + 1]: where the events of each hop begin in ``pixel``. ``number``: of the
        first hop. ``change``: (matrix [2, 3] on (column, row), share of the events that is kept
        [rows, columns] over the picture, noise events a hop, soft, seed).
        """
        self._n = _draw(self._counts, self._touched, (pixel, first, number), change)
        return float(_deviation(self._counts.reshape(-1), self._touched[: self._n]))

    def finish(self, deviation: float) -> NDArray[np.uint8]:
        """The picture, scaled by three times ``deviation``; the canvas is blank again."""
        picture = np.zeros(self._counts.shape, np.uint8)
        touched = self._touched[: self._n]
        _finish(self._counts.reshape(-1), touched, deviation, picture.reshape(-1))
        return picture


@numba.njit(cache=True)
def _draw(counts, touched, events, change):  # type: ignore[no-untyped-def]
    pixel, first, number = events
    matrix, kept, noise, soft, seed = change
    height, width = counts.shape
    rows, columns = kept.shape
    share = kept[0, 0]
    n = 0
    for hop in range(len(first) - 1):
        for event in range(first[hop], first[hop + 1]):
            row = np.int32(pixel[event]) // np.int32(width)
            column = np.int32(pixel[event]) - row * np.int32(width)
            dice = _mixed(np.uint64(event) ^ seed)
            if kept.size > 1:
                share = kept[row * rows // height, column * columns // width]
            if _uniform(dice, 0) >= share:
                continue
            # Somewhere in its pixel, so that an enlarged picture has no pattern of gaps.
            x, y = column + _uniform(dice, 20), row + _uniform(dice, 40)
            to_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
            to_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
            if soft:
                n = _add_soft(counts, touched, n, (to_x, to_y))
            else:
                n = _add(counts, touched, n, (np.floor(to_x), np.floor(to_y), 1.0))
        for index in range(noise):
            which = np.uint64(number + hop) << np.uint64(32) | np.uint64(index)
            dice = _mixed(~which ^ seed)
            x, y = np.floor(_uniform(dice, 0) * width), np.floor(_uniform(dice, 20) * height)
            n = _add(counts, touched, n, (x, y, 1.0))
    return n


@numba.njit(cache=True, inline="always")
def _add(counts, touched, n, event):  # type: ignore[no-untyped-def]
    """Add an event (column, row, weight), of whole coordinates."""
    height, width = counts.shape
    column, row, weight = event
    if weight > 0 and 0 <= column < width and 0 <= row < height:
        i, j = np.int64(row), np.int64(column)
        if counts[i, j] == 0:
            touched[n] = i * width + j
            n += 1
        counts[i, j] += np.float32(weight)
    return n


@numba.njit(cache=True, inline="always")
def _add_soft(counts, touched, n, at):  # type: ignore[no-untyped-def]
    """Share an event among the four pixels whose centres are nearest."""
    left, top = np.floor(at[0] - 0.5), np.floor(at[1] - 0.5)
    right_share, lower_share = at[0] - 0.5 - left, at[1] - 0.5 - top
    for corner in range(4):
        down, across = corner // 2, corner % 2
        by_row = lower_share if down else 1 - lower_share
        weight = by_row * (right_share if across else 1 - right_share)
        n = _add(counts, touched, n, (left + across, top + down, weight))
    return n


@numba.njit(cache=True)
def _deviation(counts, touched):  # type: ignore[no-untyped-def]
    """As ``normalise.deviations``."""
    if len(touched) < 2:
        return SMALLEST_DEVIATION
    mean = 0.0
    for at in touched:
        mean += counts[at]
    mean /= len(touched)
    squares = 0.0
    for at in touched:
        squares += (counts[at] - mean) ** 2
    return max(np.sqrt(squares / (len(touched) - 1)), SMALLEST_DEVIATION)


@numba.njit(cache=True)
def _finish(counts, touched, deviation, picture):  # type: ignore[no-untyped-def]
    for at in touched:
        picture[at] = np.uint8(min(255.0, counts[at] * 255 / (3 * deviation)))
        counts[at] = 0


@numba.njit(cache=True, inline="always")
def _uniform(dice, shift):  # type: ignore[no-untyped-def]
    """A number in [0, 1) from twenty of the 64 bits of ``dice``."""
    bits = dice >> np.uint64(shift) & np.uint64((1 << 20) - 1)
    return np.int64(bits) * (1.0 / (1 << 20))


@numba.njit(cache=True, inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]
    """Finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)
