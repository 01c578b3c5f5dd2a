"""Scores of the ANN, the memoryless network and the SDNN against the labels of frames or pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.eval.measure.side_by_side import SideBySide
from ann2sdnn.eval.results.schema import EvaluationReport, TargetErrors
from ann2sdnn.support.progress import SILENT
from applications.application import MAPS

_NAMES = ("ann", "memoryless", "sdnn")
_Confusion = NDArray[np.int64]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Scores:
    """How well the networks do. "SDNN" is lava's operating point.

    ``ann``, ``memoryless``, ``sdnn``: share of right classes, mean intersection over union (IoU) of
    the classes of pixels, or mean absolute error. ``difference``: share of frames or of pixels with
    another class than the ANN's, or mean absolute difference from it. ``are_errors``: less is
    better.
    """

    ann: float
    memoryless: float
    sdnn: float
    difference: float
    are_errors: bool


def given(value: _T | None) -> _T:
    """A part of the evaluation that every one of these has."""
    assert value is not None
    return value


def frame_scores(report: EvaluationReport) -> Scores:
    """Those of an evaluation with a class or values as the labels of each frame."""
    comparison = given(report.comparison)
    are_errors = given(report.ann).accuracy is None
    difference = comparison.output_displacement if are_errors else comparison.class_changed
    networks: tuple[TargetErrors | None, ...] = (report.ann, report.memoryless, report.sdnn)
    ann, memoryless, sdnn = (
        given(errors.mean_absolute_error if are_errors else errors.accuracy)
        for errors in map(given, networks)
    )
    return Scores(ann, memoryless, sdnn, given(difference), are_errors)


def pixel_scores(folder: Path, data: Path) -> Scores:
    """Those of the conversion in ``folder`` on all frames of ``data``, whose array ``MAPS``
    [N, H, W] holds the class of every pixel.
    """
    with np.load(data) as arrays:
        truth = arrays[MAPS]
    confusion: dict[str, _Confusion] = {}
    changed = start = 0
    for outputs in _outputs(folder, data):
        stop = start + len(outputs["ann"])
        classes = {name: outputs[name].argmax(dim=1).numpy() for name in _NAMES}
        for name, each in classes.items():
            counted = confusion_of(truth[start:stop], each, outputs[name].shape[1])
            confusion[name] = confusion.get(name, 0) + counted
        changed += int((classes["sdnn"] != classes["ann"]).sum())
        start = stop
    ann, memoryless, sdnn = (mean_iou(confusion[name]) for name in _NAMES)
    return Scores(ann, memoryless, sdnn, changed / truth.size, are_errors=False)


def _outputs(folder: Path, data: Path) -> Iterator[dict[str, Tensor]]:
    """Outputs [T, K, H, W] of all networks, a few frames at a time, in order."""
    networks = SideBySide(open_conversion(folder), ("ann", "sdnn"), "engine")
    sequences = open_frames(data, split="all")
    with SILENT.task("score", sum(each.n_frames for each in sequences), "frames") as task:
        for sequence in sequences:
            yield from networks.run(sequence, task)


def confusion_of(truth: NDArray[np.int64], found: NDArray[np.int64], n_classes: int) -> _Confusion:
    """Pixels [K, K] by their class (row) and the network's (column)."""
    pairs = np.bincount((truth * n_classes + found).ravel(), minlength=n_classes**2)
    return pairs.reshape(n_classes, n_classes)


def mean_iou(confusion: _Confusion) -> float:
    """The mean over classes of the pixels that are of a class in both, as a share of those that
    are in either.
    """
    both = np.diag(confusion)
    return float((both / (confusion.sum(axis=0) + confusion.sum(axis=1) - both)).mean())
