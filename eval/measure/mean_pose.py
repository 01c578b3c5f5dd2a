"""The baseline that looks at no picture: always guess the mean pose of a camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.error import mean_pose as mean_of
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.recordings.split import choose

Source = Literal["train", "evaluated"]


@dataclass(frozen=True, eq=False)
class MeanPose:
    """Mean positions, (column, row) [13, 2] a channel, NaN for a joint never seen.

    ``source`` says whose labels they are: those of the train side (none of them evaluated), or,
    where no such recording exists, those of the evaluated recordings themselves.
    """

    pixels: dict[int, NDArray[np.float64]]
    source: Source

    def predict(self, channel: int, n_frames: int) -> NDArray[np.float64]:
        """The same guess for every frame: [n, 13, 2]."""
        return np.broadcast_to(self.pixels[channel], (n_frames, N_JOINTS, 2))


def mean_pose(
    recordings: Sequence[Recording], evaluated: Sequence[Recording], channels: Sequence[int]
) -> MeanPose:
    """The mean pose from labels of ``recordings``' train side that is not ``evaluated``."""
    others = [one for one in choose(recordings, "train") if one not in evaluated]
    source: Source = "train" if others else "evaluated"
    chosen = others or evaluated
    return MeanPose({channel: _mean(chosen, channel) for channel in channels}, source)


def _mean(recordings: Sequence[Recording], channel: int) -> NDArray[np.float64]:
    labels = [project_labels(one.labels(range(one.n_frames)), channel) for one in recordings]
    pixels = np.concatenate([one.pixels for one in labels])
    return mean_of(pixels, np.concatenate([one.visible for one in labels]))
