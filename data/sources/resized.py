"""Sequences whose frames are resized to another height and width before a network sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ann2sdnn.data.sources.frames import CHUNK_FRAMES, ChangedFrames, FrameArray, Frames
from ann2sdnn.data.sources.labels import LabelledFrames, Targets, class_names
from ann2sdnn.graph.geometry import Pair

if TYPE_CHECKING:
    from torch import Tensor

_R = TypeVar("_R", bound="ResizedFrames")


@dataclass(frozen=True)
class ResizedFrames(ChangedFrames):
    """``whole`` with every frame resized to ``size`` (height, width); see ``resize_frames``."""

    size: Pair

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width after resizing."""
        return (self.whole.shape[0], *self.size)

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


def resized(sequences: Sequence[Frames], size: Pair | None) -> tuple[Frames, ...]:
    """``sequences`` with frames of ``size``; None, and frames that have it, stay as they are.

    Joints of poses are not carried over, since they are places in the frame.
    """
    return tuple(
        sequence if size in (None, sequence.shape[1:]) else _resized(sequence, size)
        for sequence in sequences
    )


def _resized(sequence: Frames, size: Pair) -> ResizedFrames:
    if isinstance(sequence, LabelledFrames):
        return ResizedLabelled(sequence, size)
    return ResizedFrames(sequence, size)


def resize_frames(frames: "Tensor", size: Pair) -> "Tensor":
    """Frames [T, C, H, W] of another ``size`` (height, width), of their own type.

    Bilinear with half-pixel centres, averaging where it shrinks, as torchvision's and Pillow's
    resizing do (``torch.nn.functional.interpolate`` with ``antialias``); pixels are rounded.
    """
    import torch
    import torch.nn.functional as F

    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    values: Tensor = F.interpolate(frames.to(torch.float32), size, mode="bilinear", antialias=True)
    if frames.dtype == torch.uint8:
        return values.round_().clamp_(0, 255).to(torch.uint8)
    return values
