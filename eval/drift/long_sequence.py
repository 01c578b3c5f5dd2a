"""More frames than a recording has: one recording, played forwards and backwards.

Turning round keeps every change as large as it was recorded. Another recording in its place would
be a jump to another body, which is a frame full of changes that no camera sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.support.errors import DataError, UsageError

_CHUNK_FRAMES = 16


@dataclass(frozen=True)
class LongSequence:
    """``n_frames`` of one camera, cut to ``size`` (height, width) from the middle of the frame."""

    recording: Recording
    channel: int
    n_frames: int
    size: Pair

    def __post_init__(self) -> None:
        if self.size[0] > self.recording.height or self.size[1] > self.recording.width:
            raise UsageError(
                f"--crop {self.size[0]}x{self.size[1]} is larger than the frames of"
                f" {self.recording.height}x{self.recording.width}"
            )

    @classmethod
    def choose(
        cls,
        recordings: Sequence[Recording],
        name: str | None,
        channel: int,
        n_frames: int,
        size: Pair,
    ) -> "LongSequence":
        """From the recording called ``name``, or the first of the longest ones."""
        named = {one.name.stem: one for one in recordings}
        if name is not None and name not in named:
            raise DataError(f"there is no recording {name}; choose one of {', '.join(named)}")
        chosen = named[name] if name else max(recordings, key=lambda one: one.n_frames)
        if chosen.n_frames == 0:
            raise DataError(f"{chosen.frames_path} has no frames; choose other recordings")
        return cls(chosen, channel, n_frames, size)

    def chunks(self) -> Iterator[Tensor]:
        """The frames in order, a few at a time: uint8 [n, 1, H, W]."""
        order = forwards_and_backwards(self.recording.n_frames, self.n_frames)
        top = (self.recording.height - self.size[0]) // 2
        left = (self.recording.width - self.size[1]) // 2
        rows, columns = slice(top, top + self.size[0]), slice(left, left + self.size[1])
        for start in range(0, self.n_frames, _CHUNK_FRAMES):
            wanted = order[start : start + _CHUNK_FRAMES]
            # Read forwards, whichever way it is played: consecutive frames are read at once.
            first = int(wanted.min())
            block = self.recording.frames(range(first, int(wanted.max()) + 1), (self.channel,))
            yield torch.from_numpy(block[wanted - first][:, :, rows, columns].copy())


def forwards_and_backwards(n_recorded: int, n_wanted: int) -> NDArray[np.int64]:
    """Indices 0, 1, ..., n - 1, n - 2, ..., 1, 0, 1, ...: no frame twice in a row."""
    period = max(2 * (n_recorded - 1), 1)
    at = np.arange(n_wanted) % period
    return np.minimum(at, period - at) if n_recorded > 1 else np.zeros(n_wanted, np.int64)
