"""Scores of classes: accuracy and confusion against labels, and classes changed against the ANN."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.thresholds.deviation import are_classes
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.labels import class_names
from ann2sdnn.eval.results.classes import written_class
from ann2sdnn.eval.results.timeline import TimedKind, Timeline
from ann2sdnn.eval.tasks.output.scores import LabelledScores
from ann2sdnn.eval.tasks.targets import classes_of
from ann2sdnn.eval.tasks.task import Evaluated
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError

_WRONG = TimedKind("wrong class", "1 where the class is not the label's, else 0")

MOST_CLASSES = 64
"""Classes up to which the file holds a confusion matrix."""


class ClassifyScores(LabelledScores):
    """Frames by the label's class and each network's, and each SDNN's difference from the ANN."""

    def __init__(
        self, n_classes: int, networks: tuple[str, ...], names: tuple[str, ...] = ()
    ) -> None:
        """``names``: of classes by number; those that have none are shown by their number."""
        self._n_classes, self._names = n_classes, names
        super().__init__(networks, ((n_classes, 1, 1),))
        shape = (n_classes, n_classes)
        self._confusion = {name: np.zeros(shape, np.int64) for name in networks}
        self._wrong: dict[str, list[NDArray[np.float64]]] = {name: [] for name in networks}

    def add(self, frames: Frames, outputs: Iterable[Mapping[str, Tensor]]) -> None:
        """Score one sequence; see ``Scores``."""
        truth = classes_of(frames, self._n_classes)
        answered: dict[str, list[int]] = {name: [] for name in self._confusion}

        def caption(index: int) -> str:
            answers = (answered["ann"][index], answered["sdnn"][index], int(truth[index]))
            ann, sdnn, label = (written_class(self._names, number) for number in answers)
            return f"ANN {ann}, SDNN {sdnn}, label {label}"

        self._against_ann.add(frames, self._counted(outputs, truth, answered), caption)

    def _counted(
        self,
        outputs: Iterable[Mapping[str, Tensor]],
        truth: NDArray[np.int64],
        answered: dict[str, list[int]],
    ) -> Iterator[Mapping[str, Tensor]]:
        """Hand on ``outputs`` while their classes are counted and ``answered``."""
        start = 0
        for chunk in outputs:
            for name, scores in chunk.items():
                classes = scores.flatten(1).argmax(dim=1).numpy()
                stop = start + len(classes)
                np.add.at(self._confusion[name], (truth[start:stop], classes), 1)
                self._wrong[name].append((classes != truth[start:stop]).astype(np.float64))
                answered[name] += classes.tolist()
            start = stop
            yield chunk

    def empty(self, first: int) -> "ClassifyScores":
        """See ``MergedScores``."""
        return ClassifyScores(self._n_classes, tuple(self._confusion), self._names)

    def merge(self, later: "ClassifyScores") -> None:
        """See ``MergedScores``."""
        self._against_ann.merge(later._against_ann)
        for name, counts in self._confusion.items():
            np.add(counts, later._confusion[name], out=counts)
            self._wrong[name] += later._wrong[name]

    def of_report(self) -> dict[str, Any]:
        """The names of the classes."""
        return {"class_names": self._names}

    def of_network(self, name: str) -> dict[str, Any]:
        """Accuracy and confusion of one network."""
        counts = self._confusion[name]
        total = int(counts.sum())
        return {
            "accuracy": float(np.trace(counts) / total) if total else None,
            "confusion": counts.tolist() if self._n_classes <= MOST_CLASSES else None,
            **self._against_ann.difference(name),
        }

    def timeline(self) -> Timeline:
        """Which frames so far have a wrong class, and distances from the ANN."""
        wrong = {name: np.concatenate([np.empty(0), *parts]) for name, parts in self._wrong.items()}
        return self._against_ann.timed(_WRONG, wrong)


def classify_scores(spec: Spec, evaluated: Evaluated) -> ClassifyScores:
    """Empty scores for the networks of an evaluation.

    Raises ModelError for outputs that are no classes, DataError for labels that do not fit them.
    """
    if not are_classes(spec.output_shapes):
        shapes = " and ".join(map(str, spec.output_shapes))
        raise ModelError(
            f"{evaluated.model} has outputs of shape {shapes}; the task classify needs a single"
            " output of two or more values of one pixel: choose --task output"
        )
    n_classes = spec.output_shape[0]
    for frames in evaluated.sequences:
        classes_of(frames, n_classes)
    return ClassifyScores(n_classes, evaluated.networks, class_names(evaluated.sequences))
