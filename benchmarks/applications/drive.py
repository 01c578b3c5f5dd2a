"""PilotNet, which steers a car, on a drawn drive along a winding road.

The network has the layers and the input, 3x33x100, of lava-dl's tutorial
``tutorials/lava/lib/dl/slayer/pilotnet/train.ipynb`` (after Bojarski et al. 2016), which trains it
as an SDNN on a recorded drive.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from applications.application import Application, Sequences

HEIGHT, WIDTH = 33, 100
_SEQUENCES, _LENGTH = 240, 16  # 16 as in lava-dl's data set
_METRES_PER_FRAME = 0.5
_WHEELBASE_M, _GEAR = 2.7, 15.0  # the steering wheel turns 15 times as far as the wheels
_CAMERA_M, _FOCAL_PX, _HORIZON = 1.4, 60.0, 9.0
_NOISE = 2.0  # standard deviation of a pixel's noise, in counts
_Array = NDArray[np.float64]


class _Road:
    """A road of smooth random curvature, sampled every half metre."""

    def __init__(self, rng: np.random.Generator) -> None:
        step, length = 0.5, 200.0
        self.along = np.arange(0, length, step)
        phases, amplitudes = rng.uniform(0, 2 * np.pi, 3), rng.normal(0, 0.006, 3)
        periods_m = np.array([40.0, 70.0, 130.0])
        angles = 2 * np.pi * self.along[:, None] / periods_m + phases
        self.curvature: _Array = np.sin(angles) @ amplitudes  # in 1/m, positive to the right
        self.heading: _Array = np.cumsum(self.curvature) * step
        self.x: _Array = np.cumsum(np.sin(self.heading)) * step
        self.z: _Array = np.cumsum(np.cos(self.heading)) * step

    def offset(self, place: float, distance: _Array) -> tuple[_Array, _Array]:
        """Of the road's centre at ``distance`` m before the camera: metres to the right of its
        axis, and metres along the road from the road's beginning.

        The camera is at ``place`` m along the road, in its direction.
        """
        here = [np.interp(place, self.along, each) for each in (self.heading, self.x, self.z)]
        x, z = self.x - here[1], self.z - here[2]
        right = x * np.cos(here[0]) - z * np.sin(here[0])
        ahead = x * np.sin(here[0]) + z * np.cos(here[0])
        return np.interp(distance, ahead, right), np.interp(distance, ahead, self.along)

    def steering(self, place: float) -> float:
        """Angle of the steering wheel in radians for the curvature from here to 10 m ahead."""
        ahead = np.interp(place + np.arange(0, 10, 0.5), self.along, self.curvature)
        return float(_GEAR * np.arctan(_WHEELBASE_M * ahead.mean()))


def _hash(row: NDArray[np.int64], column: NDArray[np.int64]) -> _Array:
    """A number from 0 to 1 per pair of whole numbers, the same each time: grains of the ground."""
    mixed = (row * 73856093) ^ (column * 19349663)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed >> 8) & 1023) / 1023


def _picture(road: _Road, place: float, side: float, colours: _Array) -> _Array:
    """The view [3, 33, 100] from ``place`` m along the road, ``side`` m right of its centre."""
    rows = np.arange(HEIGHT, dtype=np.float64)
    columns = np.arange(WIDTH) - (WIDTH - 1) / 2
    picture = np.zeros((3, HEIGHT, WIDTH))
    below = rows > _HORIZON
    distance = _CAMERA_M * _FOCAL_PX / (rows[below] - _HORIZON)
    centre, along = road.offset(place, distance)
    across = columns * distance[:, None] / _FOCAL_PX + side - centre[:, None]  # m from the centre
    # Grains of half a metre near the camera; far away more of them than pixels, so fainter.
    grain = _hash(np.floor(2 * along).astype(np.int64)[:, None], np.floor(2 * across).astype(int))
    grain = (grain - 0.5) * 30 * np.minimum(1, 6 / distance)[:, None]
    is_road = np.abs(across) < 3.5
    is_edge = np.abs(np.abs(across) - 3.2) < 0.15
    is_dash = (np.abs(across) < 0.15) & (along % 6 < 3)[:, None]
    sky, grass, asphalt, paint = colours[..., None, None]
    ground = np.where(is_road, asphalt + 0.3 * grain, grass + grain)
    picture[:, below] = np.where(is_edge | is_dash, paint, ground)
    # Hills at the horizon turn with the road's direction.
    heading = np.interp(place, road.along, road.heading)
    angle = np.arctan(columns / _FOCAL_PX) + heading
    hills = 2 + 1.5 * np.sin(5 * angle) + np.sin(13 * angle + 1)
    is_hill = rows[~below][:, None] > _HORIZON - hills
    picture[:, ~below] = np.where(is_hill, 0.6 * grass, sky)
    return picture


def sequences() -> Sequences:
    """Frames [3, 33, 100] uint8 of many roads, half a metre between frames (54 km/h at 30 per
    second), and the angle of the steering wheel in radians [N, 1].
    """
    rng = np.random.default_rng(0)
    frames = np.zeros((_SEQUENCES, _LENGTH, 3, HEIGHT, WIDTH), np.uint8)
    angles = np.zeros((_SEQUENCES, _LENGTH, 1), np.float32)
    usual = np.array([[150, 180, 220], [80, 110, 60], [95, 95, 100], [220, 220, 210]], np.float64)
    for sequence, steered in zip(frames, angles, strict=True):
        road, light = _Road(rng), rng.uniform(0.7, 1.1)
        colours = np.clip(light * (usual + rng.normal(0, 8, usual.shape)), 0, 255)
        start, side = rng.uniform(0, 60), rng.normal(0, 0.2)
        for number in range(_LENGTH):
            place = start + number * _METRES_PER_FRAME
            picture = _picture(road, place, side, colours)
            picture += rng.normal(0, _NOISE, picture.shape)
            sequence[number] = np.clip(np.rint(picture), 0, 255)
            steered[number] = road.steering(place)
    return Sequences(
        frames.reshape(-1, 3, HEIGHT, WIDTH),
        angles.reshape(-1, 1),
        np.full(_SEQUENCES, _LENGTH),
    )


def pilotnet() -> nn.Sequential:
    """The layers of lava-dl's tutorial: 4 convolutions and 4 dense layers."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(24, 36, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(36, 64, 3, stride=(2, 1), padding=(1, 0)),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 2 * 20, 100),
        nn.ReLU(),
        nn.Linear(100, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
        nn.ReLU(),
        nn.Linear(10, 1),
    )


DRIVE = Application(
    name="drive",
    network="PilotNet of lava-dl: 4 convolutions, 4 dense layers",
    data="drawn winding roads, 3x33x100, steering angle in radians",
    sequences=sequences,
    build=pilotnet,
    epochs=12,
    scale=1 / 255,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
# lava-dl's input layer starts with a threshold of 0.1, for pixels from -1 to 1 12.75 counts.
HELD_DRIVE = replace(
    DRIVE,
    name="drive-held",
    data="the same; a pixel is held until it changes by more than 12 counts",
    hold=12,
)
