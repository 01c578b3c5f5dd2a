"""How far two networks' answers lie apart, and where that cannot be said."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.capped import CappedDisplacement
from ann2sdnn.data.pose.displacement import HeatmapComparison, bootstrap_interval


def outputs(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)[:, :, None, None]


def same_class(ann: NDArray[np.float32], sdnn: NDArray[np.float32]) -> float | None:
    comparison = HeatmapComparison()
    comparison.add(ann, sdnn)
    return comparison.result().same_class


def test_a_class_is_the_largest_of_several() -> None:
    ann = outputs((0, 1, 2), (3, 1, 2), (3, 1, 2))
    assert same_class(ann, outputs((0, 1, 2), (2, 1, 3), (9, 0, 0))) == pytest.approx(2 / 3)


def test_a_single_output_has_no_class() -> None:
    assert same_class(outputs((0.1,), (0.9,)), outputs((5.0,), (-3.0,))) is None


def test_a_frame_in_which_no_class_is_largest_says_nothing() -> None:
    ann = outputs((0, 0, 0), (1, 1, 0), (0, 0, 1))
    assert same_class(ann, outputs((0, 0, 0), (1, 1, 0), (0, 0, 2))) == 1.0
    assert same_class(ann[:2], outputs((0, 0, 0), (1, 1, 0))) is None


def test_an_answer_that_is_no_class_is_not_the_same_class() -> None:
    """A silent SDNN: its first channel is no larger than the others."""
    assert same_class(outputs((2, 1, 0)), outputs((0, 0, 0))) == 0.0


def test_a_joint_that_jumps_counts_no_more_than_five_pixels() -> None:
    displacement = CappedDisplacement()
    displacement.add("a", np.array([[0, 0], [1, np.nan]], np.float32))
    displacement.add("b", np.array([[60]], np.float32))
    result = displacement.result()
    assert result is not None
    assert (result.capped_px, result.mean_px, result.moved_over_5px) == (1.5, 15.25, 0.25)
    assert result.n_joints == 4
    assert result.interval is not None
    assert list(result.interval) == pytest.approx([1 / 3, 5])  # a group alone may be drawn


def test_without_a_joint_there_is_no_displacement() -> None:
    displacement = CappedDisplacement()
    assert displacement.result() is None
    displacement.add("a", np.array([[np.nan]], np.float32))
    assert displacement.result() is None
    displacement.add("b", np.array([[2]], np.float32))
    result = displacement.result()
    assert result is not None
    assert result.capped_px == 2


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    """400 data sets of 30 groups of 20 equal values each: only groups are independent."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        values = rng.exponential(1.0, 30)
        interval = bootstrap_interval(20 * values, np.full(30, 20.0))
        assert interval is not None
        covered += interval[0] <= 1.0 <= interval[1]
    assert 0.87 <= covered / 400 <= 0.99


def test_one_group_has_no_interval() -> None:
    assert bootstrap_interval(np.array([3.0]), np.array([2.0])) is None
    assert bootstrap_interval(np.zeros(4), np.zeros(4)) is None
