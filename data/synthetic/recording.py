"""One synthetic recording: a body moves, four cameras send events, events become frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.accumulate import (
    LABEL_PERIOD_US,
    WINDOW_EVENTS,
    Events,
    LabelledFrame,
    Windows,
    labelled_frames,
)
from ann2sdnn.data.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH, camera
from ann2sdnn.data.synthetic.body import Body, make_body
from ann2sdnn.data.synthetic.catalogue import CatalogueEntry
from ann2sdnn.data.synthetic.motion import Performance, stance
from ann2sdnn.data.synthetic.movements import make_movement
from ann2sdnn.data.synthetic.render import FloatImage, View, pose_mesh
from ann2sdnn.data.synthetic.sensor import Sensor, SensorOptions
from ann2sdnn.data.synthetic.skeleton import Placement

_GRID_US = 1000  # poses are computed on this grid, and steps are multiples of it
_LONGEST_STEP_US = 5000
_STEP_MM = 7.0  # no bone moves further in a step of more than one grid interval: 0.7 pixels
_BLOCK_STEPS = 256  # grid intervals whose poses are computed at once
_LONGEST_FRAME_S = 1.5  # of 30,000 events; a moving body needs a tenth of it


@dataclass(frozen=True)
class Scene:
    """What a recording is made of; ``noise_seed`` drives the pixels."""

    body: Body
    performance: Performance
    backgrounds: tuple[FloatImage, ...]
    noise_seed: tuple[int, ...]


def make_scene(seed: int, subject: int, entry: CatalogueEntry) -> Scene:
    """Draw a scene: the room by seed, the body by subject, the performance by movement."""
    room = np.random.default_rng((seed, 1))
    body = make_body(np.random.default_rng((seed, 2, subject)))
    numbers = (seed, 3, subject, entry.session, entry.movement)
    rng = np.random.default_rng(numbers)
    leg_mm = 0.53 * body.skeleton.height_mm
    performance = Performance(
        body.skeleton,
        (stance(rng, leg_mm), make_movement(entry.kind, entry.sides, rng)),
        (float(rng.normal(-100.0, 60.0)), float(rng.normal(300.0, 80.0))),
        float(np.radians(np.clip(rng.normal(0.0, 9.0), -25.0, 25.0))),
    )
    backgrounds = tuple(_background(room) for _ in range(N_CAMERAS))
    return Scene(body, performance, backgrounds, (*numbers, 4))


def record(scene: Scene, frames: int, windows: Windows) -> Iterator[LabelledFrame]:
    """Yield ``frames`` frames, fewer only if the body hardly moves."""
    needed_events = windows.window_events + (frames - 1) * windows.hop
    longest_s = 1.0 + _LONGEST_FRAME_S * needed_events / WINDOW_EVENTS
    times = np.arange(int(longest_s * 1e6 / LABEL_PERIOD_US)) * (LABEL_PERIOD_US * 1e-6)
    labels_mm = scene.performance.markers(times)
    stream = labelled_frames(events(scene), labels_mm, 0, windows)
    for _, frame in zip(range(frames), stream, strict=False):
        yield frame


def events(scene: Scene, options: SensorOptions | None = None) -> Iterator[Events]:
    """Yield the events of the four cameras without end, a few milliseconds at a time."""
    rngs = np.random.default_rng(scene.noise_seed).spawn(N_CAMERAS)
    views = [View(camera(c), scene.backgrounds[c]) for c in range(N_CAMERAS)]
    sensors: list[Sensor] = []
    for time_us, placement, index in _steps(scene.performance):
        posed = pose_mesh(scene.body.mesh, placement, index)
        changed = [view.draw(posed) for view in views]
        if not sensors:
            chosen = options or SensorOptions()
            sensors = [Sensor(c, chosen, views[c].image, rngs[c]) for c in range(N_CAMERAS)]
            continue
        seen = [
            sensor.see(view.image, box, time_us)
            for sensor, view, box in zip(sensors, views, changed, strict=True)
        ]
        yield _in_order_of_time(seen)


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
        placement = performance.at(grid * (_GRID_US * 1e-6))
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


def _in_order_of_time(parts: list[Events]) -> Events:
    t_us = np.concatenate([p.t_us for p in parts])
    order = np.argsort(t_us, kind="stable")
    return Events(
        np.concatenate([p.x for p in parts])[order],
        np.concatenate([p.y for p in parts])[order],
        np.concatenate([p.camera for p in parts])[order],
        t_us[order],
    )


def _background(rng: np.random.Generator) -> FloatImage:
    """The room: a wall and a floor of different brightness, unevenly lit."""
    rows = np.linspace(0.0, 1.0, SENSOR_HEIGHT)[:, None]
    columns = np.linspace(0.0, 1.0, SENSOR_WIDTH)[None, :]
    wall, floor = rng.uniform(0.55, 0.9), rng.uniform(0.45, 0.8)
    edge = rng.uniform(0.5, 0.65)
    picture = wall + (floor - wall) / (1 + np.exp(-(rows - edge) / 0.01))
    for _ in range(6):
        fx, fy = rng.normal(0, 2.5, 2)
        wave = np.exp(2j * np.pi * (fy * rows + rng.random())) * np.exp(2j * np.pi * fx * columns)
        picture = picture * (1 + 0.08 * wave.imag)
    return np.asarray(picture, np.float32)
