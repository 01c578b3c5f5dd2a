"""Deviations and budgets: what counts, by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ann2sdnn.calibration.thresholds.deviation import Budget, DeviationMeter, Reference


def maps(*joints: tuple[int, int]) -> Tensor:
    """One frame with a peak of 1 at (column, row) of every joint, 100 by 100 pixels."""
    frame = torch.zeros(1, len(joints), 100, 100)
    for joint, (column, row) in enumerate(joints):
        frame[0, joint, row, column] = 1.0
    return frame


SURE = np.ones((1, 2), np.float32)


def measured(*moves: tuple[tuple[int, int], tuple[int, int]]) -> DeviationMeter:
    """Every move is a recording of one frame: two joints, at (10, 10) in the reference."""
    meter = DeviationMeter()
    reference = Reference.of(maps((10, 10), (10, 10)))
    for number, (first, second) in enumerate(moves):
        outputs = maps(first, second)
        meter.add(str(number), outputs, Reference.of(outputs).pixels, reference, SURE)
    return meter


def test_a_jump_counts_five_pixels_and_in_the_share() -> None:
    moved = measured(((10, 10), (13, 14)), ((10, 10), (90, 10))).result().displacement
    assert moved is not None
    assert moved.n_joints == 4
    assert moved.capped_px == pytest.approx((0 + 5 + 0 + 5) / 4)
    assert moved.mean_px == pytest.approx((0 + 5 + 0 + 80) / 4)
    assert moved.moved_over_5px == 0.25


def test_a_budget_is_used_by_the_mean_or_by_the_jumps() -> None:
    jumping = measured(((10, 10), (90, 10)), ((10, 10), (10, 10))).result()
    # 1.25 of 2 px, but 25% of the joints jumped, where 2 px allow 10%.
    assert jumping.used(Budget("px", 2.0)) == pytest.approx(2.5)
    sliding = measured(((10, 10), (11, 10)), ((10, 10), (10, 10))).result()
    assert sliding.used(Budget("px", 2.0)) == pytest.approx(0.125)


def test_the_relative_error_is_of_all_frames_together() -> None:
    """One of two peaks moved in one of two frames: 2 of 4 units of energy."""
    deviation = measured(((10, 10), (11, 10)), ((10, 10), (10, 10))).result()
    # The reference's peaks overlap in no pixel with the moved one.
    assert deviation.error == pytest.approx(np.sqrt(2 / 4), rel=1e-3)
    assert deviation.used(Budget("error", 0.5)) == pytest.approx(np.sqrt(2), rel=1e-3)
    assert deviation.interval is not None
    assert deviation.interval[0] <= deviation.error <= deviation.interval[1]


def test_joints_that_the_ann_is_not_sure_of_do_not_count() -> None:
    meter = DeviationMeter()
    outputs = maps((50, 50), (10, 10))
    reference = Reference.of(maps((10, 10), (10, 10)))
    unsure = np.array([[0.1, 0.1]], np.float32)
    meter.add("", outputs, Reference.of(outputs).pixels, reference, unsure)
    assert meter.result().displacement is None


def test_cameras_of_one_recording_are_not_resampled_apart() -> None:
    meter = DeviationMeter()
    reference = Reference.of(maps((10, 10), (10, 10)))
    for first in ((10, 10), (12, 10)):
        outputs = maps(first, (10, 10))
        meter.add("one recording", outputs, Reference.of(outputs).pixels, reference, SURE)
    deviation = meter.result()
    assert deviation.interval is None
    assert deviation.displacement is not None
    assert deviation.displacement.interval is None
    assert deviation.displacement.capped_px == 0.5
