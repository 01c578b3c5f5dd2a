"""The errors of one set of predictions against the labels, in the picture and in the room."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import Pixels
from ann2sdnn.data.pose.error import PoseError, PoseErrorResult
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.sources.dhp19 import FrameRun
from ann2sdnn.eval.measure.millimetres import TriangulationError
from ann2sdnn.eval.results.schema import PoseErrors


class PoseScore:
    """2D and 3D errors of the same predictions."""

    def __init__(self) -> None:
        self._picture = PoseError()
        self._room = TriangulationError()

    def add(
        self, run: FrameRun, pixels: Pixels, labels: ProjectedLabels, xyz_mm: NDArray[np.float64]
    ) -> None:
        """Count the points [n, 13, 2] of a whole run."""
        self._picture.add(run.channel, pixels, labels)
        self._room.add(run, pixels, labels, xyz_mm)

    def in_picture(self) -> PoseErrorResult:
        """The 2D part."""
        return self._picture.result()

    def errors(self) -> PoseErrors:
        """Both, by name."""
        picture, room = self._picture.result(), self._room.result()
        return PoseErrors(
            mpjpe_px=picture.mpjpe_px,
            mpjpe_mm=room.mpjpe_mm,
            per_joint_px=_by_joint(picture.per_joint_px),
            per_joint_mm=_by_joint(room.per_joint_mm),
            per_channel_px={str(c): error for c, error in picture.per_channel_px.items()},
        )


def _by_joint(values: Sequence[float | None]) -> dict[str, float | None]:
    return dict(zip(JOINTS, values, strict=True))
