"""Frames held in memory, as a sequence, with labels or without."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from ann2sdnn.data.sources.frames import CHUNK_FRAMES, FrameArray
from ann2sdnn.data.sources.labels import Targets

_A = TypeVar("_A", bound="ArrayFrames")
_L = TypeVar("_L", bound="LabelledArrayFrames")


@dataclass(frozen=True, eq=False)
class ArrayFrames:
    """A sequence of ``frames`` [T, C, H, W], uint8 or float32."""

    frames: FrameArray
    name: str = "frames"
    group: str = "frames"

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.frames)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        _, channels, height, width = self.frames.shape
        return (channels, height, width)

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """Views of the frames, ``n_frames`` at a time."""
        for start in range(0, self.n_frames, n_frames):
            yield self.frames[start : start + n_frames]

    def part(self: _A, start: int, stop: int) -> _A:
        """Frames ``start`` to ``stop`` (excluded)."""
        return replace(self, frames=self.frames[start:stop])


@dataclass(frozen=True, eq=False)
class LabelledArrayFrames(ArrayFrames):
    """The same with ``labels``: [T] int64, a class for each frame, or [T, K] float32, values."""

    labels: Targets = field(default_factory=lambda: np.zeros(0, np.int64))

    def targets(self) -> Targets:
        """Those of the sequence's frames."""
        return self.labels

    def part(self: _L, start: int, stop: int) -> _L:
        """Frames ``start`` to ``stop`` (excluded), with their labels."""
        return replace(self, frames=self.frames[start:stop], labels=self.labels[start:stop])
