"""Compares two networks' heat maps: displacement of decoded joints, and relative error of maps.

Maps are not kept; at most a few hundred bytes per frame are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.data.pose.energies import energies
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.moved import MOVED_PX
from ann2sdnn.data.pose.scale import WHOLE, PictureScale

Pixels = NDArray[np.int64] | NDArray[np.float64]
Maps = NDArray[np.float32] | torch.Tensor

MIN_CONFIDENCE = 0.3
_RESAMPLES = 1000


@dataclass(frozen=True)
class HeatmapDifference:
    """Difference of the SDNN's outputs from the ANN's on the same frames.

    Displacements are distances between the two decoded points, over the ``n_joints`` joints whose
    ANN confidence exceeds 0.3; ``moved_over_5px`` is a fraction of them.
    ``heatmap_relative_error`` = sqrt(sum |sdnn - ann|^2 / sum |ann|^2) over all maps.
    An output with one pixel per channel, as a classifier's, has no displacement; ``same_class`` is
    then the fraction of frames with the same largest channel, over frames in which the ANN has one
    largest channel. None for an output of a single number.
    """

    displacement_px_mean: float | None
    displacement_px_median: float | None
    moved_over_5px: float | None
    heatmap_relative_error: float | None
    n_joints: int
    same_class: float | None = None


class HeatmapComparison:
    """Accumulates the difference of the SDNN from the ANN."""

    def __init__(self) -> None:
        self._displacements: list[NDArray[np.float32]] = []
        self._same_class: list[NDArray[np.float64]] = []
        # Of the errors and of the ANN's maps, one pair per call of ``add``, so that the sums of
        # merged parts are those of the whole, to the last bit.
        self._energies: list[tuple[float, float]] = []

    def add(self, ann_maps: Maps, sdnn_maps: Maps, scale: PictureScale = WHOLE) -> None:
        """Count the maps [n, 13, H, W] of n frames, both in the original network's units.

        ``scale``: of frames that were resized; displacements are in pixels of the whole picture.
        """
        if ann_maps.shape[2:] == (1, 1):
            self._same_class.append(same_class(ann_maps, sdnn_maps))
        else:
            ann_pixels, confidence = decode_heatmaps(ann_maps)
            sdnn_pixels, _ = decode_heatmaps(sdnn_maps)
            places = scale.to_whole(ann_pixels), scale.to_whole(sdnn_pixels)
            moved = displacement_px(*places, confidence)
            self._displacements.append(moved[np.isfinite(moved)])
        self._energies.append(energies(sdnn_maps, ann_maps))

    def merge(self, later: "HeatmapComparison") -> None:
        """Count what ``later`` has counted, as if its frames had been added here now."""
        self._displacements += later._displacements
        self._same_class += later._same_class
        self._energies += later._energies

    def result(self) -> HeatmapDifference:
        """The differences so far."""
        moved = self._all()
        relative = None
        error_energy, ann_energy = (sum(pair[i] for pair in self._energies) for i in (0, 1))
        if ann_energy > 0:
            ratio = float(np.sqrt(error_energy / ann_energy))
            relative = ratio if math.isfinite(ratio) else None
        return HeatmapDifference(
            displacement_px_mean=mean(moved),
            displacement_px_median=float(np.median(moved)) if moved.size else None,
            moved_over_5px=float((moved > MOVED_PX).mean()) if moved.size else None,
            heatmap_relative_error=relative,
            n_joints=int(moved.size),
            same_class=mean(np.concatenate(self._same_class)) if self._same_class else None,
        )

    def displacement_counts(self, edges_px: Sequence[float]) -> tuple[int, ...]:
        """Joints per bin [edge, next edge); the last bin is open-ended."""
        counts, _ = np.histogram(self._all(), bins=[*edges_px, np.inf])
        return tuple(int(count) for count in counts)

    def _all(self) -> NDArray[np.float32]:
        return np.concatenate([np.empty(0, np.float32), *self._displacements])


def same_class(ann_maps: Maps, sdnn_maps: Maps) -> NDArray[np.float64]:
    """[n]: 1 where both outputs [n, C, 1, 1] have the same largest channel, else 0; NaN where the
    ANN's has none, because there is one channel only or the largest are equal.
    """
    ann, sdnn = (np.asarray(maps, np.float64)[:, :, 0, 0] for maps in (ann_maps, sdnn_maps))
    largest = [one == one.max(axis=1, keepdims=True) for one in (ann, sdnn)]
    same = (largest[0] == largest[1]).all(axis=1)
    has_one = (largest[0].sum(axis=1) == 1) & (ann.shape[1] > 1)
    return np.where(has_one, same.astype(np.float64), np.nan)


def displacement_px(
    ann_pixels: Pixels, sdnn_pixels: Pixels, ann_confidence: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Distances [n, 13] between decoded points [n, 13, 2]; NaN where the ANN is not confident."""
    moved = length((sdnn_pixels - ann_pixels).astype(np.float32))
    # Not `<=`: a confidence of NaN is none.
    moved[~(ann_confidence > MIN_CONFIDENCE)] = np.nan
    return moved


def bootstrap_interval(
    sums: NDArray[np.floating[Any]], counts: NDArray[np.floating[Any]]
) -> tuple[float, float] | None:
    """95% interval of sum(sums) / sum(counts), by resampling independent groups.

    ``sums``, ``counts`` [G]: one value per group, such as a recording. Frames of one recording
    resemble each other, so they are not resampled one by one. None where there are fewer than two
    groups or nothing was counted. The seed is fixed. (Efron and Tibshirani 1993, percentile
    bootstrap.)
    """
    n_groups = len(sums)
    if n_groups < 2 or counts.sum() <= 0:
        return None
    drawn = np.random.default_rng(0).integers(0, n_groups, (_RESAMPLES, n_groups))
    total = counts[drawn].sum(axis=1)
    ratios = sums[drawn].sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def mean(values: NDArray[np.floating[Any]]) -> float | None:
    """Mean of the values that are numbers, None when there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if finite.size else None


def length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lengths [...] of vectors [..., 2]."""
    return np.asarray(np.sqrt(np.square(vectors).sum(axis=-1)), np.float32)
