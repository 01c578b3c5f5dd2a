"""Validation of a spec: the engine on whole pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.displacement import Pixels
from ann2sdnn.data.pose.error import mpjpe_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.sources.frames import Frames, PoseFrames, counted_chunks, picture_scale
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.planes import separated
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.terminal import MISSING


@dataclass(frozen=True, eq=False)
class Check:
    """Result of running a spec on frames.

    The first frame of a sequence, in which everything is sent, does not count as messages or
    operations.
    """

    mpjpe_px: float | None
    """Error over visible joints; None where no joint is visible, and without poses."""
    relative_error: float | None
    """L2 error of the outputs over the ANN's, of several the root of the mean of their squares;
    None with poses, and where the ANN's outputs are 0."""
    events_per_frame: NDArray[np.float64]
    """Messages of the input and each layer [L + 1]."""
    synops_per_frame: float
    """Synaptic operations."""
    overflows: int
    """States and messages that left their bits."""
    pixels: tuple[Pixels, ...]
    """Predicted joints in whole pictures, [n, 13, 2] per sequence; none without poses."""


def validation_error(mpjpe_px: float | None, relative_error: float | None) -> str:
    """The error of a ``Check`` in words; "-" where there is none."""
    if mpjpe_px is not None:
        return f"{mpjpe_px:.2f} px"
    return MISSING if relative_error is None else f"relative error {relative_error:.3g}"


def check(spec: Spec, runs: Sequence[Frames], ann: Graph) -> Check:
    """Run the engine on ``runs``, all of which have poses or none; ``ann``: what outputs are
    compared with where they have none.
    """
    engine, difference = Engine(spec), _Difference(ann)
    events, synops, n_frames, overflows = np.zeros(len(spec.layers) + 1), 0.0, 0, 0
    predicted = []
    for run in runs:
        engine.reset()
        in_run = []
        for frames, first_counted in counted_chunks(run):
            result = engine.run(frames)
            if isinstance(run, PoseFrames):
                in_run.append(picture_scale(run).to_whole(decode_heatmaps(result.outputs)[0]))
            else:
                difference.add(frames, result.outputs)
            events += result.events[first_counted:].sum(dim=0).numpy()
            synops += float(result.synops[first_counted:].sum())
            n_frames += len(frames) - first_counted
            overflows += int(result.overflows.sum() + result.oversized.sum())
        if in_run:
            predicted.append(np.concatenate(in_run))
    return Check(
        mpjpe_px=_error(predicted, [run.labels() for run in runs if isinstance(run, PoseFrames)]),
        relative_error=difference.relative(),
        events_per_frame=events / n_frames,
        synops_per_frame=synops / n_frames,
        overflows=overflows,
        pixels=tuple(predicted),
    )


class _Difference:
    """Adds up the energies of each output's error and of the ANN's output."""

    def __init__(self, ann: Graph) -> None:
        self._ann, self._shapes = FloatNetwork(ann), ann.output_shapes
        self._error, self._energy = np.zeros((2, len(self._shapes)))

    def add(self, frames: Tensor, outputs: Tensor) -> None:
        """Count ``outputs`` [n, O, H, W] for ``frames`` [n, C, H, W]."""
        expected = self._ann(self._ann.encode(frames))
        self._error += self._energies(outputs - expected)
        self._energy += self._energies(expected)

    def relative(self) -> float | None:
        """Over all outputs of which the ANN's is not 0."""
        known = self._energy > 0
        shares = self._error[known] / self._energy[known]
        return float(np.sqrt(shares.mean())) if shares.size else None

    def _energies(self, outputs: Tensor) -> NDArray[np.float64]:
        parts = separated(outputs.double(), self._shapes)
        return np.array([float(part.square().sum()) for part in parts])


def _error(predicted: Sequence[NDArray[Any]], labels: Sequence[ProjectedLabels]) -> float | None:
    if not labels:
        return None
    return mpjpe_px(
        np.concatenate(predicted),
        np.concatenate([joints.pixels for joints in labels]),
        np.concatenate([joints.visible for joints in labels]),
    )
