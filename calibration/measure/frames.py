"""Single frames of a few runs, evenly spread, for the stages that need them at hand."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.calibration.measure.statistics import Frames


def sample_frames(runs: Sequence[Frames], n_frames: int) -> list[Tensor]:
    """At most ``n_frames`` frames uint8 [C, H, W], evenly spaced over all frames of ``runs``."""
    total = sum(run.n_frames for run in runs)
    if total == 0 or n_frames <= 0:
        return []
    wanted = set(np.linspace(0, total - 1, min(n_frames, total)).round().astype(int).tolist())
    found, first = [], 0
    for run in runs:
        if not wanted.isdisjoint(range(first, first + run.n_frames)):
            position = first
            for chunk in run.chunks():
                found += [
                    torch.from_numpy(frame.copy())
                    for index, frame in enumerate(chunk, position)
                    if index in wanted
                ]
                position += len(chunk)
        first += run.n_frames
    return found
