"""The split into training, validation and test subjects.

Nobody is on two sides if that can be helped. Networks are trained and calibrated on the training
side, settings are compared on the validation side, and only `evaluate` reads the test side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from ann2sdnn.support.errors import DataError

if TYPE_CHECKING:
    from ann2sdnn.data.recordings.recording import Recording

Side = Literal["train", "validation", "test", "all"]

# Calabrese et al. 2019, section 4, tests on these subjects.
PAPER_TEST = range(13, 18)
# The paper has no validation subjects; these are two of those it trains on.
PAPER_VALIDATION = (11, 12)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Split:
    """Sorted subjects of the three sides."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def validates_on_train(self) -> bool:
        """Whether validation subjects are trained on, because there are too few."""
        return not set(self.train).isdisjoint(self.validation)

    @property
    def tests_on_train(self) -> bool:
        """Whether test subjects are trained on, because there is a single subject."""
        return not set(self.train).isdisjoint(self.test)

    def of(self, side: Side) -> tuple[int, ...]:
        """The subjects of ``side``."""
        sides = {"train": self.train, "validation": self.validation, "test": self.test}
        return (
            sides[side]
            if side in sides
            else tuple(sorted({*self.train, *self.validation, *self.test}))
        )


def split_in_order(items: Sequence[_T]) -> dict[Side, tuple[_T, ...]]:
    """Training, validation and test side of ``items``, in order.

    The last quarter (at least one) is the test side, and the last eighth of all before it (at least
    one) the validation side. Of two items the first is on the training and the validation side, a
    single one is on all sides.
    """
    everything = tuple(items)
    n_test = max(1, len(everything) // 4) if len(everything) > 1 else 0
    others, test = _without_last(everything, n_test)
    train, validation = _without_last(others, _n_validation(len(everything), len(others)))
    sides: dict[Side, tuple[_T, ...]] = {
        "train": train,
        "validation": validation or train,
        "test": test or train,
        "all": everything,
    }
    return sides


def split_subjects(subjects: Iterable[int]) -> Split:
    """Split subjects by the paper's numbers (11, 12 validate, 13..17 test), else by their order.

    The paper trains on 1..12 and tests on 13..17; subjects above 17, which synthetic data may have,
    train too. Where this leaves the training or the test side empty, ``split_in_order`` splits the
    sorted subjects. Where 11 and 12 are absent or the only ones to train on, the last eighth of
    those to train on (at least one) validates; a single one to train on validates, too.
    Raises DataError when there is no subject.
    """
    ordered = tuple(sorted(set(subjects)))
    if not ordered:
        raise DataError("there are no subjects to split; expected at least one recording")
    test = tuple(subject for subject in ordered if subject in PAPER_TEST)
    others = tuple(subject for subject in ordered if subject not in PAPER_TEST)
    if not (test and others):
        sides = split_in_order(ordered)
        return Split(sides["train"], sides["validation"], sides["test"])
    named = tuple(subject for subject in others if subject in PAPER_VALIDATION)
    if named and len(named) < len(others):
        train = tuple(subject for subject in others if subject not in named)
        return Split(train, named, test)
    train, validation = _without_last(others, _n_validation(len(others), len(others)))
    return Split(train, validation or train, test)


def choose(recordings: "Sequence[Recording]", side: Side) -> "tuple[Recording, ...]":
    """The recordings of one side of ``split_subjects``; ``all`` keeps every recording."""
    if side == "all":
        return tuple(recordings)
    subjects = split_subjects(recording.name.subject for recording in recordings).of(side)
    return tuple(recording for recording in recordings if recording.name.subject in subjects)


def _n_validation(n_all: int, n_others: int) -> int:
    return max(1, n_all // 8) if n_others > 1 else 0


def _without_last(items: tuple[_T, ...], n: int) -> tuple[tuple[_T, ...], tuple[_T, ...]]:
    return items[: len(items) - n], items[len(items) - n :]
