"""An event camera: log intensity, low-pass, and a threshold crossing a pixel.

Each pixel follows the logarithm of its light through a first-order low-pass (the photoreceptor)
and sends an event for every full contrast threshold between the filtered value and the value at
its last event; what is left over is kept. Model: Lichtsteiner, Posch and Delbruck, IEEE JSSC 43(2),
2008; simulated as in v2e (Hu, Liu and Delbruck, CVPR Workshops 2021).
"""

from collections import deque
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.accumulate import Events
from ann2sdnn.data.cameras import SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.synthetic.render import Box, FloatImage

_DARK = 0.02  # radiance of an unlit pixel: stray light and dark current
_SETTLED_LOW_PASSES = 6  # time constants after which a pixel is taken to have settled
_BUCKET_US = 10_000  # what changed is remembered in buckets of this length
_BRIGHTEST = 2.0
_LEVELS = 8192
_LOG_TABLE = np.log(_DARK + np.linspace(0.0, _BRIGHTEST, _LEVELS)).astype(np.float32)


@dataclass(frozen=True)
class SensorOptions:
    """Contrast threshold (natural log units), its spread over pixels, bandwidth and noise."""

    threshold: float = 0.2
    threshold_spread: float = 0.03
    bandwidth_hz: float = 22.0
    noise_hz: float = 0.0005  # events a pixel and second; recordings are filtered

    @property
    def time_constant_us(self) -> float:
        """Time constant of the photoreceptor's low-pass."""
        return 1e6 / (2 * np.pi * self.bandwidth_hz)


class Sensor:
    """The pixels of one camera; ``channel`` is written into its events."""

    def __init__(
        self, channel: int, options: SensorOptions, first: FloatImage, rng: np.random.Generator
    ) -> None:
        """Start settled on the picture ``first`` [260, 346] at time 0."""
        self._channel, self._options, self._rng = channel, options, rng
        spread = options.threshold_spread * rng.standard_normal(first.shape)
        self._threshold = np.maximum(options.threshold + spread, 0.1 * options.threshold).astype(
            np.float32
        )
        self._log = np.empty_like(first)
        _blurred_log(first, self._log, (0, SENSOR_HEIGHT, 0, SENSOR_WIDTH))
        self._filtered = self._log.copy()
        self._reference = self._log.copy()
        self._time_us = 0
        self._recent: deque[tuple[int, Box]] = deque()

    def see(self, image: FloatImage, changed: Box, time_us: int) -> Events:
        """Follow the picture to ``time_us``; events in no particular order within the step.

        ``changed`` holds every pixel whose picture differs from that of the step before.
        """
        changed = changed.grown(1)
        box = self._active(changed, time_us)
        step_us = time_us - self._time_us
        share = np.float32(-np.expm1(-step_us / self._options.time_constant_us))
        _blurred_log(image, self._log, changed.bounds)
        x, y, t_us = _cross(
            self._log,
            (self._filtered, self._reference, self._threshold),
            share,
            (self._time_us, time_us),
            box.bounds,
        )
        noise_x, noise_y, noise_t = self._noise(step_us)
        self._time_us = time_us
        x, y = np.concatenate([x, noise_x]), np.concatenate([y, noise_y])
        camera = np.full(len(x), self._channel, np.uint8)
        return Events(x, y, camera, np.concatenate([t_us, noise_t]))

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

    def _noise(
        self, step_us: int
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int64]]:
        rate = self._options.noise_hz * SENSOR_WIDTH * SENSOR_HEIGHT
        n = int(self._rng.poisson(rate * step_us * 1e-6))
        return (
            self._rng.integers(0, SENSOR_WIDTH, n).astype(np.uint16),
            self._rng.integers(0, SENSOR_HEIGHT, n).astype(np.uint16),
            self._time_us + 1 + self._rng.integers(0, step_us, n),
        )


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
def _cross(log, pixels, share, times_us, box):  # type: ignore[no-untyped-def]
    """Move the low-pass by ``share`` of its distance; an event for each threshold crossed."""
    filtered, reference, threshold = pixels
    start_us, end_us = times_us
    top, bottom, left, right = box
    size = 1024
    x, y = np.empty(size, np.uint16), np.empty(size, np.uint16)
    t_us = np.empty(size, np.int64)
    n = 0
    for row in range(top, bottom):
        for column in range(left, right):
            before = filtered[row, column]
            after = before + share * (log[row, column] - before)
            filtered[row, column] = after
            step = threshold[row, column]
            change = after - reference[row, column]
            if abs(change) < step:
                continue
            if change < 0:
                step = -step
            crossed = int(change / step)
            for k in range(1, crossed + 1):
                level = reference[row, column] + k * step
                part = min(max((level - before) / (after - before), 0.0), 1.0)
                if n == size:
                    size *= 2
                    x, y, t_us = _doubled(x), _doubled(y), _doubled(t_us)
                x[n], y[n] = column, row
                t_us[n] = start_us + max(1, int(np.ceil(part * (end_us - start_us))))
                n += 1
            reference[row, column] += crossed * step
    return x[:n], y[:n], t_us[:n]


@numba.njit(cache=True)
def _doubled(array):  # type: ignore[no-untyped-def]
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger
