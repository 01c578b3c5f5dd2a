"""The event camera against worked numbers."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from raw_recordings import columns

from ann2sdnn.data.events.aedat import RawEvents
from ann2sdnn.data.pose.cameras import SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.synthetic.camera.render import Box
from ann2sdnn.data.synthetic.camera.sensor import Sensor, SensorEvents, SensorOptions

Image = NDArray[np.float32]
QUIET = SensorOptions(threshold=0.2, threshold_spread=0.0, bandwidth_hz=1e6)
ALL = Box(0, SENSOR_HEIGHT, 0, SENSOR_WIDTH)
DARK = 0.02  # what the sensor adds to the radiance before the logarithm


def flat(log_light: float) -> Image:
    """A uniform picture whose logarithm in the sensor is ``log_light``."""
    return np.full((SENSOR_HEIGHT, SENSOR_WIDTH), np.exp(log_light) - DARK, np.float32)


def sensor(first: Image, options: SensorOptions = QUIET) -> Sensor:
    mismatch = np.random.default_rng(0).standard_normal(first.shape, np.float32)
    return Sensor(3, options, first, mismatch)


@dataclass(frozen=True)
class Seen:
    """Events of a camera in the coordinates of its frame."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    on: NDArray[np.bool_]
    t_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t_us)


def seen(sent: SensorEvents) -> Seen:
    raw = RawEvents(sent.address, sent.t_us, np.empty(0, np.int64), 0)
    x, y, camera, on = columns(raw)
    assert (camera == 3).all()
    return Seen(345 - x, 259 - y, on, raw.t_us)


def see(one: Sensor, image: Image, changed: Box, time_us: int) -> Seen:
    return seen(one.see(image, changed, time_us))


def per_pixel(events: Seen) -> NDArray[np.int64]:
    counts = np.zeros((SENSOR_HEIGHT, SENSOR_WIDTH), np.int64)
    np.add.at(counts, (events.y, events.x), 1)
    return counts


def test_an_unchanging_picture_sends_nothing() -> None:
    picture = np.random.default_rng(0).random((SENSOR_HEIGHT, SENSOR_WIDTH)).astype(np.float32)
    one = sensor(picture)
    assert [len(see(one, picture, ALL, t)) for t in (1000, 2000, 50_000)] == [0, 0, 0]


@pytest.mark.parametrize(("change", "expected"), [(0.63, 3), (-0.63, 3), (0.17, 0), (1.05, 5)])
def test_one_event_for_each_threshold_of_log_light(change: float, expected: int) -> None:
    one = sensor(flat(-1.5))
    events = see(one, flat(-1.5 + change), ALL, 1000)
    assert (per_pixel(events) == expected).all()
    assert (events.on == (change > 0)).all()


def test_what_a_threshold_leaves_over_is_kept() -> None:
    one = sensor(flat(-1.5))
    logs = [-1.37, -1.24, -1.11, -0.98]  # steps of 0.13: crossings at 0.2 and 0.4
    sent = [len(see(one, flat(log), ALL, 1000 * (i + 1))) for i, log in enumerate(logs)]
    assert [n // (SENSOR_HEIGHT * SENSOR_WIDTH) for n in sent] == [0, 1, 0, 1]


def test_only_pixels_near_a_change_send_events() -> None:
    first = flat(-1.0)
    second = first.copy()
    second[100:110, 200:210] *= 2
    one = sensor(first)
    counts = per_pixel(see(one, second, Box(100, 110, 200, 210), 1000))
    rows, columns = np.nonzero(counts)
    assert [int(n) for n in (rows.min(), rows.max(), columns.min(), columns.max())] == [
        99, 110, 199, 210
    ]  # fmt: skip
    assert counts[99, 199] == 0  # the blur leaves a sixteenth of the change in a corner
    assert counts[99, 205] == 1  # and a quarter beside an edge: log 1.25 = 0.22
    assert counts[105, 205] == 3  # log 2 = 0.69, a little less for the dark current


def test_the_low_pass_lags_and_then_settles() -> None:
    options = SensorOptions(threshold=0.01, threshold_spread=0.0, bandwidth_hz=20.0)
    constant_us = 1e6 / (2 * np.pi * 20.0)
    one = sensor(flat(-2.0), options)
    after_one = per_pixel(see(one, flat(-1.0), ALL, round(constant_us)))[0, 0]
    assert after_one == pytest.approx(100 * (1 - np.exp(-1)), abs=1.5)
    later = sum(
        per_pixel(see(one, flat(-1.0), Box(0, 1, 0, 1), round(constant_us * k)))[50, 50]
        for k in range(2, 9)
    )
    assert after_one + later == pytest.approx(100, abs=1.5)


def test_times_lie_within_the_step_and_rise_with_the_level() -> None:
    one = sensor(flat(-2.0))
    see(one, flat(-2.0), ALL, 10_000)
    events = see(one, flat(-0.9), ALL, 12_000)
    here = np.sort(events.t_us[(events.x == 7) & (events.y == 9)])
    np.testing.assert_allclose(here - 10_000, 2000 * np.arange(1, 6) * 0.2 / 1.1, atol=4)
    assert events.t_us.min() > 10_000
    assert events.t_us.max() <= 12_000


def test_thresholds_differ_from_pixel_to_pixel() -> None:
    options = SensorOptions(threshold=0.2, threshold_spread=0.03, bandwidth_hz=1e6)
    counts = per_pixel(see(sensor(flat(-2.0), options), flat(0.0), ALL, 1000))
    assert counts.std() > 0.5
    assert 9.0 < counts.mean() < 10.5
