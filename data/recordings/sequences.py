"""Short dense sequences of one camera with their targets, for training in slayer.

The layout is slayer's: C H W T. Pictures can be made smaller, so that two cores can train: ``crop``
cuts a window around the person, ``shrink`` adds up squares of pixels and scales the sums as DHP19
scales its counts (see ``normalise``), like a smaller sensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.events.normalise import normalise
from ann2sdnn.data.pose.heatmaps import draw_heatmaps
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.options import WHOLE, PictureSize
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.integers import narrowed

BOX_PX = 5
N_TARGETS = N_JOINTS  # target maps of a sequence

Targets = Literal["boxes", "gaussians"]


class PoseSequence(NamedTuple):
    """``frames`` [1, H, W, T] float32 of 0..1; ``targets`` [13, H, W, T] float32."""

    frames: Tensor
    targets: Tensor


class SequenceSource(Protocol):
    """A source of sequences: recordings, or a file of the `dhp19_sdnn` experiment."""

    def __len__(self) -> int:
        """Number of sequences."""

    def read(self, index: int) -> PoseSequence:
        """One sequence in the source's picture size."""


@dataclass(frozen=True)
class RecordedSequences:
    """Disjoint sequences of ``length`` consecutive frames of one channel of recordings.

    ``targets``: boxes of 5 x 5 ones as in `dhp19_sdnn`, or the data set's Gaussians.
    """

    recordings: tuple[Recording, ...]
    channel: int
    length: int = 8
    size: PictureSize = WHOLE
    targets: Targets = "boxes"

    def __post_init__(self) -> None:
        if len(self) == 0:
            raise DataError(
                f"no recording has {self.length} frames; choose another data set or fewer frames"
            )

    def __len__(self) -> int:
        return sum(recording.n_frames // self.length for recording in self.recordings)

    def read(self, index: int) -> PoseSequence:
        """Sequence ``index``; sequences of different recordings take turns."""
        rounds = max(recording.n_frames // self.length for recording in self.recordings)
        order = [
            (recording, turn)
            for turn in range(rounds)
            for recording in self.recordings
            if turn < recording.n_frames // self.length
        ]
        recording, turn = order[index]
        which = range(turn * self.length, (turn + 1) * self.length)
        labels = project_labels(recording.labels(which), self.channel)
        frames = _shrunk(recording.frames(which, (self.channel,))[:, 0], self.size.shrink)
        pixels = labels.pixels // self.size.shrink  # [T, 13, 2]
        height, width = self.size.window(recording.height, recording.width)
        seen = pixels[labels.visible][:, ::-1]  # (row, column)
        top, left = _corner(seen, (height, width), frames.shape[1:])
        cut = frames[:, top : top + height, left : left + width]
        draw = draw_boxes if self.targets == "boxes" else draw_heatmaps
        maps = draw(
            torch.from_numpy(pixels - (left, top)), torch.from_numpy(labels.visible), height, width
        )
        # T H W and T C H W to C H W T.
        pictures = torch.from_numpy(cut / 255.0).to(torch.float32).movedim(0, -1)[None]
        return PoseSequence(pictures, maps.movedim(0, -1))


def smaller(sequence: PoseSequence, size: PictureSize) -> PoseSequence:
    """A finished sequence made smaller; of a square of target values the largest is kept.

    Raises DataError for pixels outside 0..1.
    """
    _, height, width, _ = sequence.frames.shape
    wanted = size.window(height, width)
    grey = (sequence.frames[0].movedim(-1, 0) * 255).round().numpy()
    what = "a frame of the data file in 1/255: a pixel"
    counts = narrowed(grey, np.uint8, what, error=DataError)
    frames = _shrunk(counts, size.shrink)
    targets = sequence.targets
    if size.shrink > 1:
        targets = torch.nn.functional.max_pool3d(targets, (size.shrink, size.shrink, 1))
    seen = targets.sum(dim=(0, 3)).nonzero().numpy()
    top, left = _corner(seen, wanted, frames.shape[1:])
    rows, columns = slice(top, top + wanted[0]), slice(left, left + wanted[1])
    cut = torch.from_numpy(frames[:, rows, columns] / 255.0).to(torch.float32)
    return PoseSequence(cut.movedim(0, -1)[None], targets[:, rows, columns])


def draw_boxes(pixels: Tensor, visible: Tensor, height: int, width: int) -> Tensor:
    """Boxes of 5 x 5 ones [n, 13, height, width] around ``pixels`` [n, 13, 2] (column, row).

    The map of a joint that is not ``visible`` [n, 13] is zero; a box is cut off at the border.
    """

    def inside(centre: Tensor, length: int) -> Tensor:
        return (torch.arange(length) - centre[..., None]).abs() <= BOX_PX // 2

    across = inside(pixels[..., 0], width) & visible[..., None]
    down = inside(pixels[..., 1], height)
    return (down[..., :, None] & across[..., None, :]).to(torch.float32)


def mean_target(source: SequenceSource, indices: Sequence[int]) -> Tensor:
    """The mean [13, H, W] over the sequences and time: the best answer that sees no picture."""
    total = torch.zeros(())
    for index in indices:
        total = total + source.read(index).targets.mean(dim=-1)
    return total / len(indices)


def _shrunk(frames: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Frames [T, H // factor, W // factor]."""
    if factor == 1:
        return frames
    n, height, width = frames.shape
    rows, columns = height // factor, width // factor
    whole = frames[:, : rows * factor, : columns * factor]
    squares = whole.reshape(n, rows, factor, columns, factor).sum(axis=(2, 4), dtype=np.int64)
    return np.moveaxis(normalise(np.moveaxis(squares, 0, -1).copy()), -1, 0)


def _corner(
    seen: NDArray[np.int64], size: tuple[int, int], picture: tuple[int, ...]
) -> tuple[int, int]:
    """(top, left) of a window of ``size`` in the middle of ``seen`` [n, 2] (row, column)."""
    largest = np.array(picture) - size
    middle = (seen.min(axis=0) + seen.max(axis=0)) // 2 if len(seen) else np.array(picture) // 2
    top, left = np.clip(middle - np.array(size) // 2, 0, largest)
    return int(top), int(left)
