"""What an option may be: ranges of numbers, sizes in pixels and choices, and how they read."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

# Bounds that several options share.
LARGEST_SEED = 2**63 - 1  # torch's generators and HDF5 attributes hold signed 64 bits
MOST_FRAMES = 10**6  # more than a day at 10 frames per second
MOST_MINUTES = 525_600.0  # a year
MOST_WORKERS = 256  # each is a process with its own interpreter and libraries
LARGEST_SIDE = 2**15  # of a picture, in pixels


class Limit(Protocol):
    """What a field may hold."""

    @property
    def option(self) -> str | None:
        """What the command line calls the field; None stands for the field's name."""

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` may be used."""

    def shown(self, value: Any) -> str:
        """``value`` as a user would type it."""

    @property
    def expected(self) -> str:
        """What may be used, in words."""


@dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds; ``open_low``: the lower bound itself is excluded."""

    whole: bool
    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    unit: str = ""
    option: str | None = None

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is such a number; a bool is none."""
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        found: Any = value
        # No comparison with NaN is true.
        above = found > self.low if self.open_low else found >= self.low
        below = found < self.high if self.open_high else found <= self.high
        return bool(above and below)

    def shown(self, value: Any) -> str:
        """The number."""
        return str(value)

    @property
    def expected(self) -> str:
        """The range in words."""
        return f"a {'whole ' if self.whole else ''}number{self.of_unit} {self.bounds}"

    @property
    def of_unit(self) -> str:
        """The unit, for a sentence."""
        return f" of {self.unit}" if self.unit else ""

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        low, high = _text(self.low), _text(self.high)
        if self.open_low and self.open_high:
            return f"between {low} and {high}"
        if self.open_low:
            return f"above {low}, at most {high}"
        return f"from {low} to {'below ' if self.open_high else ''}{high}"


@dataclass(frozen=True)
class Ranges:
    """Several numbers of one range, at least ``fewest`` of them. ``distinct``: none twice.
    ``growing``: each is larger than the one before.
    """

    each: Range
    fewest: int = 0
    distinct: bool = False
    growing: bool = False
    option: str | None = None

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is a tuple or list of such numbers."""
        if not isinstance(value, tuple | list) or len(value) < self.fewest:
            return False
        if not all(self.each.accepts(one) for one in value):
            return False
        if self.growing and list(value) != sorted(set(value)):
            return False
        return not self.distinct or len(set(value)) == len(value)

    def shown(self, value: Any) -> str:
        """The numbers with commas."""
        if not isinstance(value, tuple | list):
            return str(value)
        return ",".join(map(str, value)) or "none"

    @property
    def expected(self) -> str:
        """The numbers in words."""
        kind = "whole numbers" if self.each.whole else "numbers"
        which = "growing " if self.growing else "different " if self.distinct else ""
        fewest = f", at least {self.fewest}" if self.fewest else ""
        return f"{which}{kind}{self.each.of_unit} {self.each.bounds}{fewest}"


@dataclass(frozen=True)
class Size:
    """(height, width) in pixels, each a positive multiple of ``multiple``."""

    multiple: int = 1
    option: str | None = None

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is such a pair."""
        side = Range(True, 1, LARGEST_SIDE)
        return (
            isinstance(value, tuple | list)
            and len(value) == 2
            and all(side.accepts(one) and one % self.multiple == 0 for one in value)
        )

    def shown(self, value: Any) -> str:
        """The pair as HxW."""
        return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    @property
    def expected(self) -> str:
        """The pair in words."""
        kind = f"positive multiples of {self.multiple}" if self.multiple > 1 else "1 or more each"
        return f"height x width in pixels, {kind}, at most {LARGEST_SIDE:,}"


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    of: tuple[Any, ...]
    option: str | None = None

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is one of them."""
        return value in self.of

    def shown(self, value: Any) -> str:
        """The value."""
        return str(value)

    @property
    def expected(self) -> str:
        """All values."""
        *most, last = map(str, self.of)
        return f"{', '.join(most)} or {last}" if most else last


def _text(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
