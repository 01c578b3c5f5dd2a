"""3D error in millimetres: joints of the two front cameras, triangulated."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.cameras import FRONT_CHANNELS, camera, triangulate
from ann2sdnn.data.pose.displacement import Pixels, mean
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.sources.frames import PoseFrames
from ann2sdnn.eval.tasks.pose.movements import movement_of

_Key = tuple[str, int, int]


@dataclass(frozen=True)
class TriangulationResult:
    """3D error in mm, overall, per joint and per movement; None without both front cameras."""

    mpjpe_mm: float | None
    per_joint_mm: tuple[float | None, ...]
    per_movement_mm: dict[str, float | None]


class TriangulationError:
    """3D MPJPE of points triangulated from channels 2 and 3.

    Pixel coordinates are used as they are decoded. A joint counts where it is visible in both
    cameras, so only where it has a label.
    """

    def __init__(self) -> None:
        self._waiting: dict[_Key, dict[int, _View]] = {}
        self._errors: dict[str, list[NDArray[np.float64]]] = {}

    def add(
        self,
        frames: PoseFrames,
        pixels: Pixels,
        labels: ProjectedLabels,
        xyz_mm: NDArray[np.float64],
    ) -> None:
        """Count the points [n, 13, 2] of a sequence, once the other front camera's are there."""
        if frames.channel not in FRONT_CHANNELS:
            return
        key = (frames.group, frames.start, frames.n_frames)
        self._see(key, frames.channel, _View(pixels, labels.visible, xyz_mm))

    def merge(self, later: "TriangulationError") -> None:
        """Count what ``later`` has counted, as if its sequences had been added here now."""
        for movement, errors in later._errors.items():
            self._errors.setdefault(movement, []).extend(errors)
        for key, views in later._waiting.items():
            for channel, view in views.items():
                self._see(key, channel, view)

    def _see(self, key: _Key, channel: int, view: "_View") -> None:
        views = self._waiting.setdefault(key, {})
        of_movement = self._errors.setdefault(movement_of(key[0]), [])
        views[channel] = view
        if len(views) == len(FRONT_CHANNELS):
            of_movement.append(_errors_mm(self._waiting.pop(key)))

    def result(self) -> TriangulationResult:
        """The errors so far."""
        by_movement = {m: _joined(errors) for m, errors in sorted(self._errors.items())}
        errors = _joined(list(by_movement.values()))
        return TriangulationResult(
            mean(errors),
            tuple(mean(errors[:, joint]) for joint in range(N_JOINTS)),
            {movement: mean(each) for movement, each in by_movement.items()},
        )


class _View(NamedTuple):
    """One camera's points [n, 13, 2], which of the joints it sees, and where they are in mm."""

    pixels: Pixels
    visible: NDArray[np.bool_]
    xyz_mm: NDArray[np.float64]


def _joined(errors: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty((0, N_JOINTS)), *errors])


def _errors_mm(views: dict[int, _View]) -> NDArray[np.float64]:
    """Distances [n, 13] in mm, NaN where a camera does not see the joint."""
    cameras = tuple(camera(channel) for channel in FRONT_CHANNELS)
    pixels = tuple(views[channel].pixels.astype(np.float64) for channel in FRONT_CHANNELS)
    visible = np.all([views[channel].visible for channel in FRONT_CHANNELS], axis=0)
    points_mm = triangulate(cameras, pixels)
    xyz_mm = views[FRONT_CHANNELS[-1]].xyz_mm
    errors = np.linalg.norm(points_mm - np.moveaxis(xyz_mm, 1, 2), axis=-1)
    return np.where(visible, errors, np.nan)
