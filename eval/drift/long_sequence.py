"""A sequence longer than the recording: its frames forwards and backwards in turn.

Turning round keeps every change between frames as large as it was recorded. Another recording
instead would begin with a frame full of changes that no camera sees.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.sources.frames import Frames, group_name
from ann2sdnn.support.errors import DataError

_CHUNK_FRAMES = 16


def choose_sequence(sequences: Sequence[Frames], group: str | None) -> Frames:
    """The first sequence of ``group``, or the first of the longest ones.

    Raises DataError for a group that does not exist.
    """
    if group is None:
        return max(sequences, key=lambda frames: frames.n_frames)
    first_of = {frames.group: frames for frames in reversed(sequences)}
    if group not in first_of:
        named = ", ".join(reversed(first_of))
        raise DataError(f"there is no {group_name(sequences)} {group}; choose one of {named}")
    return first_of[group]


def long_sequence(frames: Frames, n_frames: int) -> Iterator[Tensor]:
    """``n_frames`` frames, a few at a time: [n, C, H, W]."""
    order = forwards_and_backwards(frames.n_frames, n_frames)
    for start in range(0, n_frames, _CHUNK_FRAMES):
        wanted = order[start : start + _CHUNK_FRAMES]
        # Consecutive frames are read at once, and forwards.
        first = int(wanted.min())
        block = np.concatenate(list(frames.part(first, int(wanted.max()) + 1).chunks()))
        yield torch.from_numpy(block[wanted - first])


def forwards_and_backwards(n_recorded: int, n_wanted: int) -> NDArray[np.int64]:
    """Indices 0, 1, ..., n - 1, n - 2, ..., 1, 0, 1, ...: no frame twice in a row."""
    period = max(2 * (n_recorded - 1), 1)
    at = np.arange(n_wanted) % period
    return np.minimum(at, period - at) if n_recorded > 1 else np.zeros(n_wanted, np.int64)
