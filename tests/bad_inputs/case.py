"""A command on bad input, and what has to hold when it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Damage = Callable[[Path], object]


def nothing(folder: Path) -> None:
    """Leave the world as it is."""


@dataclass(frozen=True)
class Case:
    """``arguments`` in a copy of the world after ``damage``.

    ``must_fail``: no reading of it is legal, so exit code 0 is a fault; otherwise a command may
    find that it can live with it (a flipped bit of a weight is another weight). ``codes``: exit
    codes that count as a refusal.
    """

    name: str
    arguments: tuple[str, ...]
    damage: Damage = nothing
    must_fail: bool = True
    codes: frozenset[int] = frozenset({2})
