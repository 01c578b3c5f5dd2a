"""Chooses the example frames of an evaluation."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import MIN_CONFIDENCE, Pixels, displacement_px
from ann2sdnn.data.pose.joints import BONES
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.data.sources.frames import PoseFrames
from ann2sdnn.data.sources.resized import before_resizing
from ann2sdnn.eval.results.examples import Example, Points

N_EVENLY_SPACED = 5
MOST_FILMED = 32


@dataclass(frozen=True, eq=False)
class RunPoints:
    """Answers for one sequence: points [n, 13, 2], and the ANN's confidence [n, 13]."""

    run: PoseFrames
    labels: ProjectedLabels
    ann: Pixels | None
    sdnn: Pixels | None
    confidence: NDArray[np.float32] | None


class ExamplePicker:
    """Keeps evenly spaced frames, the one with the largest displacement, and ``film``: the first
    frames of the first sequence.
    """

    def __init__(self, runs: Sequence[PoseFrames]) -> None:
        n_frames = sum(run.n_frames for run in runs)
        spacing = n_frames / min(N_EVENLY_SPACED, n_frames)
        self._wanted = {int(spacing * (i + 0.5)) for i in range(min(N_EVENLY_SPACED, n_frames))}
        self._starts = (0, *np.cumsum([run.n_frames for run in runs]).tolist())
        self._n_seen = 0  # frames of all sequences up to now, also of those that others looked at
        self._examples: list[Example] = []
        self._worst: Example | None = None
        self._worst_px = 0.0
        self.film: tuple[Example, ...] = ()

    def empty(self, first: int) -> "ExamplePicker":
        """A picker for sequences from the one at ``first`` on, of the same places."""
        other = copy(self)
        other._n_seen = self._starts[first]
        other._examples = []
        return other

    def merge(self, later: "ExamplePicker") -> None:
        """Keep the frames of ``later`` as if its sequences had been looked at here now."""
        self._n_seen = later._n_seen
        self._examples += later._examples
        self.film = self.film or later.film
        if later._worst_px > self._worst_px:
            self._worst, self._worst_px = later._worst, later._worst_px

    def add(self, points: RunPoints) -> None:
        """Look at the next sequence."""
        if not self._n_seen:
            filmed = range(min(MOST_FILMED, points.run.n_frames))
            self.film = tuple(_example(points, index) for index in filmed)
        for index in range(points.run.n_frames):
            if self._n_seen + index in self._wanted:
                self._examples.append(_example(points, index))
        self._n_seen += points.run.n_frames
        self._keep_worst(points)

    def examples(self) -> tuple[Example, ...]:
        """The frames kept so far."""
        worst = () if self._worst is None else (self._worst,)
        return (*self._examples, *worst)

    def _keep_worst(self, points: RunPoints) -> None:
        if points.ann is None or points.sdnn is None or points.confidence is None:
            return
        moved = displacement_px(points.ann, points.sdnn, points.confidence)
        by_frame = np.nan_to_num(moved).sum(axis=1)
        index = int(by_frame.argmax())
        if by_frame[index] > self._worst_px:
            self._worst_px = float(by_frame[index])
            example = _example(points, index)
            self._worst = replace(example, title=f"{example.title} (SDNN furthest off)")


def _example(points: RunPoints, index: int) -> Example:
    run = points.run
    if points.confidence is None:
        confident = np.ones(points.labels.visible.shape[1], bool)
    else:
        confident = points.confidence[index] > MIN_CONFIDENCE
    return Example(
        title=f"{run.group}, frame {run.start + index}, camera {run.channel}",
        bones=BONES,
        frame=next(before_resizing(run).part(index, index + 1).chunks())[0, 0],
        labels=Points(points.labels.pixels[index], points.labels.visible[index]),
        ann=None if points.ann is None else Points(points.ann[index], confident),
        sdnn=None if points.sdnn is None else Points(points.sdnn[index], confident),
    )
