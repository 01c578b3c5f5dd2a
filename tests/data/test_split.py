"""Which subjects train and which test."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ann2sdnn.data.recordings.recording import Recording, RecordingName
from ann2sdnn.data.recordings.split import Split, choose, split_subjects
from ann2sdnn.support.errors import DataError


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (range(1, 18), Split(tuple(range(1, 13)), (13, 14, 15, 16, 17))),
        ((12, 13), Split((12,), (13,))),
        ((3, 1, 2, 2), Split((1, 2), (3,))),
        (range(1, 9), Split((1, 2, 3, 4, 5, 6), (7, 8))),
        (range(1, 7), Split((1, 2, 3, 4, 5), (6,))),
        ((13, 14, 15), Split((13, 14), (15,))),
        # subjects above the paper's 17 train wherever there are test subjects
        ((1, 13, 20), Split((1, 20), (13,))),
        (range(1, 61), Split((*range(1, 13), *range(18, 61)), (13, 14, 15, 16, 17))),
        ((13, 20), Split((20,), (13,))),
        ((18, 19, 20), Split((18, 19), (20,))),
        ((1, 20), Split((1,), (20,))),
        ((5,), Split((5,), (5,), shared=True)),
    ],
)
def test_sides(subjects: range | tuple[int, ...], expected: Split) -> None:
    assert split_subjects(subjects) == expected


def test_no_subjects() -> None:
    with pytest.raises(DataError, match="no subjects"):
        split_subjects([])


@given(st.sets(st.integers(1, 30), min_size=2))
def test_nobody_is_on_both_sides_and_nobody_is_left_out(subjects: set[int]) -> None:
    split = split_subjects(subjects)
    assert split.train
    assert split.test
    assert not split.shared
    assert sorted(split.train + split.test) == sorted(subjects)


def test_recordings_of_a_side() -> None:
    recordings = [
        Recording(RecordingName(subject, 1, movement), Path("a"), Path("b"), 1)
        for subject in (1, 2, 3)
        for movement in (1, 2)
    ]
    assert [one.name.subject for one in choose(recordings, "train")] == [1, 1, 2, 2]
    assert [one.name.subject for one in choose(recordings, "test")] == [3, 3]
    assert choose(recordings, "all") == tuple(recordings)
