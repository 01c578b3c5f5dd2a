"""Start and stop of a recording: every case the data set has, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ann2sdnn.data.events.interval import Interval, recording_interval
from ann2sdnn.support.errors import DataError

# A file with events from 1.0 s to 9.0 s; 300 label rows are 3 s.
FIRST_US, LAST_US, LABELS = 1_000_000, 9_000_000, 300


@pytest.mark.parametrize(
    ("special_us", "start_us", "stop_us"),
    [
        pytest.param([], 1_000_000, 9_000_000, id="none: first and last event"),
        pytest.param([2_000_000], 2_000_000, 5_000_000, id="one nearer the start"),
        pytest.param([8_000_000], 5_000_000, 8_000_000, id="one nearer the end"),
        pytest.param([5_000_000], 5_000_000, 8_000_000, id="one in the middle is a start"),
        pytest.param([5_000_001], 2_000_001, 5_000_001, id="one just behind the middle"),
        pytest.param([2_000_000, 2_000_001], 2_000_000, 5_000_000, id="two are one marker"),
        pytest.param([8_000_000, 8_000_001], 5_000_000, 8_000_000, id="two at the end"),
        pytest.param([5_000_000, 5_000_001], 5_000_000, 8_000_000, id="of two the first counts"),
        pytest.param(
            [2_000_000, 2_000_001, 7_000_000], 2_000_000, 7_000_000, id="three: first and last"
        ),
        pytest.param([3_000_000] * 3 + [3_000_001], 3_000_000, 6_000_000, id="four are one marker"),
        pytest.param([8_000_000] * 3 + [8_000_001], 5_000_000, 8_000_000, id="four at the end"),
        pytest.param(
            [2_000_000] * 3 + [2_000_001, 6_500_000], 2_000_000, 6_500_000, id="five: first, last"
        ),
    ],
)
def test_every_case(special_us: list[int], start_us: int, stop_us: int) -> None:
    interval = recording_interval(special_us, FIRST_US, LAST_US, LABELS)
    assert interval == Interval(start_us, stop_us)


@pytest.mark.parametrize("n", [6, 700])
def test_more_than_five_are_refused(n: int) -> None:
    with pytest.raises(DataError, match="more than 5 special events"):
        recording_interval([2_000_000] * n, FIRST_US, LAST_US, LABELS)


def test_the_published_examples() -> None:
    """The recordings of cases b and e that Generate_DHP19.m lists, with 20 s of labels."""
    s5_4_2 = recording_interval([1_075_788_910], 1_055_513_693, 1_076_195_668, 2000)
    assert s5_4_2 == Interval(1_055_788_910, 1_075_788_910)
    s4_5_7 = recording_interval([149_892_732] * 3 + [149_892_733], 146_087_513, 170_713_237, 2000)
    assert s4_5_7 == Interval(149_892_732, 169_892_732)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 9000))
def test_one_marker_leaves_the_labels_duration(a: int, b: int, c: int, n_labels: int) -> None:
    first_us, marker_us, last_us = sorted((a, b, c))
    interval = recording_interval([marker_us], first_us, last_us, n_labels)
    assert interval.stop_us - interval.start_us == n_labels * 10_000
    assert marker_us in (interval.start_us, interval.stop_us)
    nearer_the_end = last_us - marker_us < marker_us - first_us
    assert (marker_us == interval.stop_us) == nearer_the_end
