"""The joints of one frame as they are drawn over it, and the lines between them."""

import numpy as np
from torch import Tensor

from ann2sdnn.data.pose.displacement import MIN_CONFIDENCE, displacement_px
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.pose.joints import BONES

Joints = tuple[tuple[int, int] | None, ...]
LINES = BONES
"""Pairs of joints that are connected."""


def drawn_joints(ann: Tensor, sdnn: Tensor) -> tuple[Joints, Joints, float | None]:
    """(column, row) of each joint in the heat maps [J, H, W] of both networks, and their mean
    distance in pixels; None where the ANN is not confident.
    """
    expected, confidence = decode_heatmaps(ann[None])
    found, _ = decode_heatmaps(sdnn[None])
    moved = displacement_px(expected, found, confidence)
    mean = None if np.isnan(moved).all() else float(np.nanmean(moved))
    shown = confidence[0] > MIN_CONFIDENCE
    ours, theirs = (
        tuple(
            (int(column), int(row)) if is_shown else None
            for (column, row), is_shown in zip(points[0], shown, strict=True)
        )
        for points in (expected, found)
    )
    return ours, theirs, mean
