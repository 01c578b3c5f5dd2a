"""Two small networks trained here in seconds, that have nothing to do with poses.

The task: a disc of stripes in one of four directions wanders over a noisy picture. The classifier
names the direction; the U-shaped network marks the disc's pixels in the direction's channel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ann2sdnn.data.recordings.writer import recording_writer

SIZE = (260, 344)
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_PERIOD_PX = 22.0


@dataclass(frozen=True, eq=False)
class Stripes:
    """``frames`` [N, 1, 260, 344] uint8, ``kinds`` [N] 0 to 3, ``discs`` [N, 260, 344] bool."""

    frames: Tensor
    kinds: Tensor
    discs: Tensor

    def inputs(self) -> Tensor:
        """The frames as the networks were trained on them, 0 to 1."""
        return self.frames.float() / 255


def stripes(n_sequences: int, length: int, seed: int) -> Stripes:
    """``n_sequences`` of ``length`` frames; a sequence shows one disc that moves."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    frames, discs = [], []
    kinds = np.arange(n_sequences) % len(_DIRECTIONS)
    for kind in kinds:
        row, column = rng.uniform(70, 190), rng.uniform(70, 270)
        radius, brightness, speed = rng.uniform(40, 65), rng.uniform(120, 255), rng.normal(0, 4, 2)
        down, across = _DIRECTIONS[kind]
        for step in range(length):
            y, x = rows - row - step * speed[0], columns - column - step * speed[1]
            wave = np.sin(2 * np.pi * (down * y + across * x) / np.hypot(down, across) / _PERIOD_PX)
            disc = np.hypot(y, x) < radius
            frame = np.where(disc & (wave > 0), brightness, 0)
            frame[rng.random(SIZE) < 0.01] = 60
            frames.append(frame.astype(np.uint8))
            discs.append(disc)
    return Stripes(
        torch.from_numpy(np.stack(frames))[:, None],
        torch.from_numpy(np.repeat(kinds, length)),
        torch.from_numpy(np.stack(discs)),
    )


def write_stripes(folder: Path, data: Stripes, length: int) -> None:
    """One recording a sequence, in camera 0, with nothing in the others; no labels."""
    for number, sequence in enumerate(data.frames[:, 0].numpy().reshape(-1, length, *SIZE), 1):
        with recording_writer(folder, f"S{number}_session1_mov1") as writer:
            for picture in sequence:
                frame = np.zeros((260, 346, 4), np.uint8)
                frame[:, :344, 0] = picture
                writer.append(frame, np.full((3, 13), np.nan))


def classifier() -> nn.Sequential:
    """After LeNet-5 (LeCun et al. 1998), with ReLU and one max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 7, stride=4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 5),
        nn.ReLU(),
        nn.AvgPool2d(5),
        nn.Flatten(),
        nn.Linear(12 * 5 * 7, 24),
        nn.ReLU(),
        nn.Linear(24, 4),
    )


def u_network() -> nn.Sequential:
    """Down and up again without skips, to a quarter of the resolution; no ReLU at the end."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=4, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 8, 2, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, padding=1),
    )


def train_classifier(data: Stripes, steps: int) -> nn.Sequential:
    """A classifier trained with cross entropy."""
    return _train(classifier, data.inputs(), data.kinds, F.cross_entropy, steps)


def train_u_network(data: Stripes, steps: int) -> nn.Sequential:
    """A network trained to mark discs, by squared error."""
    masks = F.one_hot(data.kinds, 4)[:, :, None, None] * data.discs[:, None]
    small = F.interpolate(masks.float(), scale_factor=0.25, mode="area")[:, :, :64, :84]
    return _train(u_network, data.inputs(), small, F.mse_loss, steps)


def _train(
    build: Callable[[], nn.Sequential],
    x: Tensor,
    y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    steps: int,
) -> nn.Sequential:
    torch.manual_seed(0)
    network = build()
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(steps):
        chosen = torch.randint(0, len(x), (16,))
        optimiser.zero_grad()
        loss(network(x[chosen]), y[chosen]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()


def export(network: nn.Module, path: Path) -> Path:
    """As a user would."""
    torch.onnx.export(network, (torch.zeros(1, 1, *SIZE),), str(path), input_names=["frame"])
    return path
