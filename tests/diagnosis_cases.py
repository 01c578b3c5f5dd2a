"""A small network of the experiment's kinds of layers, and sequences that it is trained on."""

import torch

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.subjects.settings import BlockPlan

# The same kinds of layers, few and narrow.
SMALL = (
    BlockPlan("first", "conv", 1, 8),
    BlockPlan("pool", "pool", 8, 8),
    BlockPlan("middle", "conv", 8, 8, 2),
    BlockPlan("up", "convT", 8, 8),
    BlockPlan("last", "conv", 8, 13),
)


class Wandering:
    """Sequences of a bright patch that wanders over an empty picture; each joint sits on it."""

    def __init__(self, side: int, frames: int, n: int = 4) -> None:
        self.side, self.frames, self.n = side, frames, n

    def __len__(self) -> int:
        return self.n

    def read(self, index: int) -> PoseSequence:
        random = torch.Generator().manual_seed(index)
        frames = torch.zeros(1, self.side, self.side, self.frames)
        targets = torch.zeros(13, self.side, self.side, self.frames)
        row = column = self.side // 3 + index
        for t in range(self.frames):
            patch = torch.rand(8, 8, generator=random)
            frames[0, row + t : row + t + 8, column : column + 8, t] = patch
            targets[:, row + t + 2 : row + t + 5, column + 2 : column + 5, t] = 1
        return PoseSequence(frames, targets)
