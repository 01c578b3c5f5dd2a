"""Events without a change of light: shot noise, leaking switches, hot pixels, infrared lamps.

Their times are random. Shot noise has either polarity; leak events are ON (Nozaki and Delbruck,
IEEE Trans. Electron Devices 64(8), 2017). The rates of both differ log-normally over the pixels, as
in v2e. Hot pixels send ON events all the time. The lamps are those of the motion-capture cameras:
they pulse at the rate of the labels, inside the areas that DHP19 masks in its cameras 2 and 3.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import polarity_addresses
from ann2sdnn.data.events.filters import lamp_mask
from ann2sdnn.data.events.windows import LABEL_PERIOD_US
from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.synthetic.camera.sensor import SensorEvents, SensorOptions

_PIXELS = SENSOR_HEIGHT * SENSOR_WIDTH
_NOISE_TABLE = 1 << 18  # pixels by their share of the noise; about three entries each
_MOST_HOT_PIXELS = 64
_LAMP_HZ = (10.0, 60.0)  # events per pixel
_LAMP_PULSE_US = 3000

Pixels = NDArray[np.int64]


@dataclass(frozen=True)
class Chip:
    """Fixed properties of a camera; pixel = row * 346 + column of its frame.

    ``mismatch`` [260, 346] and ``noisiness`` [89960]: standard normal numbers that set thresholds
    and noise rates. ``hot_pixel`` [64] and ``hot_rate`` [64]: pixels in the order in which they
    become hot, and their rates between the slowest (0) and the fastest (1). ``hot_quantile``
    decides how many are hot. ``lamp_pixel`` [k] and ``lamp_hz`` [k].
    """

    mismatch: NDArray[np.float32]
    noisiness: NDArray[np.float32]
    hot_pixel: Pixels
    hot_rate: NDArray[np.float64]
    hot_quantile: float
    lamp_pixel: Pixels
    lamp_hz: NDArray[np.float64]


@lru_cache(maxsize=N_CAMERAS)
def make_chip(seed: int, channel: int) -> Chip:
    """Draw the camera at ``channel`` in the room of ``seed``."""
    rng = np.random.default_rng((seed, 5, channel))
    lamp = _lamp_pixels(channel)
    return Chip(
        rng.standard_normal((SENSOR_HEIGHT, SENSOR_WIDTH), np.float32),
        rng.standard_normal(_PIXELS, np.float32),
        rng.choice(_PIXELS, _MOST_HOT_PIXELS, replace=False),
        rng.random(_MOST_HOT_PIXELS),
        float(rng.random()),
        lamp,
        rng.uniform(*_LAMP_HZ, len(lamp)),
    )


class Disturbances:
    """The disturbances of one camera over a recording."""

    def __init__(
        self, channel: int, options: SensorOptions, chip: Chip, rng: np.random.Generator
    ) -> None:
        self._channel, self._rng, self._chip = channel, rng, chip
        self._hz = options.noise_hz + options.leak_hz
        self._on = (options.leak_hz + options.noise_hz / 2) / self._hz if self._hz else 0.0
        self._table = _shares(10 ** (options.noise_spread * chip.noisiness.astype(np.float64)))
        n_hot = round(2 * options.hot_pixels * chip.hot_quantile)
        slowest, fastest = np.log(options.hot_hz)
        self._hot_pixel = chip.hot_pixel[:n_hot]
        self._hot_hz = np.exp(slowest + (fastest - slowest) * chip.hot_rate[:n_hot])
        self._lamps = options.lamps and len(chip.lamp_pixel) > 0

    def send(self, start_us: int, end_us: int) -> SensorEvents:
        """Events after ``start_us`` and up to ``end_us``, in no particular order."""
        parts = [self._noise(start_us, end_us), self._hot(start_us, end_us)]
        if self._lamps:
            parts.append(self._lamp(start_us, end_us))
        pixel, t_us, on = (np.concatenate(column) for column in zip(*parts, strict=True))
        row, column = np.divmod(pixel, SENSOR_WIDTH)
        address = polarity_addresses(
            SENSOR_WIDTH - 1 - column, SENSOR_HEIGHT - 1 - row, self._channel, on
        )
        return SensorEvents(address, t_us)

    def _noise(self, start_us: int, end_us: int) -> tuple[Pixels, Pixels, NDArray[np.bool_]]:
        n = self._rng.poisson(self._hz * _PIXELS * (end_us - start_us) * 1e-6)
        pixel = self._table[self._rng.integers(0, len(self._table), n)]
        t_us = start_us + 1 + self._rng.integers(0, end_us - start_us, n)
        return pixel, t_us, self._rng.random(n) < self._on

    def _hot(self, start_us: int, end_us: int) -> tuple[Pixels, Pixels, NDArray[np.bool_]]:
        each = self._rng.poisson(self._hot_hz * (end_us - start_us) * 1e-6)
        pixel = np.repeat(self._hot_pixel, each)
        t_us = start_us + 1 + self._rng.integers(0, end_us - start_us, len(pixel))
        return pixel, t_us, np.ones(len(pixel), np.bool_)

    def _lamp(self, start_us: int, end_us: int) -> tuple[Pixels, Pixels, NDArray[np.bool_]]:
        """Lamp pulses: ON while a pulse rises, OFF while it falls."""
        hz = self._chip.lamp_hz * (LABEL_PERIOD_US / _LAMP_PULSE_US)
        each = self._rng.poisson(hz * (end_us - start_us) * 1e-6)
        pixel = np.repeat(self._chip.lamp_pixel, each)
        t_us = start_us + 1 + self._rng.integers(0, end_us - start_us, len(pixel))
        phase_us = t_us % LABEL_PERIOD_US
        lit = phase_us < _LAMP_PULSE_US
        return pixel[lit], t_us[lit], phase_us[lit] < _LAMP_PULSE_US / 2


def _shares(weights: NDArray[np.float64]) -> Pixels:
    """Pixels [2^18], each as often as its share of the weights [89960]."""
    upper = np.floor(np.cumsum(weights) / weights.sum() * _NOISE_TABLE + 1e-6).astype(np.int64)
    return np.repeat(np.arange(len(weights)), np.diff(upper, prepend=0))


def _lamp_pixels(channel: int) -> Pixels:
    """The ellipse inside the rectangle that is masked in this camera; empty without one."""
    masked = lamp_mask().reshape(SENSOR_HEIGHT, N_CAMERAS, SENSOR_WIDTH)[:, channel]
    rows, columns = np.nonzero(masked)
    if not len(rows):
        return np.empty(0, np.int64)
    inside = np.zeros(len(rows))
    for axis in (rows, columns):
        centre, half = (axis.min() + axis.max()) / 2, (np.ptp(axis) + 1) / 2
        inside += ((axis - centre) / half) ** 2
    chosen = inside < 0.8
    return np.asarray(rows[chosen] * SENSOR_WIDTH + columns[chosen], np.int64)
