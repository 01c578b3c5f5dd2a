"""The mean pose: a baseline that answers every frame of a camera with the same joints."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.error import mean_pose
from ann2sdnn.data.sources.frames import PoseFrames


class MeanPose:
    """The mean (column, row) [13, 2] of each joint per channel; NaN for a joint without labels."""

    def __init__(self, sequences: Sequence[PoseFrames]) -> None:
        labels = [(frames.channel, frames.labels()) for frames in sequences]
        self.pixels: dict[int, NDArray[np.float64]] = {}
        for channel in dict.fromkeys(channel for channel, _ in labels):
            of_channel = [labelled for seen_by, labelled in labels if seen_by == channel]
            self.pixels[channel] = mean_pose(
                np.concatenate([labelled.pixels for labelled in of_channel]),
                np.concatenate([labelled.visible for labelled in of_channel]),
            )

    def predict(self, channel: int, n_frames: int) -> NDArray[np.float64]:
        """The same joints for each of ``n_frames`` frames: [n, 13, 2]."""
        pixels = self.pixels[channel]
        return np.broadcast_to(pixels, (n_frames, *pixels.shape))
