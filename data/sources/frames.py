"""The protocol `Frames`, the input of every network, and helpers to choose and cut sequences.

A sequence is a number of consecutive frames of one sensor. A sigma-delta network's state is reset
before each sequence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    runtime_checkable,
)

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.labels import PoseLabels
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.graph.preprocessing import FrameType
from ann2sdnn.support.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

FrameArray: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]

CHUNK_FRAMES = 8
# Frames of a sequence before fewer sequences are taken: long enough for a network with memory to
# forget its first frame.
SHORTEST = 16
_NAMED = 3  # shapes that a message names

_F = TypeVar("_F", bound="Frames")

GroupName: TypeAlias = Literal["recording", "sequence"]
"""What a group of frames is called in reports and messages."""


class Frames(Protocol):
    """One sequence of consecutive frames, read in chunks."""

    @property
    def name(self) -> str:
        """Name of the sequence, unique within its source."""

    @property
    def group(self) -> str:
        """The recording of several cameras, or the like, that the sequence is part of.

        Held-out frames are whole groups.
        """

    @property
    def n_frames(self) -> int:
        """Number of frames."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every frame."""

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """The frames in order, ``n_frames`` at a time (the last chunk may be shorter): uint8 or
        float32 [n, C, H, W]. Raises DataError for frames that cannot be read.
        """

    def part(self: _F, start: int, stop: int) -> _F:
        """Frames ``start`` to ``stop`` (excluded) of this sequence, as a sequence.

        ``stop`` may lie behind the end.
        """


@runtime_checkable
class PoseFrames(Frames, PoseLabels, Protocol):
    """Frames whose poses are known."""


@runtime_checkable
class RemarkedFrames(Frames, Protocol):
    """Frames of a file that could be read in another way, too."""

    @property
    def remark(self) -> str | None:
        """A sentence on how the file was read; None where there is nothing to say."""


@dataclass(frozen=True)
class ChangedFrames:
    """Base of a sequence whose frames are those of ``whole``, changed one by one."""

    whole: Frames

    @property
    def name(self) -> str:
        """Name of the whole sequence."""
        return self.whole.name

    @property
    def group(self) -> str:
        """Group of the whole sequence."""
        return self.whole.group

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.whole.n_frames

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.whole.shape

    @property
    def scale(self) -> PictureScale:
        """From these frames to those that they were resized from."""
        return picture_scale(self.whole)


@dataclass(frozen=True)
class CroppedFrames(ChangedFrames):
    """The middle of every frame of a sequence: ``height`` by ``width`` pixels.

    Raises UsageError when that is larger than the frames.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        _, height, width = self.whole.shape
        if self.height > height or self.width > width:
            raise UsageError(
                f"--crop {self.height}x{self.width} is larger than the frames of {height}x{width}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width after cropping."""
        return (self.whole.shape[0], self.height, self.width)

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[FrameArray]:
        """The cropped frames, ``n_frames`` at a time."""
        _, height, width = self.whole.shape
        top, left = (height - self.height) // 2, (width - self.width) // 2
        for chunk in self.whole.chunks(n_frames):
            yield chunk[:, :, top : top + self.height, left : left + self.width].copy()

    def part(self, start: int, stop: int) -> "CroppedFrames":
        """Frames ``start`` to ``stop`` (excluded)."""
        return CroppedFrames(self.whole.part(start, stop), self.height, self.width)


def picture_scale(frames: Frames) -> PictureScale:
    """From places in ``frames`` to those in the frames that they were resized from."""
    return frames.scale if isinstance(frames, ChangedFrames) else WHOLE


def common_shape(sequences: Sequence[Frames]) -> tuple[int, int, int]:
    """Shape (C, H, W) of the frames of all ``sequences``; DataError when they differ."""
    shapes = {sequence.shape: sequence.name for sequence in sequences}
    if len(shapes) != 1:
        named = [f"{name}: {'x'.join(map(str, shape))}" for shape, name in shapes.items()]
        listed = ", ".join(named[:_NAMED]) + ", ..." * (len(named) > _NAMED)
        raise DataError(
            f"sequences have frames of different shapes ({listed}); expected one shape, so"
            " convert with --resize HxW or, for pictures, give one number of channels with --colour"
        )
    return next(iter(shapes))


def group_name(sequences: Sequence[Frames]) -> GroupName:
    """What the groups of ``sequences`` are called: recordings, of several cameras, where poses are
    known, and sequences elsewhere.
    """

    def has_poses(frames: Frames) -> bool:
        while isinstance(frames, ChangedFrames):
            frames = frames.whole
        return isinstance(frames, PoseFrames)

    return "recording" if all(map(has_poses, sequences)) else "sequence"


def frame_type(sequences: Sequence[Frames]) -> FrameType:
    """Type of the frames, by the first of them; DataError for another than uint8 and float32."""
    dtype = str(next(sequences[0].chunks(1)).dtype)
    if dtype not in get_args(FrameType):
        raise DataError(
            f"{sequences[0].name}: frames of type {dtype}; expected uint8 or float32, so convert"
            " them"
        )
    return cast(FrameType, dtype)


def counted_chunks(frames: Frames) -> "Iterator[tuple[Tensor, int]]":
    """Chunks [n, C, H, W] of a sequence, each with the index of its first frame that counts.

    In the first frame of a sequence everything is sent, so it does not count towards messages and
    operations per frame, unless it is the only frame.
    """
    import torch

    skip = 1 if frames.n_frames > 1 else 0
    for chunk in frames.chunks():
        yield torch.from_numpy(chunk), skip
        skip = 0


def limited(
    sequences: Sequence[_F],
    max_frames: int | None,
    *,
    shortest: int = SHORTEST,
    option: str = "--frames",
) -> tuple[_F, ...]:
    """At most ``max_frames`` frames over all ``sequences``; None for all.

    Each sequence is cut to the same length, from its beginning. Where that would be shorter than
    ``shortest`` frames (and than the longest sequence), fewer groups are taken, evenly spaced.
    ``option`` is what the command line calls ``max_frames``. Raises DataError when there is no
    sequence, UsageError when a group has more sequences than there may be frames.
    """
    if not sequences:
        raise DataError("there are no frames to run on; choose another data set or --split")
    if max_frames is None:
        return tuple(sequences)
    groups: dict[str, list[_F]] = {}
    for sequence in sequences:
        groups.setdefault(sequence.group, []).append(sequence)
    most = max(map(len, groups.values()))
    if max_frames < most:
        raise UsageError(f"{option} {max_frames}; expected {most} or more, one for each camera")
    budget = max_frames // most
    longest = max(sequence.n_frames for sequence in sequences)
    n_groups = min(len(groups), max(1, budget // min(shortest, longest)))
    chosen = np.linspace(0, len(groups) - 1, n_groups).round().astype(int)
    names = list(groups)
    length = budget // n_groups
    return tuple(sequence.part(0, length) for index in chosen for sequence in groups[names[index]])


def hold_out(
    sequences: Sequence[_F], *, first: int, every: int, fewest: int
) -> tuple[tuple[_F, ...], tuple[_F, ...]]:
    """Split ``sequences`` into kept and held-out ones.

    Held out are the groups ``first``, ``first + every``, ... in order of appearance; none where
    there are less than ``fewest`` groups.
    """
    groups = list(dict.fromkeys(sequence.group for sequence in sequences))
    held_out = set(groups[first::every]) if len(groups) >= fewest else set()
    kept = tuple(sequence for sequence in sequences if sequence.group not in held_out)
    return kept, tuple(sequence for sequence in sequences if sequence.group in held_out)


def beginnings(sequences: Sequence[_F], most: int, n_frames: int) -> tuple[_F, ...]:
    """The first ``n_frames`` frames of at most ``most`` evenly spaced ``sequences``."""
    chosen = np.linspace(0, len(sequences) - 1, min(most, len(sequences))).round().astype(int)
    return tuple(sequences[index].part(0, n_frames) for index in chosen)


def sample_frames(sequences: Sequence[Frames], n_frames: int) -> "list[Tensor]":
    """At most ``n_frames`` frames [C, H, W], evenly spaced over all frames of ``sequences``."""
    import torch

    total = sum(sequence.n_frames for sequence in sequences)
    if total == 0 or n_frames <= 0:
        return []
    wanted = set(np.linspace(0, total - 1, min(n_frames, total)).round().astype(int).tolist())
    samples, first = [], 0
    for sequence in sequences:
        if not wanted.isdisjoint(range(first, first + sequence.n_frames)):
            position = first
            for chunk in sequence.chunks():
                samples += [
                    torch.from_numpy(frame.copy())
                    for index, frame in enumerate(chunk, position)
                    if index in wanted
                ]
                position += len(chunk)
        first += sequence.n_frames
    return samples
