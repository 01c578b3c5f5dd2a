"""Values of every frame, in the order in which frames were evaluated."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimedSequence:
    """The values of one sequence: by name of the network, float64 [T], NaN where there is none.

    ``error``: against the labels; empty without any. ``moved``: distance from the ANN.
    """

    name: str
    n_frames: int
    error: Mapping[str, Values]
    moved: Mapping[str, Values]


@dataclass(frozen=True)
class TimedKind:
    """What the values of one kind are: ``label`` of the axis, with the unit, and in words."""

    label: str
    meaning: str


@dataclass(frozen=True, eq=False)
class Timeline:
    """Errors and distances from the ANN of all frames."""

    sequences: tuple[TimedSequence, ...]
    error: TimedKind | None
    """None where nothing is compared with labels."""

    moved: TimedKind

    def kinds(self) -> Iterator[tuple[TimedKind, tuple[Mapping[str, Values], ...]]]:
        """Each kind that has values, with those of all sequences."""
        of_kinds = (
            (self.error, tuple(sequence.error for sequence in self.sequences)),
            (self.moved, tuple(sequence.moved for sequence in self.sequences)),
        )
        for kind, values in of_kinds:
            if kind is not None and any(values):
                yield kind, values

    def first(self, n: int) -> "Timeline":
        """The first ``n`` sequences."""
        return Timeline(self.sequences[:n], self.error, self.moved)


def cut(values: Values, lengths: Sequence[int]) -> list[Values]:
    """Values [T] of all frames in pieces of these lengths, which add up to T."""
    return np.split(values, np.cumsum(lengths)[:-1])
