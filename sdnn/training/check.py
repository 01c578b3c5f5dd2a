"""Validation of a spec: the engine on whole pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.error import mpjpe_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.sources.frames import Frames, PoseFrames, counted_chunks
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class Check:
    """Result of running a spec on frames.

    The first frame of a sequence, in which everything is sent, does not count as messages or
    operations.
    """

    mpjpe_px: float | None
    """Error over visible joints; None where no joint is visible, and without poses."""
    events_per_frame: NDArray[np.float64]
    """Messages of the input and each layer [L + 1]."""
    synops_per_frame: float
    """Synaptic operations."""
    overflows: int
    """States and messages that left their bits."""
    pixels: tuple[NDArray[np.int64], ...]
    """Predicted joints, [n, 13, 2] per sequence; none without poses."""


def check(spec: Spec, runs: Sequence[Frames]) -> Check:
    """Run the engine on ``runs``, all of which have poses or none."""
    engine = Engine(spec)
    events, synops, n_frames, overflows = np.zeros(len(spec.layers) + 1), 0.0, 0, 0
    predicted = []
    for run in runs:
        engine.reset()
        in_run = []
        for frames, first_counted in counted_chunks(run):
            result = engine.run(frames)
            if isinstance(run, PoseFrames):
                in_run.append(decode_heatmaps(result.outputs)[0])
            events += result.events[first_counted:].sum(dim=0).numpy()
            synops += float(result.synops[first_counted:].sum())
            n_frames += len(frames) - first_counted
            overflows += int(result.overflows.sum() + result.oversized.sum())
        if in_run:
            predicted.append(np.concatenate(in_run))
    return Check(
        mpjpe_px=_error(predicted, [run.labels() for run in runs if isinstance(run, PoseFrames)]),
        events_per_frame=events / n_frames,
        synops_per_frame=synops / n_frames,
        overflows=overflows,
        pixels=tuple(predicted),
    )


def _error(
    predicted: Sequence[NDArray[np.int64]], labels: Sequence[ProjectedLabels]
) -> float | None:
    if not labels:
        return None
    return mpjpe_px(
        np.concatenate(predicted),
        np.concatenate([joints.pixels for joints in labels]),
        np.concatenate([joints.visible for joints in labels]),
    )
