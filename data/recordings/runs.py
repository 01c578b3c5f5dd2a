"""Consecutive frames of one camera of a recording: DHP19's implementation of `Frames`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.labels import ProjectedLabels, project_labels
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.support.errors import DataError, UsageError

_CHUNK_FRAMES = 8
_SHORTEST_RUN = 16


@dataclass(frozen=True)
class FrameRun:
    """Frames ``start`` to ``stop`` (excluded) of one channel of a recording."""

    recording: Recording
    channel: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Recording and camera."""
        return f"{self.group} camera {self.channel}"

    @property
    def group(self) -> str:
        """The recording."""
        return self.recording.name.stem

    @property
    def shape(self) -> tuple[int, int, int]:
        """One channel, height and width."""
        return (1, self.recording.height, self.recording.width)

    def part(self, start: int, stop: int) -> "FrameRun":
        """Frames ``start`` to ``stop`` (excluded), counted from this run's first frame."""
        return replace(self, start=self.start + start, stop=min(self.start + stop, self.stop))

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start

    def chunks(self, n_frames: int = _CHUNK_FRAMES) -> Iterator[NDArray[np.uint8]]:
        """The frames in order, ``n_frames`` at a time: uint8 [n, 1, 260, 344]."""
        for start in range(self.start, self.stop, n_frames):
            stop = min(start + n_frames, self.stop)
            yield self.recording.frames(range(start, stop), (self.channel,))

    def labels(self) -> ProjectedLabels:
        """The joints of every frame in this channel's picture."""
        return project_labels(self.labels_mm(), self.channel)

    def labels_mm(self) -> NDArray[np.float64]:
        """The joints of every frame in the room: [n, 3, 13] mm."""
        return self.recording.labels(range(self.start, self.stop))


def plan_runs(
    recordings: Sequence[Recording],
    channels: Sequence[int],
    max_frames: int | None = None,
    *,
    option: str = "--frames",
) -> tuple[FrameRun, ...]:
    """Runs over ``recordings``, all channels of a recording over the same frames.

    With ``max_frames`` (counted over all channels) every recording gives an equally long run from
    its beginning; when those would be shorter than 16 frames (and than the longest recording),
    fewer recordings are taken, evenly spaced in their order. ``option`` is what the command line
    calls ``max_frames``. Raises DataError when nothing is left, UsageError for fewer frames than
    channels.
    """
    usable = [one for one in recordings if one.n_frames > 0]
    if not usable:
        raise DataError("there are no frames to run on; choose another data set or --split")
    length = max(one.n_frames for one in usable)
    if max_frames is not None:
        if max_frames < len(channels):
            raise UsageError(
                f"{option} {max_frames}; expected {len(channels)} or more, one for each camera"
            )
        budget = max_frames // len(channels)
        n_recordings = min(len(usable), max(1, budget // min(_SHORTEST_RUN, length)))
        chosen = np.linspace(0, len(usable) - 1, n_recordings).round().astype(int)
        usable = [usable[i] for i in chosen]
        length = budget // n_recordings
    return tuple(
        FrameRun(one, channel, 0, min(length, one.n_frames))
        for one in usable
        for channel in channels
    )
