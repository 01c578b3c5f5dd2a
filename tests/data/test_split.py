"""Which subjects train, validate and test."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ann2sdnn.data.recordings.recording import Recording, RecordingName
from ann2sdnn.data.recordings.split import Side, Split, choose, split_in_order, split_subjects
from ann2sdnn.support.errors import DataError


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        (range(1, 18), Split(tuple(range(1, 11)), (11, 12), (13, 14, 15, 16, 17))),
        # subjects above the paper's 17 train wherever there are test subjects
        (range(1, 61), Split((*range(1, 11), *range(18, 61)), (11, 12), (13, 14, 15, 16, 17))),
        ((1, 13, 20), Split((1,), (20,), (13,))),
        ((1, 11, 13), Split((1,), (11,), (13,))),
        # without 11 and 12 the last eighth of those that train, at least one subject
        ((*range(1, 5), 13, 14), Split((1, 2, 3), (4,), (13, 14))),
        (
            (*range(1, 11), *range(20, 26), 13),
            Split((*range(1, 11), 20, 21, 22, 23), (24, 25), (13,)),
        ),
        ((11, 12, 13), Split((11,), (12,), (13,))),
        # a single subject to train on validates as well
        ((12, 13), Split((12,), (12,), (13,))),
        ((13, 20), Split((20,), (20,), (13,))),
        # one of the paper's sides is empty: the order counts
        (range(1, 9), Split((1, 2, 3, 4, 5), (6,), (7, 8))),
        (range(1, 7), Split((1, 2, 3, 4), (5,), (6,))),
        ((3, 1, 2, 2), Split((1,), (2,), (3,))),
        ((13, 14, 15), Split((13,), (14,), (15,))),
        ((1, 20), Split((1,), (1,), (20,))),
        ((5,), Split((5,), (5,), (5,))),
    ],
)
def test_sides(subjects: Sequence[int], expected: Split) -> None:
    assert split_subjects(subjects) == expected


def test_no_subjects() -> None:
    with pytest.raises(DataError, match="no subjects"):
        split_subjects([])


@given(st.sets(st.integers(1, 30), min_size=3))
def test_nobody_is_on_two_sides_unless_one_alone_can_train(subjects: set[int]) -> None:
    split = split_subjects(subjects)
    assert split.train
    assert split.test
    assert not split.tests_on_train
    own = () if split.validates_on_train else split.validation
    assert sorted((*split.train, *own, *split.test)) == sorted(subjects)
    if split.validates_on_train:
        assert split.validation == split.train
        assert len(split.train) == 1


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, ([0], [0], [0])),
        (2, ([0], [0], [1])),
        (3, ([0], [1], [2])),
        (4, ([0, 1], [2], [3])),
        (8, ([0, 1, 2, 3, 4], [5], [6, 7])),
        (16, (list(range(10)), [10, 11], [12, 13, 14, 15])),
    ],
)
def test_order_decides_where_nothing_else_does(n: int, expected: tuple[list[int], ...]) -> None:
    sides = split_in_order(range(n))
    names: tuple[Side, ...] = ("train", "validation", "test")
    assert tuple(list(sides[name]) for name in names) == expected
    assert sides["all"] == tuple(range(n))


def test_recordings_of_a_side() -> None:
    recordings = [
        Recording(RecordingName(subject, 1, movement), Path("a"), Path("b"), 1)
        for subject in (1, 2, 3)
        for movement in (1, 2)
    ]
    assert [one.name.subject for one in choose(recordings, "train")] == [1, 1]
    assert [one.name.subject for one in choose(recordings, "validation")] == [2, 2]
    assert [one.name.subject for one in choose(recordings, "test")] == [3, 3]
    assert choose(recordings, "all") == tuple(recordings)
