"""Sequences whose frames are resized to another height and width before a network sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.pose.scale import PictureScale
from ann2sdnn.data.sources.frames import (
    CHUNK_FRAMES,
    ChangedFrames,
    FrameArray,
    Frames,
    PoseFrames,
)
from ann2sdnn.data.sources.labels import LabelledFrames, Targets, class_names
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.preprocessing import resize_frames

_R = TypeVar("_R", bound="ResizedFrames")


@dataclass(frozen=True)
class ResizedFrames(ChangedFrames):
    """``whole`` with every frame resized to ``size`` (height, width); see ``resize_frames``."""

    size: Pair

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width after resizing."""
        return (self.whole.shape[0], *self.size)

    @property
    def scale(self) -> PictureScale:
        """From these frames to those of ``whole``."""
        return PictureScale.between(self.whole.shape[1:], self.size)

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """The resized frames, ``n_frames`` at a time."""
        import torch

        for chunk in self.whole.chunks(n_frames):
            yield resize_frames(torch.from_numpy(chunk), self.size).numpy()

    def part(self: _R, start: int, stop: int) -> _R:
        """Frames ``start`` to ``stop`` (excluded)."""
        return replace(self, whole=self.whole.part(start, stop))


@dataclass(frozen=True)
class ResizedLabelled(ResizedFrames):
    """Frames with a class or values each, which resizing does not change."""

    whole: LabelledFrames

    def targets(self) -> Targets:
        """Those of the frames, in order."""
        return self.whole.targets()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return class_names((self.whole,))


@dataclass(frozen=True)
class ResizedPoses(ResizedFrames):
    """Frames whose poses are known: joints stay in pixels of the whole picture."""

    whole: PoseFrames

    @property
    def channel(self) -> int:
        """The camera."""
        return self.whole.channel

    @property
    def start(self) -> int:
        """Number of the first frame in its recording."""
        return self.whole.start

    def labels(self) -> ProjectedLabels:
        """Joints of each frame in the camera's whole picture."""
        return self.whole.labels()

    def labels_mm(self) -> NDArray[np.float64]:
        """Joints of each frame in the room."""
        return self.whole.labels_mm()


def resized(sequences: Sequence[Frames], size: Pair | None) -> tuple[Frames, ...]:
    """``sequences`` with frames of ``size``; None, and frames that have it, stay as they are."""
    return tuple(
        sequence if size in (None, sequence.shape[1:]) else _resized(sequence, size)
        for sequence in sequences
    )


def before_resizing(frames: Frames) -> Frames:
    """The frames that ``frames`` were resized from; ``frames`` where they were not."""
    return frames.whole if isinstance(frames, ResizedFrames) else frames


def _resized(sequence: Frames, size: Pair) -> ResizedFrames:
    if isinstance(sequence, LabelledFrames):
        return ResizedLabelled(sequence, size)
    if isinstance(sequence, PoseFrames):
        return ResizedPoses(sequence, size)
    return ResizedFrames(sequence, size)
