"""How wrong a pose is: an accumulator over frames. Nothing counted gives None, not a number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import Pixels, length, mean
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.labels import ProjectedLabels


@dataclass(frozen=True)
class PoseErrorResult:
    """2D error over unmasked joints, in pixels; None where no joint was seen.

    ``offset_px`` is the median of prediction minus label, (column, row), a channel: a constant
    shift between what the network learned and where labels are projected. It is taken from the
    same frames, so ``mpjpe_px_without_offset`` is what remains at best, not a fair error.
    """

    mpjpe_px: float | None
    per_joint_px: tuple[float | None, ...]
    per_channel_px: dict[int, float | None]
    offset_px: dict[int, tuple[float, float] | None]
    mpjpe_px_without_offset: float | None
    n_joints: int


class PoseError:
    """Mean per-joint position error (MPJPE) in the picture, Calabrese et al. 2019, section 5."""

    def __init__(self) -> None:
        self._residuals: dict[int, list[NDArray[np.float32]]] = {}

    def add(self, channel: int, pixels: Pixels, labels: ProjectedLabels) -> None:
        """Count predictions ``pixels`` [n, 13, 2] (column, row) against the labels of n frames."""
        residual = (pixels - labels.pixels).astype(np.float32)
        residual[~labels.visible] = np.nan
        self._residuals.setdefault(channel, []).append(residual)

    def result(self) -> PoseErrorResult:
        """The errors so far."""
        residuals = {c: np.concatenate(r) for c, r in sorted(self._residuals.items())}
        offsets = {c: _median_offset(r) for c, r in residuals.items()}
        distances = {c: length(r) for c, r in residuals.items()}
        shifted = [length(r - (offsets[c] or (0.0, 0.0))) for c, r in residuals.items()]
        everything = np.concatenate([np.empty((0, N_JOINTS)), *distances.values()])
        return PoseErrorResult(
            mpjpe_px=mean(everything),
            per_joint_px=tuple(mean(everything[:, j]) for j in range(N_JOINTS)),
            per_channel_px={c: mean(d) for c, d in distances.items()},
            offset_px=offsets,
            mpjpe_px_without_offset=mean(np.concatenate(shifted)) if shifted else None,
            n_joints=int(np.isfinite(everything).sum()),
        )


def _median_offset(residual: NDArray[np.float32]) -> tuple[float, float] | None:
    seen = residual[np.isfinite(residual).all(axis=-1)]
    if not seen.size:
        return None
    column, row = np.median(seen, axis=0)
    return (float(column), float(row))
