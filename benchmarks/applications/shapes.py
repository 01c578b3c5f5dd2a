"""An all-convolutional network that names coloured shapes which move before a still background."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from applications.application import Application, Sequences

SIZE = 32
N_SHAPES = 4  # disc, square, triangle, ring
_SEQUENCES, _LENGTH = 600, 8
_NOISE = 2.0  # standard deviation of a pixel's noise, in counts

_Mask = NDArray[np.bool_]


def mask(shape: int, y: NDArray[np.float64], x: NDArray[np.float64], radius: float) -> _Mask:
    """Pixels of ``shape``, at rows ``y`` and columns ``x`` from its centre."""
    distance = np.hypot(y, x)
    if shape == 0:
        return distance < radius
    if shape == 1:
        return np.maximum(np.abs(y), np.abs(x)) < 0.85 * radius
    if shape == 2:
        return (y < 0.6 * radius) & (y > 1.8 * np.abs(x) - radius)
    return (distance < radius) & (distance > 0.55 * radius)


def sequences() -> Sequences:
    """Frames [3, 32, 32] uint8 of a shape of any colour, with noise; one shape per sequence."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    frames = np.zeros((_SEQUENCES, _LENGTH, 3, SIZE, SIZE), np.uint8)
    shapes = rng.integers(0, N_SHAPES, _SEQUENCES)
    for shape, sequence in zip(shapes, frames, strict=True):
        dark, bright = rng.uniform(20, 110, (3, 1, 1)), rng.uniform(130, 250, (3, 1, 1))
        background, colour = (dark, bright) if rng.random() < 0.5 else (bright, dark)
        # A slope of brightness across the background.
        slope = rng.uniform(-0.5, 0.5, 2)
        background = background + slope[0] * (rows - 16) + slope[1] * (columns - 16)
        radius, place, speed = rng.uniform(5, 9), rng.uniform(12, 20, 2), rng.normal(0, 0.5, 2)
        for number, frame in enumerate(sequence):
            row, column = place + number * speed
            inside = mask(int(shape), rows - row, columns - column, radius)
            picture = np.where(inside, colour, background) + rng.normal(0, _NOISE, frame.shape)
            frame[:] = np.clip(np.rint(picture), 0, 255)
    return Sequences(
        frames.reshape(-1, 3, SIZE, SIZE),
        np.repeat(shapes, _LENGTH),
        np.full(_SEQUENCES, _LENGTH),
    )


def all_convolutional() -> nn.Sequential:
    """After Springenberg et al. 2015: strides instead of pooling, an average at the end."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, N_SHAPES, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


SHAPES = Application(
    name="shapes",
    network="all-convolutional: 4 convolutions and a global average",
    data="coloured shapes that move, 3x32x32, pixel noise of 2 counts",
    sequences=sequences,
    build=all_convolutional,
    epochs=20,
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
