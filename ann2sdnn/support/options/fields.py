"""Fields of options with limits, which are checked when the options are made.

``number``, ``numbers``, ``size``, ``random_seed`` and ``choice`` stand where a field's default
would stand; ``CheckedOptions`` checks such fields. A field whose type is a ``Literal`` is checked
without a declaration.
"""

import math
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from ann2sdnn.support.errors import Ann2SdnnError, UsageError
from ann2sdnn.support.options.limits import LARGEST_SEED, Choice, Limit, Range, Ranges, Size

_T = TypeVar("_T")
_KEY = "limits"


@dataclass(frozen=True)
class _Declared:
    """What stands in a field's metadata: the bounds, before the field's type is known."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    unit: str = ""
    option: str | None = None
    several: bool = False
    fewest: int = 0
    distinct: bool = False
    growing: bool = False


def number(
    default: _T,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    unit: str = "",
    option: str | None = None,
) -> _T:
    """A field that holds a number; bool, NaN and infinity are refused.

    ``at_least`` or ``above``, ``at_most`` or ``below``: its range. ``option``: what the command
    line calls it, for the sentence; the field's name by default. Whether the number is whole
    follows from the field's type; None is accepted where the type says so.
    """
    low, high = _bounds(at_least, above, at_most, below)
    declared = _Declared(low, high, above is not None, below is not None, unit, option)
    return _field(default, declared)


def numbers(
    default: _T,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    unit: str = "",
    option: str | None = None,
    fewest: int = 0,
    distinct: bool = False,
    growing: bool = False,
) -> _T:
    """A field that holds a tuple of numbers, each in the range; see ``number`` and ``Ranges``."""
    low, high = _bounds(at_least, above, at_most, below)
    declared = _Declared(
        low,
        high,
        above is not None,
        below is not None,
        unit,
        option,
        several=True,
        fewest=fewest,
        distinct=distinct,
        growing=growing,
    )
    return _field(default, declared)


def size(default: _T, *, multiple: int = 1, option: str | None = None) -> _T:
    """A field that holds (height, width) in pixels, or None where its type says so."""
    return _field(default, Size(multiple, option))


def choice(default: _T, *of: object, option: str | None = None) -> _T:
    """A field that holds one of ``of``, or of its type's ``Literal`` where nothing is named."""
    return _field(default, Choice(of, option))


def random_seed(default: _T, *, option: str | None = "--seed") -> _T:
    """A field that holds the seed of something random."""
    return number(default, at_least=0, at_most=LARGEST_SEED, option=option)


def limit_of(one: "Field[Any]") -> Limit | None:
    """What the field ``one`` may hold, None where nothing is declared and its type says nothing."""
    declared = one.metadata.get(_KEY)
    if isinstance(declared, _Declared):
        return _with_type(declared, one)
    if declared is None or (isinstance(declared, Choice) and not declared.of):
        values = _literals(one.type)
        if not values:
            return None
        return Choice(values, None if declared is None else declared.option)
    found: Limit = declared
    return found


def check_limits(options: Any) -> None:
    """Raise for the first field of the dataclass ``options`` that is outside its limits.

    The error is the class attribute ``limit_error`` of ``options``, UsageError by default. Its
    sentence names the option, what it is, and what was expected.
    """
    for one in fields(options):
        limit = limit_of(one)
        value = getattr(options, one.name)
        if limit is None or (value is None and _may_be_none(one.type)):
            continue
        if not limit.accepts(value):
            error: type[Ann2SdnnError] = getattr(options, "limit_error", UsageError)
            name = limit.option or one.name
            raise error(f"{name} {limit.shown(value)}; expected {limit.expected}")


class CheckedOptions:
    """Base of a dataclass whose fields are checked when it is made.

    A subclass with checks of its own calls ``super().__post_init__()`` first.
    """

    limit_error: ClassVar[type[Ann2SdnnError]] = UsageError

    def __post_init__(self) -> None:
        check_limits(self)


def _bounds(
    at_least: float | None, above: float | None, at_most: float | None, below: float | None
) -> tuple[float, float]:
    low = at_least if above is None else above
    high = at_most if below is None else below
    if low is None or high is None:
        raise TypeError("a number needs a lower and an upper bound")
    return low, high


def _field(default: _T, limit: object) -> _T:
    made: Any = field(default=default, metadata={_KEY: limit})
    return made  # type: ignore[no-any-return]  # a dataclass turns it into the default


def _with_type(declared: _Declared, one: "Field[Any]") -> Limit:
    found = _number_types(one.type)
    if not found:
        raise TypeError(f"{one.name} has the type {one.type}, which holds no number")
    each = Range(
        float not in found,
        declared.low,
        declared.high,
        declared.open_low,
        declared.open_high,
        declared.unit,
        declared.option,
    )
    if not declared.several:
        return each
    return Ranges(
        each, declared.fewest, declared.distinct, declared.growing, option=declared.option
    )


def _number_types(annotation: Any) -> set[type]:
    """Int and float, as far as they stand in ``annotation``."""
    if annotation in (int, float):
        return {annotation}
    return set().union(*(_number_types(part) for part in get_args(annotation)))


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return ()


def _may_be_none(annotation: Any) -> bool:
    return annotation is type(None) or type(None) in get_args(annotation)
