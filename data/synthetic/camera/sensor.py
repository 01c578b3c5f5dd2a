"""An event camera: log intensity, a low-pass and threshold crossings in each pixel.

Each pixel follows the logarithm of its light through a first-order low-pass (the photoreceptor)
and sends an event for every full contrast threshold between the filtered value and the value at
its last event; the remainder is kept. Model: Lichtsteiner, Posch and Delbruck, IEEE JSSC 43(2),
2008; simulated as in v2e (Hu, Liu and Delbruck, CVPR Workshops 2021). Events without a change of
light are in ``disturbances``.
"""

from collections import deque
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import POLARITY_BIT, X_SHIFT, Y_SHIFT
from ann2sdnn.data.pose.cameras import SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.synthetic.camera.render import Box, FloatImage
from ann2sdnn.support.options.fields import CheckedOptions, number, numbers

_DARK = 0.02  # radiance of an unlit pixel: stray light and dark current
_SETTLED_LOW_PASSES = 6  # time constants after which a pixel is taken to have settled
_BUCKET_US = 10_000  # changed boxes are stored in buckets of this length
_BRIGHTEST = 2.0
_LEVELS = 8192
_LOG_TABLE = np.log(_DARK + np.linspace(0.0, _BRIGHTEST, _LEVELS)).astype(np.float32)


@dataclass(frozen=True)
class SensorOptions(CheckedOptions):
    """Behaviour of the pixels; a 0 or False switches a disturbance off."""

    threshold: float = number(0.2, above=0, at_most=10)
    """Contrast threshold in natural log units."""
    threshold_spread: float = number(0.03, at_least=0, at_most=10)
    """Standard deviation of the threshold over the pixels."""
    bandwidth_hz: float = number(22.0, above=0, at_most=1e9, unit="Hz")
    """Bandwidth of the photoreceptor's low-pass."""
    refractory_us: int = number(300, at_least=0, at_most=10**9, unit="us")
    """Time after an event in which a pixel sends nothing."""
    noise_hz: float = number(0.05, at_least=0, at_most=1e6, unit="Hz")
    """Events of shot noise per pixel and second, of either polarity."""
    leak_hz: float = number(0.02, at_least=0, at_most=1e6, unit="Hz")
    """ON events of leaking switches per pixel and second."""
    noise_spread: float = number(0.1, at_least=0, at_most=10)
    """Standard deviation of both rates over the pixels, in decades."""
    hot_pixels: float = number(4.0, at_least=0, at_most=SENSOR_HEIGHT * SENSOR_WIDTH)
    """Mean number of hot pixels per camera."""
    hot_hz: tuple[float, float] = numbers((1.0, 1000.0), above=0, at_most=1e6, fewest=2, unit="Hz")
    """Range of their rates."""
    lamps: bool = True
    """Whether lamps flicker in cameras 2 and 3, where DHP19 masks them."""

    @property
    def time_constant_us(self) -> float:
        """Time constant of the photoreceptor's low-pass."""
        return 1e6 / (2 * np.pi * self.bandwidth_hz)


@dataclass(frozen=True)
class SensorEvents:
    """Events of one camera: ``address`` [n] as in an AEDAT file, and ``t_us`` [n]."""

    address: NDArray[np.uint32]
    t_us: NDArray[np.int64]


class Sensor:
    """The pixels of one camera; ``channel`` is written into its events."""

    def __init__(
        self,
        channel: int,
        options: SensorOptions,
        first: FloatImage,
        mismatch: NDArray[np.float32],
    ) -> None:
        """Start settled on the picture ``first`` [260, 346] at time 0.

        ``mismatch`` [260, 346]: deviation of each pixel's threshold, in standard deviations.
        """
        self._channel, self._options = channel, options
        thresholds = options.threshold + options.threshold_spread * mismatch
        self._threshold = np.maximum(thresholds, 0.1 * options.threshold).astype(np.float32)
        self._log = np.empty_like(first)
        _blurred_log(first, self._log, (0, SENSOR_HEIGHT, 0, SENSOR_WIDTH))
        self._filtered = self._log.copy()
        self._reference = self._log.copy()
        self._time_us = 0
        self._recent: deque[tuple[int, Box]] = deque()

    def see(self, image: FloatImage, changed: Box, time_us: int) -> SensorEvents:
        """Follow the picture to ``time_us``; events in no particular order within the step.

        ``changed`` holds every pixel whose picture differs from that of the step before.
        """
        changed = changed.grown(1)
        box = self._active(changed, time_us)
        step_us = time_us - self._time_us
        share = np.float32(-np.expm1(-step_us / self._options.time_constant_us))
        _blurred_log(image, self._log, changed.bounds)
        address, t_us = _cross(
            self._log,
            (self._filtered, self._reference, self._threshold),
            (share, self._channel),
            (self._time_us, time_us),
            box.bounds,
        )
        self._time_us = time_us
        return SensorEvents(address, t_us)

    def _active(self, changed: Box, time_us: int) -> Box:
        """Pixels that changed too recently to have settled."""
        if self._recent and time_us - self._recent[-1][0] < _BUCKET_US:
            since_us, before = self._recent.pop()
            self._recent.append((since_us, before.union(changed)))
        else:
            self._recent.append((time_us, changed))
        settled_us = time_us - _SETTLED_LOW_PASSES * self._options.time_constant_us
        while self._recent[0][0] + _BUCKET_US < settled_us:
            self._recent.popleft()
        box = changed
        for _, other in self._recent:
            box = box.union(other)
        return box


@numba.njit(cache=True)
def _blurred_log(image, log, box):  # type: ignore[no-untyped-def]
    """log(dark + image blurred by [1 2 1] / 4 in both directions) in a box of ``log``."""
    top, bottom, left, right = box
    height, width = image.shape
    vertical = np.empty(width, np.float32)
    quarter, half = np.float32(0.25), np.float32(0.5)
    scale = np.float32((_LEVELS - 1) / _BRIGHTEST)
    first, last = max(left - 1, 0), min(right + 1, width)
    for row in range(top, bottom):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        for column in range(first, last):
            vertical[column] = quarter * (image[above, column] + image[below, column])
            vertical[column] += half * image[row, column]
        for column in range(left, right):
            side = vertical[max(column - 1, 0)] + vertical[min(column + 1, width - 1)]
            level = int(scale * (half * vertical[column] + quarter * side) + half)
            log[row, column] = _LOG_TABLE[min(level, _LEVELS - 1)]


@numba.njit(cache=True)
def _cross(log, pixels, constants, times_us, box):  # type: ignore[no-untyped-def]
    """Move the low-pass by ``share`` of its distance; an event for each threshold crossed."""
    filtered, reference, threshold = pixels
    share, channel = constants
    start_us, end_us = times_us
    top, bottom, left, right = box
    size = 1024
    address, t_us = np.empty(size, np.uint32), np.empty(size, np.int64)
    befores = np.empty(log.shape[1], np.float32)
    excess = np.empty(log.shape[1], np.float32)
    n = 0
    for row in range(top, bottom):
        # Few pixels send an event. This loop has no branch, so the compiler makes vectors of it.
        for column in range(left, right):
            before = filtered[row, column]
            after = before + share * (log[row, column] - before)
            befores[column] = before
            filtered[row, column] = after
            excess[column] = abs(after - reference[row, column]) - threshold[row, column]
        for column in range(left, right):
            if excess[column] < 0:
                continue
            before, after = befores[column], filtered[row, column]
            step = threshold[row, column]
            change = after - reference[row, column]
            polarity = POLARITY_BIT
            if change < 0:
                step, polarity = -step, 0
            where = (SENSOR_HEIGHT - 1 - row) << Y_SHIFT | (SENSOR_WIDTH - 1 - column) << X_SHIFT
            crossed = max(int(change / step), 1)
            for k in range(1, crossed + 1):
                level = reference[row, column] + k * step
                part = min(max((level - before) / (after - before), 0.0), 1.0)
                if n == size:
                    size *= 2
                    address, t_us = _doubled(address), _doubled(t_us)
                address[n] = where | polarity | channel
                t_us[n] = start_us + max(1, int(np.ceil(part * (end_us - start_us))))
                n += 1
            reference[row, column] += crossed * step
    return address[:n], t_us[:n]


@numba.njit(cache=True)
def _doubled(array):  # type: ignore[no-untyped-def]
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger
