"""How far a network's outputs lie from the ANN's: relative error, and frames of another class."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
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
        self._shapes = shapes
        # Of each group and call of ``add`` energies of the errors and of the ANN's outputs
        # [2, outputs], which are added up in the end: merged parts then have the sums of the whole.
        self._energies: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
        # Of each group: frames with a class, and those of them with another.
        self._classes: defaultdict[str, NDArray[np.float64]] = defaultdict(_no_classes)
        self._squares: list[NDArray[np.float64]] = []
        self._n_values, self._absolute = 0, list[float]()

    def add(self, group: str, ann: Tensor, outputs: Tensor) -> "FrameDifferences":
        """Count outputs [n, O, H, W] of n frames, both in the ANN's units."""
        error = outputs.double() - ann.double()
        squares, energies = (frame_energies(each, self._shapes) for each in (error, ann))
        self._energies[group].append(np.stack([squares.sum(axis=0), energies.sum(axis=0)]))
        self._squares.append(squares)
        self._absolute.append(float(error.abs().sum()))
        self._n_values += error.numel()
        changed = np.zeros(len(ann), np.bool_)
        if are_classes(self._shapes):
            same = same_class(ann, outputs)
            changed = same == 0
            self._classes[group] += (np.isfinite(same).sum(), changed.sum())
        return FrameDifferences(squares, energies, changed)

    def merge(self, later: "OutputDifference") -> None:
        """Count what ``later`` has counted, as if it had been added here now."""
        for group, energies in later._energies.items():
            self._energies[group] += energies
        for group, classes in later._classes.items():
            self._classes[group] += classes
        self._squares += later._squares
        self._absolute += later._absolute
        self._n_values += later._n_values

    def fields(self) -> dict[str, Any]:
        """The fields of ``Displacement`` that are of no joints."""
        energies, classes = self._by_group @ self._weights, _stacked(self._classes)
        error, total = energies.sum(axis=0)
        squared = bootstrap_interval(energies[:, 0], energies[:, 1])
        counted, changed = classes.sum(axis=0)
        return {
            "output_relative_error": _root(error / total) if total > 0 else None,
            "output_relative_error_interval": squared and (_root(squared[0]), _root(squared[1])),
            "output_displacement": sum(self._absolute) / self._n_values if self._n_values else None,
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
    def _by_group(self) -> NDArray[np.float64]:
        """Energies [G, 2, outputs] of the errors and of the ANN's outputs in each group."""
        groups = [np.sum(each, axis=0) for each in self._energies.values()]
        return np.array(groups).reshape(-1, 2, len(self._shapes))

    @property
    def _ann_energies(self) -> NDArray[np.float64]:
        """The energy of each of the ANN's outputs so far."""
        return np.asarray(self._by_group[:, 1].sum(axis=0), np.float64)

    @property
    def _weights(self) -> NDArray[np.float64]:
        """What the squares of each output's errors are multiplied by."""
        return np.square(balancing(self._ann_energies.tolist()))


@dataclass(frozen=True, eq=False)
class FrameDifferences:
    """Differences of n frames: ``squares`` and ``energies`` [n, outputs] of the errors and of the
    ANN's outputs, and which frames ``changed`` [n] their class.
    """

    squares: NDArray[np.float64]
    energies: NDArray[np.float64]
    changed: NDArray[np.bool_]


def error_norms(differences: Sequence[FrameDifferences]) -> NDArray[np.float64]:
    """The L2 norm [n] of the error of each frame of one sequence.

    Several outputs are weighted by their energies in these frames.
    """
    energies = np.concatenate([each.energies for each in differences]).sum(axis=0)
    weights = np.square(balancing(energies.tolist()))
    squares = np.concatenate([each.squares for each in differences])
    return np.asarray(np.sqrt(squares @ weights), np.float64)


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


def _no_classes() -> NDArray[np.float64]:
    return np.zeros(2)


def _stacked(sums: defaultdict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array(list(sums.values()), np.float64).reshape(-1, 2)


def _root(square: float) -> float | None:
    return math.sqrt(square) if math.isfinite(square) else None
