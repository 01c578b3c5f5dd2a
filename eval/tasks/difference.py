"""How far a network's outputs lie from the ANN's: relative error, and frames of another class."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import balancing, frame_energies
from ann2sdnn.calibration.thresholds.deviation import are_classes
from ann2sdnn.data.pose.displacement import bootstrap_interval, mean, same_class
from ann2sdnn.graph.geometry import Shape

CURVE_SHARES = tuple(share / 20 for share in range(21))
"""Shares of the frames at which an error curve is given: 0%, 5%, ... 100%."""


class OutputDifference:
    """Accumulates the difference of one network's outputs from the ANN's, by group of frames.

    Several outputs, of ``shapes``, count by their own relative errors (see ``balancing``).
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes, n_outputs = shapes, len(shapes)
        # Of each group: energies of the errors and of the ANN's outputs [2, outputs]; frames with a
        # class, and those of them with another.
        self._energies: defaultdict[str, NDArray[np.float64]] = defaultdict(
            lambda: np.zeros((2, n_outputs))
        )
        self._classes: defaultdict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
        self._squares: list[NDArray[np.float64]] = []
        self._n_values, self._absolute = 0, 0.0

    def add(
        self, group: str, ann: Tensor, outputs: Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Count outputs [n, O, H, W] of n frames, both in the ANN's units.

        Returns the L2 norm [n] of each frame's error, and which frames [n] have another class.
        """
        error = outputs.double() - ann.double()
        squares = frame_energies(error, self._shapes)
        self._energies[group] += (
            squares.sum(axis=0),
            frame_energies(ann, self._shapes).sum(axis=0),
        )
        self._squares.append(squares)
        self._absolute += float(error.abs().sum())
        self._n_values += error.numel()
        changed = np.zeros(len(ann), np.bool_)
        if are_classes(self._shapes):
            same = same_class(ann, outputs)
            changed = same == 0
            self._classes[group] += (np.isfinite(same).sum(), changed.sum())
        return np.sqrt(squares @ self._weights), changed

    def fields(self) -> dict[str, Any]:
        """The fields of ``Displacement`` that are of no joints."""
        energies = np.array(list(self._energies.values())).reshape(-1, 2, len(self._shapes))
        energies, classes = energies @ self._weights, _stacked(self._classes)
        error, total = energies.sum(axis=0)
        squared = bootstrap_interval(energies[:, 0], energies[:, 1])
        counted, changed = classes.sum(axis=0)
        return {
            "output_relative_error": _root(error / total) if total > 0 else None,
            "output_relative_error_interval": squared and (_root(squared[0]), _root(squared[1])),
            "output_displacement": self._absolute / self._n_values if self._n_values else None,
            "class_changed": float(changed / counted) if counted else None,
            "class_changed_interval": bootstrap_interval(classes[:, 1], classes[:, 0]),
        }

    def curve(self) -> tuple[float, ...] | None:
        """The error that shares of the frames have at most; see ``by_frame``."""
        return error_curve(self.by_frame())

    def by_frame(self) -> NDArray[np.float64]:
        """The error of every frame so far [n], over the RMS norm of the ANN's output of a frame;
        NaN where the ANN is silent.
        """
        squares = np.concatenate([np.empty((0, len(self._shapes))), *self._squares])
        total = self._ann_energies @ self._weights
        if not total > 0:
            return np.full(len(squares), np.nan)
        norms: NDArray[np.float64] = np.sqrt(squares @ self._weights)
        return norms / math.sqrt(total / len(squares))

    @property
    def _ann_energies(self) -> NDArray[np.float64]:
        """The energy of each of the ANN's outputs so far."""
        return sum((own[1] for own in self._energies.values()), np.zeros(len(self._shapes)))

    @property
    def _weights(self) -> NDArray[np.float64]:
        """What the squares of each output's errors are multiplied by."""
        return np.square(balancing(self._ann_energies.tolist()))


def error_curve(errors: NDArray[np.float64]) -> tuple[float, ...] | None:
    """The error that each of ``CURVE_SHARES`` of the frames has at most; None without a number."""
    finite = errors[np.isfinite(errors)]
    return tuple(np.quantile(finite, CURVE_SHARES).tolist()) if finite.size else None


def mean_of_columns(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    """The mean of each column of [n, K] over the values that are numbers."""
    return tuple(mean(column) for column in values.T)


def means_of_rows(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The mean [n] of the numbers of every row of [n, K]; NaN for a row without any."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=1, dtype=np.float64)
    means = np.full(len(values), np.nan)
    np.divide(sums, known.sum(axis=1), out=means, where=known.any(axis=1))
    return means


def _stacked(sums: defaultdict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array(list(sums.values()), np.float64).reshape(-1, 2)


def _root(square: float) -> float | None:
    return math.sqrt(square) if math.isfinite(square) else None
