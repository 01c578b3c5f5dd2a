"""Projects labels, joints in millimetres, to pixels of a camera's picture."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import SENSOR_HEIGHT, USED_WIDTH, camera


@dataclass(frozen=True)
class ProjectedLabels:
    """Joints of n frames in one camera.

    ``pixels`` [n, 13, 2] int64 holds (column, row), (0, 0) where masked; ``visible`` [n, 13] bool
    is false for a joint that has no label or lies outside the picture.
    """

    pixels: NDArray[np.int64]
    visible: NDArray[np.bool_]


@runtime_checkable
class PoseLabels(Protocol):
    """Labels of a sequence of frames, for tasks that need them."""

    @property
    def channel(self) -> int:
        """The camera: its number in the frame files."""

    @property
    def start(self) -> int:
        """Number of the sequence's first frame in its recording."""

    def labels(self) -> ProjectedLabels:
        """Joints of each frame in the camera's whole picture, in pixels."""

    def labels_mm(self) -> NDArray[np.float64]:
        """Joints of each frame in the room: [n, 3, 13] in mm, NaN where a joint was not seen."""


def project_labels(xyz: NDArray[np.float64], channel: int) -> ProjectedLabels:
    """Project labels ``xyz`` [n, 3, 13] in mm into the picture of a frame file's channel.

    As in DHP19's published code, column and row are truncated towards zero, and a joint is masked
    where it is NaN or not inside 0 < column < 344 and 0 < row < 260. (That code admits column 344
    and row 260 too, then fails to draw row 260; neither exists in a 0-based 344 x 260 picture, so
    both are masked here.) Raises DataError for a channel that does not exist.
    """
    points = np.moveaxis(np.asarray(xyz, np.float64), 1, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        position = np.trunc(camera(channel).project(points))
    column, row = position[..., 0], position[..., 1]
    # A comparison with NaN is false, so joints without a label are masked here as well.
    visible = (column > 0) & (column < USED_WIDTH) & (row > 0) & (row < SENSOR_HEIGHT)
    pixels = np.where(visible[..., None], position, 0.0).astype(np.int64)
    return ProjectedLabels(pixels, visible)
