"""Errors and displacements, by hand and however the frames are handed in."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import HeatmapComparison, displacement_px
from ann2sdnn.data.pose.error import PoseError
from ann2sdnn.data.pose.labels import ProjectedLabels

N = 13


def labels_at(pixels: NDArray[np.int64], visible: NDArray[np.bool_]) -> ProjectedLabels:
    return ProjectedLabels(np.where(visible[..., None], pixels, 0), visible)


def peaks(positions: list[tuple[int, int]], value: float = 1.0) -> NDArray[np.float32]:
    """Maps [1, len(positions), 40, 50] with one pixel each at (column, row)."""
    maps = np.zeros((1, len(positions), 40, 50), np.float32)
    for joint, (column, row) in enumerate(positions):
        maps[0, joint, row, column] = value
    return maps


def test_mpjpe_is_the_mean_distance_over_visible_joints_only() -> None:
    visible = np.zeros((1, N), bool)
    visible[0, [0, 4]] = True
    target = np.full((1, N, 2), 100, np.int64)
    found = target.copy()
    found[0, 0] += (3, 4)  # 5 px
    found[0, 4] += (0, 1)  # 1 px
    found[0, 7] += (90, 90)  # masked
    error = PoseError()
    error.add(2, found, labels_at(target, visible))
    result = error.result()
    assert result.mpjpe_px == pytest.approx(3.0)
    assert result.n_joints == 2
    assert result.per_joint_px[0] == pytest.approx(5.0)
    assert result.per_joint_px[4] == pytest.approx(1.0)
    assert result.per_joint_px[7] is None
    assert result.per_channel_px == {2: pytest.approx(3.0)}


def test_channels_are_weighted_by_their_joints() -> None:
    target = np.full((1, N, 2), 50, np.int64)
    all_seen, one_seen = np.ones((1, N), bool), np.eye(1, N, dtype=bool)
    error = PoseError()
    error.add(2, np.add(target, (0, 2)), labels_at(target, all_seen))
    error.add(3, np.add(target, (0, 16)), labels_at(target, one_seen))
    result = error.result()
    assert result.per_channel_px == {2: pytest.approx(2.0), 3: pytest.approx(16.0)}
    assert result.mpjpe_px == pytest.approx((13 * 2 + 16) / 14)


def test_movements_are_weighted_by_their_joints_in_all_cameras() -> None:
    target = np.full((1, N, 2), 50, np.int64)
    all_seen, one_seen = np.ones((1, N), bool), np.eye(1, N, dtype=bool)
    error = PoseError()
    for channel, movement, shift, seen in (
        (3, "session2_mov1", 2, all_seen),
        (2, "session2_mov1", 16, one_seen),
        (2, "session1_mov3", 5, all_seen),
        (3, "session1_mov2", 5, np.zeros((1, N), bool)),
        (2, "", 9, all_seen),
    ):
        error.add(channel, np.add(target, (0, shift)), labels_at(target, seen), movement)
    result = error.result()
    assert result.per_movement_px == {
        "session1_mov2": None,
        "session1_mov3": pytest.approx(5.0),
        "session2_mov1": pytest.approx((13 * 2 + 16) / 14),
    }
    assert result.per_channel_px == {
        2: pytest.approx((16 + 13 * 5 + 13 * 9) / 27),
        3: pytest.approx(2.0),
    }


def test_a_constant_offset_is_found_and_removed_for_each_camera() -> None:
    target = np.random.default_rng(0).integers(20, 200, (6, N, 2))
    seen = np.ones((6, N), bool)
    error = PoseError()
    error.add(2, np.add(target, (3, -4)), labels_at(target, seen))
    error.add(3, np.add(target, (-3, -4)), labels_at(target, seen))
    result = error.result()
    assert result.offset_px == {2: (3.0, -4.0), 3: (-3.0, -4.0)}
    assert result.mpjpe_px == pytest.approx(5.0)
    assert result.mpjpe_px_without_offset == pytest.approx(0.0)


def test_nothing_seen_is_no_number() -> None:
    error = PoseError()
    assert error.result().mpjpe_px is None
    nowhere = np.zeros((1, N, 2), np.int64)
    error.add(2, nowhere, labels_at(nowhere, np.zeros((1, N), bool)))
    result = error.result()
    assert result.mpjpe_px is None
    assert result.mpjpe_px_without_offset is None
    assert result.offset_px == {2: None}
    assert HeatmapComparison().result().displacement_px_mean is None
    assert HeatmapComparison().result().heatmap_relative_error is None


def test_displacement_counts_joints_the_ann_is_confident_of() -> None:
    ann = np.concatenate([peaks([(10, 10)]), peaks([(10, 10)]), peaks([(10, 10)], 0.3)], axis=1)
    sdnn = peaks([(13, 14), (10, 20), (40, 30)])
    comparison = HeatmapComparison()
    comparison.add(ann, sdnn)
    result = comparison.result()
    # 5 px and 10 px; the third joint's confidence does not exceed 0.3.
    assert result.n_joints == 2
    assert result.displacement_px_mean == pytest.approx(7.5)
    assert result.displacement_px_median == pytest.approx(7.5)
    assert result.moved_over_5px == pytest.approx(0.5)
    assert comparison.displacement_counts((0.0, 5.0, 6.0)) == (0, 1, 1)


def test_relative_error_is_over_all_maps_confident_or_not() -> None:
    ann, sdnn = peaks([(1, 1), (2, 2)]), peaks([(1, 1), (2, 2)], 0.5)
    ann[0, 1] *= 0.1
    sdnn[0, 1] = 0.0
    comparison = HeatmapComparison()
    comparison.add(ann, sdnn)
    expected = np.sqrt((0.5**2 + 0.1**2) / (1 + 0.1**2))
    assert comparison.result().heatmap_relative_error == pytest.approx(expected, rel=1e-6)


def test_equal_maps_do_not_differ_and_torch_is_taken_as_well() -> None:
    maps = torch.rand(3, N, 8, 9)
    comparison = HeatmapComparison()
    comparison.add(maps, maps.clone())
    result = comparison.result()
    assert (result.displacement_px_mean, result.moved_over_5px) == (0.0, 0.0)
    assert result.heatmap_relative_error == 0.0


def test_a_classifier_moves_nothing_but_may_change_its_mind() -> None:
    ann = np.array([[1, 2, 3], [3, 2, 1], [0, 5, 0], [-1, -2, -3]], np.float32)[:, :, None, None]
    sdnn = ann.copy()
    sdnn[1, :, 0, 0] = (1, 2, 3)
    comparison = HeatmapComparison()
    comparison.add(ann[:1], sdnn[:1])
    comparison.add(torch.from_numpy(ann[1:]), torch.from_numpy(sdnn[1:]))
    result = comparison.result()
    assert result.same_class == 0.75
    assert (result.displacement_px_mean, result.moved_over_5px) == (None, None)


def test_a_confidence_that_is_no_number_is_none() -> None:
    ann, sdnn = peaks([(1, 1), (2, 2)]), peaks([(3, 1), (2, 2)])
    ann[0, 0] = np.nan
    comparison = HeatmapComparison()
    comparison.add(ann, sdnn)
    result = comparison.result()
    assert result.n_joints == 1
    assert result.displacement_px_mean == 0.0
    assert result.heatmap_relative_error is None


def test_a_silent_ann_has_no_relative_error() -> None:
    comparison = HeatmapComparison()
    comparison.add(np.zeros((1, N, 4, 4), np.float32), np.ones((1, N, 4, 4), np.float32))
    assert comparison.result().heatmap_relative_error is None
    assert comparison.result().n_joints == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**16), cuts=st.lists(st.integers(0, 9), max_size=4))
def test_results_do_not_depend_on_how_frames_are_handed_in(seed: int, cuts: list[int]) -> None:
    generator = np.random.default_rng(seed)
    ann = generator.random((9, N, 6, 7), np.float32)
    sdnn = generator.random((9, N, 6, 7), np.float32)
    whole, parts = HeatmapComparison(), HeatmapComparison()
    whole.add(ann, sdnn)
    bounds = [0, *sorted(cuts), 9]
    for start, stop in itertools.pairwise(bounds):
        if stop > start:
            parts.add(ann[start:stop], sdnn[start:stop])
    one, other = whole.result(), parts.result()
    assert other.displacement_px_mean == pytest.approx(one.displacement_px_mean)
    assert other.displacement_px_median == one.displacement_px_median
    assert other.heatmap_relative_error == pytest.approx(one.heatmap_relative_error)


def test_displacement_is_symmetric_and_masked() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.integers(0, 99, (2, 4, N, 2))
    sure: Any = np.full((4, N), 0.9, np.float32)
    sure[0, 0] = 0.2
    there, back = displacement_px(a, b, sure), displacement_px(b, a, sure)
    assert np.isnan(there[0, 0])
    np.testing.assert_array_equal(there, back)
