"""DHP19 recordings as a frame source: one sequence per recording and camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ann2sdnn.data.pose.cameras import camera_channel, camera_channels
from ann2sdnn.data.recordings.label_check import label_warnings
from ann2sdnn.data.recordings.recording import Recording, open_recordings, recording_files
from ann2sdnn.data.recordings.runs import FrameRun, plan_runs
from ann2sdnn.data.recordings.split import choose
from ann2sdnn.data.sources.source import SourceOptions


@dataclass(frozen=True)
class Dhp19Options(SourceOptions):
    """Which recordings, cameras and frames."""

    channels: tuple[int, ...] = camera_channels()
    """Cameras; each camera of a recording is a sequence of its own."""


@dataclass(frozen=True)
class OneCameraOptions(SourceOptions):
    """Recordings as one camera sees them."""

    channel: int = camera_channel(2)
    """The camera, 0 to 3."""


@dataclass(frozen=True)
class Dhp19Source:
    """Folders of frame and label files (``S1_session2_mov3_7500events.h5`` ...)."""

    name: str = "DHP19 recordings"
    options: tuple[type[SourceOptions], ...] = (Dhp19Options, OneCameraOptions)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` is a folder with recordings."""
        return len(recording_files(path)) > 1

    def files(self, path: Path) -> tuple[Path, ...]:
        """The files of all recordings, and the folder."""
        return recording_files(path)

    def open(self, path: Path, options: SourceOptions) -> tuple[FrameRun, ...]:
        """Sequences in order of recordings, each recording's cameras side by side.

        With ``max_frames`` all sequences have the same length, from the recording's beginning;
        see ``plan_runs``.
        """
        usable = [recording for recording in _chosen(path, options) if recording.n_frames > 0]
        return plan_runs(usable, _channels(options), options.max_frames) if usable else ()

    def warnings(self, path: Path, options: SourceOptions) -> tuple[str, ...]:
        """Implausible labels of the chosen recordings."""
        return label_warnings(_chosen(path, options))


def _chosen(path: Path, options: SourceOptions) -> Sequence[Recording]:
    return choose(open_recordings(path), options.split)


def _channels(options: SourceOptions) -> tuple[int, ...]:
    if isinstance(options, OneCameraOptions):
        return (options.channel,)
    return options.channels if isinstance(options, Dhp19Options) else Dhp19Options().channels
