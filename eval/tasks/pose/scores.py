"""Scores of poses: position error per joint (MPJPE) in pixels and millimetres, and displacement.

Displacement is the distance between the SDNN's joint and the ANN's, in pixels. Pixels are those of
the camera's whole picture, also where frames are resized.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.capped import CappedDisplacement
from ann2sdnn.data.pose.displacement import (
    HeatmapComparison,
    HeatmapDifference,
    Pixels,
    displacement_px,
)
from ann2sdnn.data.pose.error import PoseError
from ann2sdnn.data.pose.heatmaps import check_heatmaps, decode_heatmaps
from ann2sdnn.data.pose.joints import JOINTS
from ann2sdnn.data.sources.frames import Frames, PoseFrames, picture_scale
from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.results.timeline import TimedSequence, Timeline
from ann2sdnn.eval.tasks.pose.examples import ExamplePicker, RunPoints
from ann2sdnn.eval.tasks.pose.mean_pose import MeanPose
from ann2sdnn.eval.tasks.pose.millimetres import TriangulationError
from ann2sdnn.eval.tasks.pose.movements import movement_of
from ann2sdnn.eval.tasks.pose.timed import ERROR, MOVED, moved_by_frame, px_by_frame
from ann2sdnn.eval.tasks.task import Evaluated
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError

HISTOGRAM_EDGES_PX = tuple(float(edge) for edge in range(21))

_BASELINE = "mean_pose"


class PoseScores:
    """Errors of each network and of the mean pose, and each SDNN's difference from the ANN."""

    def __init__(
        self,
        channels: tuple[int, ...],
        guess: MeanPose,
        guess_from: str,
        networks: tuple[str, ...],
        examples: ExamplePicker,
    ) -> None:
        self._channels = channels
        self._guess, self._guess_from = guess, guess_from
        self._networks = networks
        names = (*networks, _BASELINE)
        self._in_picture = {name: PoseError() for name in names}
        self._in_room = {name: TriangulationError() for name in names}
        compared = networks if "ann" in networks else ()
        self._differences = {name: HeatmapComparison() for name in compared if name != "ann"}
        self._capped = {name: CappedDisplacement() for name in networks if name != "ann"}
        self._examples = examples
        self._timeline: list[TimedSequence] = []

    def empty(self, first: int) -> "PoseScores":
        """See ``MergedScores``."""
        examples = self._examples.empty(first)
        return PoseScores(self._channels, self._guess, self._guess_from, self._networks, examples)

    def merge(self, later: "PoseScores") -> None:
        """See ``MergedScores``."""
        for name, picture in self._in_picture.items():
            picture.merge(later._in_picture[name])
            self._in_room[name].merge(later._in_room[name])
        for name, difference in self._differences.items():
            difference.merge(later._differences[name])
        for name, capped in self._capped.items():
            capped.merge(later._capped[name])
        self._examples.merge(later._examples)
        self._timeline += later._timeline

    def add(self, frames: Frames, outputs: Iterable[Mapping[str, Tensor]]) -> None:
        """Score one sequence; see ``Scores``."""
        scale = picture_scale(frames)
        points: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self._networks}
        peaks: list[NDArray[np.float32]] = []
        for maps in outputs:
            for name, difference in self._differences.items():
                difference.add(maps["ann"], maps[name], scale)
            for name, of_network in maps.items():
                pixels, peak = decode_heatmaps(of_network)
                points[name].append(pixels)
                if name == "ann":
                    peaks.append(peak)
        (labelled,) = _labelled([frames])
        decoded = {name: scale.to_whole(np.concatenate(each)) for name, each in points.items()}
        guessed = self._guess.predict(labelled.channel, labelled.n_frames)
        self._add_errors(labelled, {**decoded, _BASELINE: guessed})
        confidence = np.concatenate(peaks) if peaks else None
        moved = {}
        if confidence is not None:
            for name, capped in self._capped.items():
                distances = displacement_px(decoded["ann"], decoded[name], confidence)
                capped.add(labelled.group, distances)
                moved[name] = moved_by_frame(distances)
        labels = labelled.labels()
        errors = {name: px_by_frame(pixels, labels) for name, pixels in decoded.items()}
        self._timeline.append(TimedSequence(labelled.name, labelled.n_frames, errors, moved))
        self._examples.add(
            RunPoints(labelled, labels, decoded.get("ann"), decoded.get("sdnn"), confidence)
        )

    def _add_errors(self, frames: PoseFrames, points: Mapping[str, Pixels]) -> None:
        labels, xyz_mm = frames.labels(), frames.labels_mm()
        for name, pixels in points.items():
            movement = movement_of(frames.group)
            self._in_picture[name].add(frames.channel, pixels, labels, movement)
            self._in_room[name].add(frames, pixels, labels, xyz_mm)

    def of_network(self, name: str) -> dict[str, Any]:
        """Errors of one network."""
        picture, room = self._in_picture[name].result(), self._in_room[name].result()
        fields: dict[str, Any] = {
            "mpjpe_px": picture.mpjpe_px,
            "mpjpe_mm": room.mpjpe_mm,
            "per_joint_px": _by_joint(picture.per_joint_px),
            "per_joint_mm": _by_joint(room.per_joint_mm),
            "per_channel_px": {str(c): error for c, error in picture.per_channel_px.items()},
            "per_movement_px": picture.per_movement_px,
            "per_movement_mm": room.per_movement_mm,
        }
        if name == "ann":
            fields["offset_px"] = {str(c): offset for c, offset in picture.offset_px.items()}
            fields["mpjpe_px_without_offset"] = picture.mpjpe_px_without_offset
        if name in self._capped:
            moved = self._capped[name].result()
            fields |= {
                "displacement_capped_px": None if moved is None else moved.capped_px,
                "displacement_capped_px_interval": None if moved is None else moved.interval,
            }
        if name in ("memoryless", "mixed"):
            fields |= _difference(self._differences.get(name, HeatmapComparison()).result())
        return fields

    def of_comparison(self) -> dict[str, Any]:
        """Difference of the SDNN from the ANN."""
        maps = self._differences["sdnn"]
        counts = maps.displacement_counts(HISTOGRAM_EDGES_PX)
        return _difference(maps.result()) | {
            "n_joints": maps.result().n_joints,
            "displacement_histogram": {"edges_px": HISTOGRAM_EDGES_PX, "counts": counts},
        }

    def of_report(self) -> dict[str, Any]:
        """Channels, and errors of the mean pose."""
        baseline = self.of_network(_BASELINE)
        return {
            "channels": self._channels,
            "baseline_mean_pose_px": baseline["mpjpe_px"],
            "baseline_mean_pose_mm": baseline["mpjpe_mm"],
            "baseline_mean_pose_from": self._guess_from,
            "baseline_mean_pose_per_joint_px": baseline["per_joint_px"],
        }

    def examples(self) -> tuple[Example, ...]:
        """Evenly spaced frames, and the one with the largest displacement."""
        return self._examples.examples()

    def film(self) -> tuple[Example, ...]:
        """The first frames of the first sequence, in order."""
        return self._examples.film

    def timeline(self) -> Timeline:
        """Errors and displacements of every frame so far."""
        return Timeline(tuple(self._timeline), ERROR, MOVED)


def pose_scores(spec: Spec, evaluated: Evaluated) -> PoseScores:
    """Empty scores for the networks of an evaluation.

    Raises DataError for sequences without labels, ModelError for an output that is no heat maps.
    """
    sequences = _labelled(evaluated.sequences)
    check_heatmaps(str(evaluated.model), spec.output_shape, sequences[0].shape)
    return PoseScores(
        tuple(dict.fromkeys(frames.channel for frames in sequences)),
        MeanPose(_labelled(evaluated.baseline)),
        evaluated.baseline_from,
        evaluated.networks,
        ExamplePicker(sequences),
    )


def _labelled(sequences: Sequence[Frames]) -> tuple[PoseFrames, ...]:
    labelled = tuple(frames for frames in sequences if isinstance(frames, PoseFrames))
    if len(labelled) < len(sequences):
        raise DataError(
            f"{sequences[0].name} has no pose labels, which the pose task needs; choose another"
            " --task, such as output, which needs none"
        )
    return labelled


def _difference(difference: HeatmapDifference) -> dict[str, Any]:
    return {
        "displacement_px_mean": difference.displacement_px_mean,
        "displacement_px_median": difference.displacement_px_median,
        "moved_over_5px": difference.moved_over_5px,
        "heatmap_relative_error": difference.heatmap_relative_error,
        "output_relative_error": difference.heatmap_relative_error,
    }


def _by_joint(values: Sequence[float | None]) -> dict[str, float | None]:
    return dict(zip(JOINTS, values, strict=True))
