"""Scores of values: mean absolute error against labels, and displacement from the ANN."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.pose.displacement import mean
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.eval.results.timeline import TimedKind, Timeline
from ann2sdnn.eval.tasks.difference import error_curve, mean_of_columns, means_of_rows
from ann2sdnn.eval.tasks.output.scores import LabelledScores
from ann2sdnn.eval.tasks.targets import values_of
from ann2sdnn.eval.tasks.task import Evaluated
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError

_ERROR = TimedKind(
    "absolute error", "mean absolute difference of a frame's outputs from the labels"
)
_SHOWN = 3  # values in a caption

_Values = NDArray[np.float64]


class RegressScores(LabelledScores):
    """Absolute errors of each network's outputs, and each SDNN's difference from the ANN."""

    def __init__(self, shapes: Sequence[Shape], networks: tuple[str, ...]) -> None:
        self._shapes, self._n_outputs = shapes, sum(shape[0] for shape in shapes)
        super().__init__(networks, shapes)
        self._errors: dict[str, list[_Values]] = {name: [] for name in networks}

    def add(self, frames: Frames, outputs: Iterable[Mapping[str, Tensor]]) -> None:
        """Score one sequence; see ``Scores``."""
        truth = values_of(frames, self._n_outputs).astype(np.float64)
        answered: dict[str, list[_Values]] = {name: [] for name in self._errors}

        def caption(index: int) -> str:
            networks = f"ANN {_text(answered['ann'][index])}, SDNN {_text(answered['sdnn'][index])}"
            return f"{networks}, label {_text(truth[index])}"

        self._against_ann.add(frames, self._counted(outputs, truth, answered), caption)

    def _counted(
        self,
        outputs: Iterable[Mapping[str, Tensor]],
        truth: _Values,
        answered: dict[str, list[_Values]],
    ) -> Iterator[Mapping[str, Tensor]]:
        """Hand on ``outputs`` while their errors are counted and they are ``answered``."""
        start = 0
        for chunk in outputs:
            for name, output in chunk.items():
                values = output.flatten(1).numpy().astype(np.float64)
                stop = start + len(values)
                self._errors[name].append(np.abs(values - truth[start:stop]))
                answered[name] += list(values)
            start = stop
            yield chunk

    def empty(self, first: int) -> "RegressScores":
        """See ``MergedScores``."""
        return RegressScores(self._shapes, tuple(self._errors))

    def merge(self, later: "RegressScores") -> None:
        """See ``MergedScores``."""
        self._against_ann.merge(later._against_ann)
        for name, errors in self._errors.items():
            errors.extend(later._errors[name])

    def of_network(self, name: str) -> dict[str, Any]:
        """Errors of one network, over the values that are known."""
        errors = self._of_all_frames(name)
        return {
            "mean_absolute_error": mean(errors),
            "per_output_error": mean_of_columns(errors),
            "error_curve": error_curve(means_of_rows(errors)),
            **self._against_ann.difference(name),
        }

    def timeline(self) -> Timeline:
        """Errors of every frame so far, and distances from the ANN."""
        errors = {name: means_of_rows(self._of_all_frames(name)) for name in self._errors}
        return self._against_ann.timed(_ERROR, errors)

    def _of_all_frames(self, name: str) -> _Values:
        return np.concatenate([np.empty((0, self._n_outputs)), *self._errors[name]])


def regress_scores(spec: Spec, evaluated: Evaluated) -> RegressScores:
    """Empty scores for the networks of an evaluation.

    Raises ModelError for outputs of more than one pixel, DataError for labels that do not fit them.
    """
    shapes = spec.output_shapes
    if any(shape[1:] != (1, 1) for shape in shapes):
        raise ModelError(
            f"{evaluated.model} has outputs of shape {' and '.join(map(str, shapes))}; the task"
            " regress needs one pixel per output: choose --task output"
        )
    for frames in evaluated.sequences:
        values_of(frames, spec.output_shape[0])
    return RegressScores(shapes, evaluated.networks)


def _text(values: _Values) -> str:
    shown = " ".join(f"{value:.3g}" for value in values[:_SHOWN])
    return f"{shown} ..." if len(values) > _SHOWN else shown
