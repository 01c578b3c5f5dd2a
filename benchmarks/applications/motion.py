"""A 1D network that names a movement from the last 128 samples of an accelerometer's three axes."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from applications.application import Application, Sequences

RATE_HZ, WINDOW, HOP = 50, 128, 8
N_KINDS = 4  # standing, walking, stairs, running
_SEQUENCES, _LENGTH = 160, 24
# For each kind: steps per second; acceleration in g of the step's harmonics, along the body.
_STEPS_HZ = (0.0, 1.8, 1.5, 2.7)
_HARMONICS_G = ((0.0, 0.0, 0.0), (0.25, 0.12, 0.05), (0.2, 0.2, 0.12), (0.9, 0.35, 0.12))


def _signal(kind: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Acceleration in g [3, samples]: gravity and steps along a tilted axis, sway, and noise."""
    n_samples = WINDOW + HOP * (_LENGTH - 1)
    seconds = np.arange(n_samples) / RATE_HZ
    cycles = seconds * _STEPS_HZ[kind] * rng.uniform(0.9, 1.1) + rng.random()
    amplitudes = np.array(_HARMONICS_G[kind]) * rng.uniform(0.7, 1.3, 3)
    waves = np.arange(1, 4)[:, None] * cycles + rng.uniform(-0.1, 0.1, (3, 1))
    along = 1 + amplitudes @ np.sin(2 * np.pi * waves)
    across = amplitudes[0] * np.sin(np.pi * cycles)[None] * rng.uniform(0.2, 0.5, (2, 1))
    tilt = np.linalg.qr(np.eye(3) + rng.normal(0, 0.25, (3, 3)))[0]
    tilt = tilt * np.sign(np.diag(tilt))
    axes: NDArray[np.float64] = tilt @ np.stack([along, *across])
    return axes + rng.normal(0, 0.02, axes.shape)


def sequences() -> Sequences:
    """Windows [3, 1, 128] float32 in g; each has 8 samples that the one before it had not."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, N_KINDS, _SEQUENCES)
    frames = np.zeros((_SEQUENCES, _LENGTH, 3, 1, WINDOW), np.float32)
    for kind, windows in zip(kinds, frames, strict=True):
        signal = _signal(int(kind), rng)
        for number, window in enumerate(windows):
            window[:, 0] = signal[:, number * HOP : number * HOP + WINDOW]
    return Sequences(
        frames.reshape(-1, 3, 1, WINDOW), np.repeat(kinds, _LENGTH), np.full(_SEQUENCES, _LENGTH)
    )


def signal_network() -> nn.Sequential:
    """Three 1D convolutions with strides, an average over time, and a dense layer."""
    return nn.Sequential(
        nn.Conv1d(3, 16, 7, stride=2, padding=3),
        nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv1d(32, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, N_KINDS),
    )


MOTION = Application(
    name="motion",
    network="1D: 3 convolutions, an average over time, a dense layer",
    data="synthetic acceleration, 3x128 samples in g, windows that overlap by 120",
    sequences=sequences,
    build=signal_network,
    epochs=20,
    as_signal=True,
)
