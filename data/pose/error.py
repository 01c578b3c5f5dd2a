"""Errors of predicted joints in the picture. Nothing counted gives None, not a number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import Pixels, length, mean
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.labels import ProjectedLabels


def mpjpe_px(
    predicted: Pixels, pixels: NDArray[np.int64], visible: NDArray[np.bool_]
) -> float | None:
    """Mean per-joint position error: mean distance over the ``visible`` [n, 13] joints.

    ``predicted`` and ``pixels`` [n, 13, 2] hold (column, row). None where no joint is visible.
    """
    distances = np.linalg.norm(predicted - pixels, axis=-1)[visible]
    return float(distances.mean()) if distances.size else None


def mean_pose(pixels: NDArray[np.int64], visible: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean pixel [13, 2] of each joint over the frames in which it is ``visible`` [n, 13].

    ``pixels`` [n, 13, 2]; NaN for a joint that is never visible.
    """
    total = (pixels * visible[..., None]).sum(axis=0).astype(np.float64)
    count = visible.sum(axis=0)[:, None]
    never_seen: NDArray[np.float64] = np.full_like(total, np.nan)
    np.divide(total, count, out=never_seen, where=count > 0)
    return never_seen


@dataclass(frozen=True)
class PoseErrorResult:
    """2D error over visible joints, in pixels; None where no joint is visible.

    ``offset_px`` is the median of prediction minus label, (column, row), per channel: a constant
    shift between what the network learned and where labels are projected. It is taken from the
    same frames, so ``mpjpe_px_without_offset`` is a lower bound, not a fair error.
    """

    mpjpe_px: float | None
    per_joint_px: tuple[float | None, ...]
    per_channel_px: dict[int, float | None]
    per_movement_px: dict[str, float | None]
    offset_px: dict[int, tuple[float, float] | None]
    mpjpe_px_without_offset: float | None
    n_joints: int


class PoseError:
    """Accumulates the position error per joint (MPJPE), Calabrese et al. 2019, section 5."""

    def __init__(self) -> None:
        self._residuals: dict[tuple[int, str], list[NDArray[np.float32]]] = {}

    def add(
        self, channel: int, pixels: Pixels, labels: ProjectedLabels, movement: str = ""
    ) -> None:
        """Count predictions ``pixels`` [n, 13, 2] (column, row) against the labels of n frames.

        ``movement``: what the person does in all of them; "" where it is not known.
        """
        residual = (pixels - labels.pixels).astype(np.float32)
        residual[~labels.visible] = np.nan
        self._residuals.setdefault((channel, movement), []).append(residual)

    def merge(self, later: "PoseError") -> None:
        """Count what ``later`` has counted, as if it had been added here now."""
        for key, residuals in later._residuals.items():
            self._residuals.setdefault(key, []).extend(residuals)

    def result(self) -> PoseErrorResult:
        """The errors so far."""
        residuals = {channel: self._of(0, channel) for channel in self._values(0)}
        offsets = {c: _median_offset(r) for c, r in residuals.items()}
        distances = {c: length(r) for c, r in residuals.items()}
        shifted = [length(r - (offsets[c] or (0.0, 0.0))) for c, r in residuals.items()]
        everything = np.concatenate([np.empty((0, N_JOINTS)), *distances.values()])
        return PoseErrorResult(
            mpjpe_px=mean(everything),
            per_joint_px=tuple(mean(everything[:, j]) for j in range(N_JOINTS)),
            per_channel_px={c: mean(d) for c, d in distances.items()},
            per_movement_px={m: mean(length(self._of(1, m))) for m in self._values(1) if m},
            offset_px=offsets,
            mpjpe_px_without_offset=mean(np.concatenate(shifted)) if shifted else None,
            n_joints=int(np.isfinite(everything).sum()),
        )

    def _values(self, part: int) -> list[Any]:
        """The channels (part 0) or the movements (part 1), sorted."""
        return sorted({key[part] for key in self._residuals})

    def _of(self, part: int, value: int | str) -> NDArray[np.float32]:
        """Residuals [n, 13, 2] of one channel or one movement."""
        chosen = [r for key, r in self._residuals.items() if key[part] == value]
        return np.concatenate([residual for each in chosen for residual in each])


def _median_offset(residual: NDArray[np.float32]) -> tuple[float, float] | None:
    seen = residual[np.isfinite(residual).all(axis=-1)]
    if not seen.size:
        return None
    column, row = np.median(seen, axis=0)
    return (float(column), float(row))
