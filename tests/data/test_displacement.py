"""How far two networks' answers lie apart, and where that cannot be said."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ann2sdnn.data.pose.displacement import HeatmapComparison


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
