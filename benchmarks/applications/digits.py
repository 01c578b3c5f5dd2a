"""A LeNet on scikit-learn's handwritten digits, as pictures and as digits that move.

The data set is the test part of UCI's "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, 1998), which scikit-learn contains: 1,797 pictures of 8x8 pixels from 0 to 16. Its order
is that of the collection, so the last quarter has other writers than the rest for the most part.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from applications.application import Application, Sequences

_DIGIT, _CANVAS = 8, 16
_LENGTH = 8


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures [1797, 8, 8], 0 to 16, and their classes [1797]."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return loaded.images.astype(np.uint8), loaded.target.astype(np.int64)


def pictures() -> Sequences:
    """Every picture as a sequence of one frame [1, 8, 8]."""
    images, classes = _digits()
    return Sequences(images[:, None], classes, np.ones(len(images), np.int64))


def moving() -> Sequences:
    """Every digit moves by one pixel per frame over an empty canvas of 16x16, for 8 frames.

    The direction is one of eight; a digit turns back at the borders.
    """
    images, classes = _digits()
    rng = np.random.default_rng(0)
    frames = np.zeros((len(images), _LENGTH, 1, _CANVAS, _CANVAS), np.uint8)
    free = _CANVAS - _DIGIT
    steps = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
    for image, sequence in zip(images, frames, strict=True):
        start, step = rng.integers(0, free + 1, 2), np.array(steps[rng.integers(len(steps))])
        for number, frame in enumerate(sequence):
            # A triangle wave between 0 and ``free``.
            row, column = free - np.abs((start + number * step) % (2 * free) - free)
            frame[0, row : row + _DIGIT, column : column + _DIGIT] = image
    return Sequences(
        frames.reshape(-1, 1, _CANVAS, _CANVAS),
        np.repeat(classes, _LENGTH),
        np.full(len(images), _LENGTH),
    )


def lenet(size: int) -> nn.Sequential:
    """After LeNet-5 (LeCun et al. 1998), with ReLU and 3x3 kernels, for ``size`` x ``size``."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (size // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


PICTURES = Application(
    name="digits",
    network="LeNet: 2 convolutions with maximum pooling, 2 dense layers",
    data="scikit-learn's digits, 8x8, one frame per sequence",
    sequences=pictures,
    build=partial(lenet, _DIGIT),
    epochs=40,
    scale=1 / 16,
)
MOVING = Application(
    name="moving-digits",
    network="the same LeNet",
    data="the digits move by a pixel per frame over 16x16",
    sequences=moving,
    build=partial(lenet, _CANVAS),
    epochs=10,
    scale=1 / 16,
)
