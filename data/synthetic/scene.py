"""The scene of a synthetic recording: the room, the person and the movement."""

from dataclasses import dataclass

import numpy as np

from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.synthetic.body.mesh import Body, make_body
from ann2sdnn.data.synthetic.body.motion import Performance, stance
from ann2sdnn.data.synthetic.camera.render import FloatImage
from ann2sdnn.data.synthetic.movements.catalogue import CatalogueEntry
from ann2sdnn.data.synthetic.movements.kinds import KINDS


@dataclass(frozen=True)
class Scene:
    """Everything that a recording shows; ``noise_seed`` drives the pixels."""

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
        (stance(rng, leg_mm), KINDS[entry.kind](rng, entry.sides)),
        (float(rng.normal(-100.0, 60.0)), float(rng.normal(300.0, 80.0))),
        float(np.radians(np.clip(rng.normal(0.0, 9.0), -25.0, 25.0))),
    )
    backgrounds = tuple(_background(room) for _ in range(N_CAMERAS))
    return Scene(body, performance, backgrounds, (*numbers, 4))


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
