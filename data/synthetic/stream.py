"""The raw events of a scene: an endless stream of four cameras in order of time."""

from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import (
    CAMERA_MASK,
    RECORD_BYTES,
    X_MASK,
    X_SHIFT,
    Y_MASK,
    Y_SHIFT,
    RawEvents,
)
from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH, camera
from ann2sdnn.data.synthetic.body.motion import Performance
from ann2sdnn.data.synthetic.body.skeleton import Placement
from ann2sdnn.data.synthetic.camera.disturbances import Disturbances, make_chip
from ann2sdnn.data.synthetic.camera.render import View, pose_mesh
from ann2sdnn.data.synthetic.camera.sensor import Sensor, SensorEvents, SensorOptions
from ann2sdnn.data.synthetic.scene import Scene

_GRID_US = 1000  # poses are computed on this grid, and steps are multiples of it
_LONGEST_STEP_US = 8000
_STEP_MM = 10.0  # no bone moves further in a step of more than one grid interval: a pixel
_BLOCK_STEPS = 256  # grid intervals whose poses are computed at once
_CHUNK_US = 30_000  # events are sorted in chunks

# Uniform in (low, high), the rates in their logarithm. v2e (Hu, Liu and Delbruck, CVPR Workshops
# 2021, and its code) takes thresholds of 0.2 with a spread of 0.02 ("clean") to 0.05 ("noisy"), a
# dead time of 500 us, leaks of 0.01 Hz in normal light to 0.1 Hz ("noisy"), 30 Hz of bandwidth in
# the dark, and shot noise of 0.001 Hz in good light. Both rates lie below its leaks: isolated
# pixels are 0.3% of those that are not zero in real frames, 0.5% here, 1.1% at ten times the rates.
_THRESHOLD = (0.17, 0.24)
_THRESHOLD_SPREAD = (0.02, 0.05)
_BANDWIDTH_HZ = (16.0, 30.0)
_REFRACTORY_US = (100.0, 500.0)
_RATE_HZ = (0.001, 0.01)


def draw_options(noise_seed: tuple[int, ...]) -> SensorOptions:
    """Draw the pixels' options: half from the room's seed (the first number), half from its own."""
    rngs = np.random.default_rng((noise_seed[0], 6)), np.random.default_rng((*noise_seed, 1))

    def between(limits: tuple[float, float]) -> float:
        low, high = limits
        return float(low + (high - low) * np.mean([rng.random() for rng in rngs]))

    def rate(limits: tuple[float, float]) -> float:
        return float(np.exp(between((np.log(limits[0]), np.log(limits[1])))))

    return SensorOptions(
        threshold=between(_THRESHOLD),
        threshold_spread=between(_THRESHOLD_SPREAD),
        bandwidth_hz=between(_BANDWIDTH_HZ),
        refractory_us=round(between(_REFRACTORY_US)),
        noise_hz=rate(_RATE_HZ),
        leak_hz=rate(_RATE_HZ),
    )


def raw_events(scene: Scene, options: SensorOptions | None = None) -> Iterator[RawEvents]:
    """Yield the events of the four cameras, times from 0, some 30 ms at a time.

    Without ``options`` they are drawn for the scene.
    """
    options = options or draw_options(scene.noise_seed)
    chips = [make_chip(scene.noise_seed[0], c) for c in range(N_CAMERAS)]
    rngs = np.random.default_rng(scene.noise_seed).spawn(N_CAMERAS)
    views = [View(camera(c), scene.backgrounds[c]) for c in range(N_CAMERAS)]
    disturbances = [Disturbances(c, options, chips[c], rngs[c]) for c in range(N_CAMERAS)]
    sensors: list[Sensor] = []
    order = _Order(options.refractory_us)
    parts: list[SensorEvents] = []
    start_us = 0
    for time_us, placement, index in _steps(scene.performance):
        posed = pose_mesh(scene.body.mesh, placement, index)
        changed = [view.draw(posed) for view in views]
        if not sensors:
            sensors = [
                Sensor(c, options, views[c].image, chips[c].mismatch) for c in range(N_CAMERAS)
            ]
            continue
        for sensor, view, box in zip(sensors, views, changed, strict=True):
            parts.append(sensor.see(view.image, box, time_us))
        if time_us - start_us >= _CHUNK_US:
            parts += [one.send(start_us, time_us) for one in disturbances]
            yield order.of(parts, start_us, time_us)
            parts, start_us = [], time_us


def _steps(performance: Performance) -> Iterator[tuple[int, Placement, int]]:
    """Times to render, in microseconds from 0, each with a placement and the index into it.

    Steps are as long as no bone moves further than ``_STEP_MM``.
    """
    longest = _LONGEST_STEP_US // _GRID_US
    first, last_drawn = 0, -longest
    moved_mm = 0.0
    before: NDArray[np.float64] | None = None
    while True:
        grid = first + np.arange(_BLOCK_STEPS)
        placement = performance.at(grid.astype(np.float64) * (_GRID_US * 1e-6))
        points = np.concatenate(
            [placement.origin_mm, performance.skeleton.markers(placement)], axis=1
        )
        path = np.diff(points, axis=0, prepend=points[:1] if before is None else before[None])
        speed = np.linalg.norm(path, axis=2).max(axis=1)
        before = points[-1]
        for i in range(_BLOCK_STEPS):
            moved_mm += speed[i]
            ahead = speed[min(i + 1, _BLOCK_STEPS - 1)]
            if grid[i] - last_drawn >= longest or moved_mm + ahead > _STEP_MM:
                yield int(grid[i]) * _GRID_US, placement, i
                last_drawn, moved_mm = int(grid[i]), 0.0
        first += _BLOCK_STEPS


class _Order:
    """Sorts the events of all cameras by time; a pixel pauses after each event."""

    def __init__(self, refractory_us: int) -> None:
        self._refractory_us = refractory_us
        self._last_us = np.full(N_CAMERAS * SENSOR_HEIGHT * SENSOR_WIDTH, -(1 << 40), np.int64)

    def of(self, parts: list[SensorEvents], start_us: int, end_us: int) -> RawEvents:
        """The events after ``start_us`` and up to ``end_us``; ties in the order of ``parts``."""
        address = np.concatenate([part.address for part in parts])
        t_us = np.concatenate([part.t_us for part in parts])
        pause = self._last_us, self._refractory_us
        n = _sort(address, t_us, (start_us, end_us), pause)
        return RawEvents(address[:n], t_us[:n], np.empty(0, np.int64), n * RECORD_BYTES)


@numba.njit(cache=True)
def _sort(address, t_us, between, pause):  # type: ignore[no-untyped-def]
    """Sort in place by counting events per microsecond; returns the number that are sent."""
    start_us, end_us = between
    last_us, refractory_us = pause
    place = np.zeros(end_us - start_us + 2, np.int64)
    for t in t_us:
        place[t - start_us + 1] += 1
    place = np.cumsum(place)
    order = np.empty(len(t_us), np.int64)
    for i in range(len(t_us)):
        order[place[t_us[i] - start_us]] = i
        place[t_us[i] - start_us] += 1
    sorted_address, sorted_us = address[order], t_us[order]
    n = 0
    for i in range(len(sorted_us)):
        word = np.int64(sorted_address[i])
        row = (word & CAMERA_MASK) * SENSOR_HEIGHT + (word >> Y_SHIFT & Y_MASK)
        pixel = row * SENSOR_WIDTH + (word >> X_SHIFT & X_MASK)
        if sorted_us[i] - last_us[pixel] >= refractory_us:
            last_us[pixel] = sorted_us[i]
            address[n], t_us[n] = sorted_address[i], sorted_us[i]
            n += 1
    return n
