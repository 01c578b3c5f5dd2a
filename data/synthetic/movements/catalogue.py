"""Which movement stands behind which session and movement number of DHP19."""

from dataclasses import dataclass

from ann2sdnn.data.synthetic.body.motion import BOTH, Sides
from ann2sdnn.data.synthetic.body.skeleton import Side
from ann2sdnn.data.synthetic.movements.kinds import Kind

N_SUBJECTS = 17


@dataclass(frozen=True)
class CatalogueEntry:
    """One of the 33 movements: its numbers in the data set, its kind, the limbs that move."""

    session: int
    movement: int
    kind: Kind
    sides: Sides

    @property
    def name(self) -> str:
        """For people: "punch forward, left"."""
        return (
            f"{self.kind.value}, {self.sides[0].name.lower()}"
            if len(self.sides) == 1
            else (self.kind.value)
        )


_LEFT, _RIGHT = (Side.LEFT,), (Side.RIGHT,)

# Five sessions of 8, 6, 6, 6 and 7 movements as in the data set; which kind stands behind which
# number follows the list in its paper as far as that could be established, not file by file.
_SESSIONS: tuple[tuple[tuple[Kind, Sides], ...], ...] = (
    (
        (Kind.ARM_ABDUCTION, _LEFT),
        (Kind.ARM_ABDUCTION, _RIGHT),
        (Kind.LEG_ABDUCTION, _LEFT),
        (Kind.LEG_ABDUCTION, _RIGHT),
        (Kind.BICEPS_CURL, _LEFT),
        (Kind.BICEPS_CURL, _RIGHT),
        (Kind.KNEE_LIFT, _LEFT),
        (Kind.KNEE_LIFT, _RIGHT),
    ),
    (
        (Kind.WALK, BOTH),
        (Kind.JUMP, BOTH),
        (Kind.JUMP_FORWARD, BOTH),
        (Kind.JUMP, BOTH),
        (Kind.HOP, _RIGHT),
        (Kind.HOP, _LEFT),
    ),
    (
        (Kind.PUNCH_FORWARD, _LEFT),
        (Kind.PUNCH_FORWARD, _RIGHT),
        (Kind.PUNCH_UP, _LEFT),
        (Kind.PUNCH_UP, _RIGHT),
        (Kind.PUNCH_DOWN, _LEFT),
        (Kind.PUNCH_DOWN, _RIGHT),
    ),
    (
        (Kind.JOG, BOTH),
        (Kind.STAR_JUMP, BOTH),
        (Kind.KICK, _LEFT),
        (Kind.KICK, _RIGHT),
        (Kind.SIDE_KICK, _LEFT),
        (Kind.SIDE_KICK, _RIGHT),
    ),
    (
        (Kind.WAVE, _LEFT),
        (Kind.WAVE, _RIGHT),
        (Kind.ARM_CIRCLE, _LEFT),
        (Kind.ARM_CIRCLE, _RIGHT),
        (Kind.FIGURE_OF_EIGHT, _LEFT),
        (Kind.FIGURE_OF_EIGHT, _RIGHT),
        (Kind.CLAP, BOTH),
    ),
)

# A small data set takes the first ones: different kinds, and both sides, early.
_FIRST = (
    (2, 1),
    (1, 1),
    (5, 2),
    (3, 2),
    (1, 7),
    (5, 7),
    (1, 2),
    (5, 3),
    (4, 3),
    (2, 2),
    (5, 6),
    (4, 6),
    (4, 1),
    (3, 3),
    (4, 2),
    (2, 5),
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
