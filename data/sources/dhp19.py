"""DHP19 recordings as a frame source: one sequence per recording and camera."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import camera_channel, camera_channels
from ann2sdnn.data.pose.labels import ProjectedLabels, project_labels
from ann2sdnn.data.recordings.split import Side, choose
from ann2sdnn.data.sources.frames import CHUNK_FRAMES, limited
from ann2sdnn.data.sources.source import SourceOptions

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.recording import Recording


@dataclass(frozen=True)
class Dhp19Options(SourceOptions):
    """Which cameras."""

    channels: tuple[int, ...] = camera_channels()
    """Cameras; each camera of a recording is a sequence of its own."""


@dataclass(frozen=True)
class OneCameraOptions(SourceOptions):
    """Which camera, for commands that show one sequence."""

    one_sequence = True

    channel: int = camera_channel(2)
    """Camera, 0 to 3."""


@dataclass(frozen=True)
class FrameRun:
    """Frames ``start`` to ``stop`` (excluded) of one channel of a recording."""

    recording: "Recording"
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

    def chunks(self, n_frames: int = CHUNK_FRAMES) -> Iterator[NDArray[np.uint8]]:
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


@dataclass(frozen=True)
class Dhp19Source:
    """Folders of frame and label files (``S1_session2_mov3_7500events.h5`` ...)."""

    name: str = "DHP19 recordings"
    options: tuple[type[SourceOptions], ...] = (Dhp19Options, OneCameraOptions)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a folder with recordings."""
        from ann2sdnn.data.recordings.recording import recording_files

        return len(recording_files(path)) > 1

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files of all recordings, and the folder."""
        from ann2sdnn.data.recordings.recording import recording_files

        return recording_files(path)

    def open(self, path: Path, options: SourceOptions | None, split: Side) -> tuple[FrameRun, ...]:
        """Sequences in order of recordings, each recording's cameras next to each other."""
        from ann2sdnn.data.recordings.recording import open_recordings

        if isinstance(options, OneCameraOptions):
            channels: tuple[int, ...] = (options.channel,)
        else:
            channels = (options if isinstance(options, Dhp19Options) else Dhp19Options()).channels
        return camera_frames(choose(open_recordings(path), split), channels)

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        """Implausible labels of the recordings of one side."""
        from ann2sdnn.data.recordings.label_check import label_warnings
        from ann2sdnn.data.recordings.recording import open_recordings

        return label_warnings(choose(open_recordings(path), split))


def camera_frames(
    recordings: "Sequence[Recording]", channels: Sequence[int]
) -> tuple[FrameRun, ...]:
    """All frames of ``recordings`` that have any, a sequence per recording and channel."""
    return tuple(
        FrameRun(recording, channel, 0, recording.n_frames)
        for recording in recordings
        for channel in channels
        if recording.n_frames > 0
    )


def plan_runs(
    recordings: "Sequence[Recording]",
    channels: Sequence[int],
    max_frames: int | None = None,
    *,
    option: str = "--frames",
) -> tuple[FrameRun, ...]:
    """Sequences over ``recordings``, all channels of a recording over the same frames.

    ``max_frames`` and ``option``: see ``limited``, which raises DataError where no frame is left.
    """
    return limited(camera_frames(recordings, channels), max_frames, option=option)
