"""The 33 movements of DHP19 by session and movement number."""

from dataclasses import dataclass

from ann2sdnn.data.synthetic.body.motion import BOTH, Sides
from ann2sdnn.data.synthetic.body.skeleton import Side

N_SUBJECTS = 17
"""Subjects of DHP19, and of a synthetic data set by default."""
MOST_SUBJECTS = 999
"""Largest number of a synthetic subject."""


@dataclass(frozen=True)
class CatalogueEntry:
    """One movement: its numbers in the data set, its kind (in ``KINDS``), the limbs that move."""

    session: int
    movement: int
    kind: str
    sides: Sides

    @property
    def name(self) -> str:
        """For people: "punch forward, left"."""
        return f"{self.kind}, {self.sides[0].name.lower()}" if len(self.sides) == 1 else self.kind


def _left_right(*kinds: str) -> tuple[tuple[str, Sides], ...]:
    return tuple((kind, (side,)) for kind in kinds for side in (Side.LEFT, Side.RIGHT))


# Five sessions of 8, 6, 6, 6 and 7 movements as in the data set; which kind stands behind which
# number follows the list in its paper as far as that could be established, not file by file.
_SESSIONS: tuple[tuple[tuple[str, Sides], ...], ...] = (
    _left_right("arm abduction", "leg abduction", "biceps curl", "knee lift"),
    (
        *((kind, BOTH) for kind in ("walk", "jump", "jump forward", "jump")),
        *reversed(_left_right("hop")),
    ),
    _left_right("punch forward", "punch up", "punch down"),
    (("jog", BOTH), ("star jump", BOTH), *_left_right("kick", "side kick")),
    (*_left_right("wave", "arm circle", "figure of eight"), ("clap", BOTH)),
)

# (session, movement): a small data set takes the first ones, different kinds and both sides early.
_FIRST = (
    *((2, 1), (1, 1), (5, 2), (3, 2), (1, 7), (5, 7), (1, 2), (5, 3)),
    *((4, 3), (2, 2), (5, 6), (4, 6), (4, 1), (3, 3), (4, 2), (2, 5)),
)


def _catalogue() -> tuple[CatalogueEntry, ...]:
    entries = {
        (session, movement): CatalogueEntry(session, movement, kind, sides)
        for session, movements in enumerate(_SESSIONS, start=1)
        for movement, (kind, sides) in enumerate(movements, start=1)
    }
    rest = [numbers for numbers in entries if numbers not in _FIRST]
    return tuple(entries[numbers] for numbers in (*_FIRST, *rest))


CATALOGUE = _catalogue()
"""The 33 movements, the ones that a small data set should have first."""
