"""Limits of option values: ranges of numbers, sizes in pixels and choices, and their wording."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Protocol

# Bounds that several options share.
LARGEST_SEED = 2**63 - 1  # torch's generators and HDF5 attributes hold signed 64 bits
MOST_FRAMES = 10**6  # more than a day at 10 frames per second
MOST_MINUTES = 525_600.0  # a year
MOST_STEPS = 10**9  # of a training: years, at the thousand per second of the smallest networks
MOST_WORKERS = 256  # each is a process with its own interpreter and libraries
LARGEST_SIDE = 2**15  # of a picture, in pixels


class Limit(Protocol):
    """The values that a field may hold."""

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` may be used."""

    def shown(self, value: Any) -> str:
        """``value`` as a user would type it."""

    @property
    def expected(self) -> str:
        """The accepted values in words."""


@dataclass(frozen=True)
class Numbers:
    """Finite numbers between two bounds, ``whole`` ones or real ones; never bool.

    ``open_low``, ``open_high``: the bound itself is excluded. ``several``: a tuple or list of such
    numbers, at least ``fewest`` of them, ``distinct`` or ``growing`` (each above the one before).
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    unit: str = ""
    whole: bool = False
    several: bool = False
    fewest: int = 0
    distinct: bool = False
    growing: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is such a number, or a tuple or list of them."""
        if not self.several:
            return self._holds(value)
        if not isinstance(value, tuple | list) or len(value) < self.fewest:
            return False
        if not all(map(self._holds, value)):
            return False
        if self.growing and list(value) != sorted(set(value)):
            return False
        return not self.distinct or len(set(value)) == len(value)

    def shown(self, value: Any) -> str:
        """The number, or the numbers with commas."""
        if not self.several or not isinstance(value, tuple | list):
            return str(value)
        return ",".join(map(str, value)) or "none"

    @property
    def expected(self) -> str:
        """The range in words."""
        kind = f"{'whole ' if self.whole else ''}number"
        of = f" of {self.unit}" if self.unit else ""
        if not self.several:
            return f"a {kind}{of} {self.bounds}"
        which = "growing " if self.growing else "different " if self.distinct else ""
        fewest = f", at least {self.fewest}" if self.fewest else ""
        return f"{which}{kind}s{of} {self.bounds}{fewest}"

    @property
    def bounds(self) -> str:
        """The bounds in words."""
        low, high = _text(self.low), _text(self.high)
        if self.open_low and self.open_high:
            return f"between {low} and {high}"
        if self.open_low:
            return f"above {low}, at most {high}"
        return f"from {low} to {'below ' if self.open_high else ''}{high}"

    def _holds(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number: Any = value
        # No comparison with NaN is true.
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return bool(above and below)


@dataclass(frozen=True)
class Size:
    """(height, width) in pixels, each a positive multiple of ``multiple``.

    ``whole``: size that neither side may exceed, and of which a part may be typed, as 1/2.
    """

    multiple: int = 1
    whole: tuple[int, int] | None = None

    def part(self, n: int) -> tuple[int, int]:
        """One ``n``-th of the sides of ``whole``, rounded down to multiples."""
        height, width = (side // n // self.multiple * self.multiple for side in self.whole or ())
        return height, width

    def accepts(self, value: Any) -> bool:
        """Whether ``value`` is such a pair."""
        sides = Numbers(1, LARGEST_SIDE, whole=True, several=True, fewest=2)
        return (
            sides.accepts(value)
            and len(value) == 2
            and all(side % self.multiple == 0 for side in value)
            and all(a <= b for a, b in zip(value, self.whole or value, strict=True))
        )

    def shown(self, value: Any) -> str:
        """The pair as HxW."""
        return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    @property
    def expected(self) -> str:
        """The pair in words."""
        kind = f"positive multiples of {self.multiple}" if self.multiple > 1 else "1 or more each"
        if self.whole is not None:
            return f"height x width in pixels, {kind}, at most {self.shown(self.whole)}"
        return f"height x width in pixels, {kind}, at most {LARGEST_SIDE:,}"


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    of: Collection[Any]

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


@dataclass(frozen=True)
class Share(Numbers):
    """Shares of a whole, typed in per cent: 0.5% is the number 0.005."""

    def shown(self, value: Any) -> str:
        """In per cent, where it is a number."""
        return f"{100 * value:g}%" if isinstance(value, Real) else str(value)

    @property
    def expected(self) -> str:
        """The range in words."""
        low = f"{'above' if self.open_low else 'from'} {100 * self.low:g}%"
        return f"a percentage such as 0.5%, {low}, at most {100 * self.high:g}%"


@dataclass(frozen=True)
class OneOf(Choice):
    """An instance of one of the classes of the registry ``of`` (name -> frozen dataclass)."""

    of: Mapping[str, type[Any]]

    def accepts(self, value: Any) -> bool:
        """Whether the class of ``value`` is registered."""
        return type(value) in self.of.values()

    def shown(self, value: Any) -> str:
        """The name of the value's class."""
        return str(getattr(value, "name", value))


def _text(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
