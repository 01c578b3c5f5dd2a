"""Scores of any output: relative error against the ANN's, and the frames of another class."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import relative_errors
from ann2sdnn.calibration.thresholds.deviation import are_classes
from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.sources.frames import Frames, picture_scale
from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.results.timeline import TimedKind, TimedSequence, Timeline, Values, cut
from ann2sdnn.eval.tasks.difference import FrameDifferences, OutputDifference, error_norms
from ann2sdnn.eval.tasks.worst import WorstFrames
from ann2sdnn.graph.geometry import Shape

_MOVED = TimedKind(
    "relative error", "distance of the outputs from the ANN's, over the size of the ANN's"
)
_CHANGED = 1e6  # times its error: a frame of another class is worse than any other


class OutputScores:
    """Each SDNN's difference from the ANN. Other tasks add scores against labels to it.

    ``shapes``: of the networks' outputs. ``heatmaps``: they are maps of joints, whose displacement
    is measured as well.
    """

    def __init__(
        self, networks: Sequence[str], shapes: Sequence[Shape], *, heatmaps: bool = False
    ) -> None:
        compared = [name for name in networks if name != "ann"] if "ann" in networks else []
        self._networks, self._shapes, self._heatmaps = networks, shapes, heatmaps
        self._differences = {name: OutputDifference(shapes) for name in compared}
        self._maps = {name: HeatmapComparison() for name in compared} if heatmaps else {}
        self._worst = WorstFrames()
        self._sequences: list[tuple[str, int]] = []  # names, and numbers of frames

    def add(
        self,
        frames: Frames,
        outputs: Iterable[Mapping[str, Tensor]],
        caption: Callable[[int], str] | None = None,
    ) -> None:
        """Score one sequence; see ``Scores``. ``caption``: the answers for a frame, in words."""
        differences: list[FrameDifferences] = []
        answers: list[str] = []
        for chunk in outputs:
            for name, difference in self._differences.items():
                of_chunk = difference.add(frames.group, chunk["ann"], chunk[name])
                if name in self._maps:
                    self._maps[name].add(chunk["ann"], chunk[name], picture_scale(frames))
                if name == "sdnn":
                    differences.append(of_chunk)
            if differences and caption is None:
                answers += self._answers(chunk["ann"], chunk["sdnn"])
        self._sequences.append((frames.name, frames.n_frames))
        if differences:
            changed = np.concatenate([each.changed for each in differences])
            scores = error_norms(differences) * np.where(changed, _CHANGED, 1.0)
            self._worst.add(frames, scores.tolist(), caption or (lambda index: answers[index]))

    def empty(self, first: int) -> "OutputScores":
        """See ``MergedScores``."""
        return OutputScores(self._networks, self._shapes, heatmaps=self._heatmaps)

    def merge(self, later: "OutputScores") -> None:
        """See ``MergedScores``."""
        for name, difference in self._differences.items():
            difference.merge(later._differences[name])
        for name, maps in self._maps.items():
            maps.merge(later._maps[name])
        self._worst.merge(later._worst)
        self._sequences += later._sequences

    def of_network(self, name: str) -> dict[str, Any]:
        """The error curve of one network against the ANN and, but for "sdnn", its difference."""
        if name not in self._differences:
            return {}
        return {"error_curve": self._differences[name].curve(), **self.difference(name)}

    def difference(self, name: str) -> dict[str, Any]:
        """Difference of a network from the ANN; nothing for "sdnn", which is compared below."""
        if name == "sdnn" or name not in self._differences:
            return {}
        return self._fields(name)

    def of_comparison(self) -> dict[str, Any]:
        """Difference of the SDNN from the ANN."""
        return self._fields("sdnn")

    def timeline(self) -> Timeline:
        """Distances of every frame from the ANN so far."""
        return self.timed(None, {})

    def timed(self, kind: TimedKind | None, errors: Mapping[str, Values]) -> Timeline:
        """The same with errors against labels [T], by network, which are of this kind."""
        lengths = [n_frames for _, n_frames in self._sequences]
        moved = {
            name: cut(difference.by_frame(), lengths)
            for name, difference in self._differences.items()
        }
        wrong = {name: cut(values, lengths) for name, values in errors.items()}
        sequences = tuple(
            TimedSequence(
                name,
                n_frames,
                {network: values[index] for network, values in wrong.items()},
                {network: values[index] for network, values in moved.items()},
            )
            for index, (name, n_frames) in enumerate(self._sequences)
        )
        return Timeline(sequences, kind, _MOVED)

    def _fields(self, name: str) -> dict[str, Any]:
        fields = self._differences[name].fields()
        if name not in self._maps:
            return fields
        moved = self._maps[name].result()
        return fields | {
            "displacement_px_mean": moved.displacement_px_mean,
            "displacement_px_median": moved.displacement_px_median,
            "moved_over_5px": moved.moved_over_5px,
            "heatmap_relative_error": moved.heatmap_relative_error,
        }

    def _answers(self, ann: Tensor, sdnn: Tensor) -> list[str]:
        """For each frame of outputs [n, O, H, W]: the classes, or the relative error."""
        if are_classes(self._shapes):
            classes = (outputs.flatten(1).argmax(dim=1).tolist() for outputs in (ann, sdnn))
            return [f"ANN {one}, SDNN {other}" for one, other in zip(*classes, strict=True)]
        errors = relative_errors(ann, sdnn, self._shapes)
        return [
            "silent ANN" if error is None else f"relative error {error:.3g}" for error in errors
        ]

    def of_report(self) -> dict[str, Any]:
        """Nothing of the whole report."""
        return {}

    def examples(self) -> tuple[Example, ...]:
        """The frames in which the SDNN lies furthest from the ANN."""
        return self._worst.examples()


class LabelledScores:
    """Base of the scores of labelled frames, which hold the difference from the ANN beside them."""

    def __init__(self, networks: tuple[str, ...], shapes: Sequence[Shape]) -> None:
        self._against_ann = OutputScores(networks, shapes)

    def of_comparison(self) -> dict[str, Any]:
        """Difference of the SDNN from the ANN."""
        return self._against_ann.of_comparison()

    def of_report(self) -> dict[str, Any]:
        """Nothing of the whole report."""
        return {}

    def examples(self) -> tuple[Example, ...]:
        """The frames in which the SDNN lies furthest from the ANN, those of another class first."""
        return self._against_ann.examples()
