"""The split into training and test subjects: nobody is on both sides if that can be helped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ann2sdnn.support.errors import DataError

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.recording import Recording

Side = Literal["train", "test", "all"]

# Calabrese et al. 2019, section 4.
PAPER_TEST = range(13, 18)


@dataclass(frozen=True)
class Split:
    """Sorted subjects of the two sides; ``shared``: both sides are the same single subject."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    shared: bool = False


def split_subjects(subjects: Iterable[int]) -> Split:
    """Split subjects as the paper does (13..17 test, all others train), or else by their order.

    The paper trains on 1..12; subjects above 17, which synthetic data may have, train too. Where
    this leaves a side empty, the last quarter of the sorted subjects (at least one) is the test
    side. A single subject is on both sides. Raises DataError when there is no subject.
    """
    ordered = tuple(sorted(set(subjects)))
    if not ordered:
        raise DataError("there are no subjects to split; expected at least one recording")
    if len(ordered) == 1:
        return Split(ordered, ordered, shared=True)
    train = tuple(subject for subject in ordered if subject not in PAPER_TEST)
    test = tuple(subject for subject in ordered if subject in PAPER_TEST)
    if train and test:
        return Split(train, test)
    n_test = max(1, len(ordered) // 4)
    return Split(ordered[:-n_test], ordered[-n_test:])


def choose(recordings: "Sequence[Recording]", side: Side) -> "tuple[Recording, ...]":
    """The recordings of one side of ``split_subjects``; ``all`` keeps every recording."""
    if side == "all":
        return tuple(recordings)
    split = split_subjects(recording.name.subject for recording in recordings)
    subjects = split.train if side == "train" else split.test
    return tuple(recording for recording in recordings if recording.name.subject in subjects)
