'''Fields of options dataclasses: limits, the option on the command line, and help texts.

``number``, ``numbers``, ``size``, ``random_seed``, ``choice``, ``free`` and ``one_of`` stand where
a field's default would stand. They say what the field may hold, which is checked when the options
are made, and what the command line calls it (``option``); a field without ``option`` is not on the
command line. The docstring under a field is its help text::

    @dataclass(frozen=True)
    class ShowOptions(CheckedOptions):
        """How a recording is drawn."""

        fps: float = number(10.0, at_least=1, at_most=50, option="--fps")
        """Frames per second of the animation."""
'''

import ast
import inspect
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from ann2sdnn.support.errors import Ann2SdnnError, UsageError
from ann2sdnn.support.options.limits import (
    LARGEST_SEED,
    Choice,
    Limit,
    Numbers,
    OneOf,
    Share,
    Size,
)
from ann2sdnn.support.options.nearest import did_you_mean

_T = TypeVar("_T")
_KEY = "ann2sdnn"


@dataclass(frozen=True)
class Declared:
    """What the declaration of a field says beside its type and default."""

    limit: Limit | None = None
    """The values that the field may hold; None where its type says it."""
    option: str | None = None
    """Name on the command line such as ``--frames``; None for a field that is not there."""
    panel: str | None = None
    """Panel of the help; None for the panel of the class."""
    repeated: bool = False
    """Whether the option may be repeated, one value of the tuple each time."""
    none: str | None = None
    """Text that stands for None on the command line."""
    shown_default: str | None = None
    """Default in the help, where the field's own does not say it."""
    only_with: tuple[str, ...] = ()
    """Fields of the nested options without which the field is None."""
    classes: Callable[[], Sequence[type[Any]]] | None = None
    """Classes of which the field may hold an instance; see ``any_of``."""


def number(
    default: _T,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    several: Mapping[str, Any] | None = None,
    unit: str = "",
    **declared: Any,
) -> _T:
    """A field that holds a number; bool, NaN and infinity are refused.

    ``at_least`` or ``above``, ``at_most`` or ``below``: its range. ``declared``: fields of
    ``Declared``. Whether the number is whole follows from the field's type; None is accepted where
    the type says so. ``several``: for ``numbers``.
    """
    low, high = at_least if above is None else above, at_most if below is None else below
    if low is None or high is None:
        raise TypeError("a number needs a lower and an upper bound")
    limit = Numbers(low, high, above is not None, below is not None, unit, **several or {})
    return _field(default, limit, declared)


def share(default: _T, *, above: float, at_most: float, **declared: Any) -> _T:
    """A field that holds a share of a whole between 0 and 1; the command line takes per cent."""
    return _field(default, Share(above, at_most, open_low=True), declared)


def numbers(
    default: _T,
    *,
    fewest: int = 0,
    distinct: bool = False,
    growing: bool = False,
    **of_number: Any,
) -> _T:
    """A field that holds a tuple of numbers, each as in ``number``; see ``Numbers``."""
    several = {"several": True, "fewest": fewest, "distinct": distinct, "growing": growing}
    return number(default, several=several, **of_number)


def size(
    default: _T, *, multiple: int = 1, whole: tuple[int, int] | None = None, **declared: Any
) -> _T:
    """A field that holds (height, width) in pixels (``Size``), or None where its type says so."""
    return _field(default, Size(multiple, whole), declared)


def choice(default: _T, of: Collection[Any] | None = None, **declared: Any) -> _T:
    """A field that holds one of ``of`` (such as the names in a registry), or of its type's
    ``Literal`` where nothing is named.
    """
    return _field(default, None if of is None else Choice(of), declared)


def random_seed(default: _T, *, option: str | None = "--seed", **declared: Any) -> _T:
    """A field that holds the seed of something random."""
    return number(default, at_least=0, at_most=LARGEST_SEED, option=option, **declared)


def free(default: _T, **declared: Any) -> _T:
    """A field without limits: a flag, a name or a path."""
    return _field(default, None, declared)


def one_of(default: _T, registry: Mapping[str, type[Any]], **declared: Any) -> _T:
    """A field that holds an instance of one of the option classes in ``registry``.

    ``registry``: name -> frozen dataclass whose class attribute ``name`` is that name. The command
    line has the option itself, which takes a name, and the options of all classes.
    """
    return _field(default, OneOf(registry), declared)


def only_with(*names: str) -> Any:
    """A field with nested options, None unless one of their fields ``names`` is given."""
    return _field(None, None, {"only_with": names})


def any_of(classes: Callable[[], Sequence[type[Any]]]) -> Any:
    """A field that holds None, or an instance of the one of ``classes`` whose options are given."""
    return _field(None, None, {"classes": classes})


def declared_of(each: "Field[Any]") -> Declared:
    """The declaration of the field ``each``; an empty one where it has a plain default."""
    declared = each.metadata.get(_KEY, Declared())
    assert isinstance(declared, Declared)
    return declared


def limit_of(each: "Field[Any]") -> Limit | None:
    """The values that the field ``each`` may hold, None where nothing limits them."""
    limit = declared_of(each).limit
    if limit is None and get_origin(each.type) is Literal:
        return Choice(get_args(each.type))
    if isinstance(limit, Numbers):
        kinds = _number_types(each.type)
        if not kinds:
            raise TypeError(f"{each.name} has the type {each.type}, which holds no number")
        return replace(limit, whole=float not in kinds)
    return limit


def check_limits(options: Any) -> None:
    """Raise for the first field of the dataclass ``options`` that is outside its limits.

    The error is the class attribute ``limit_error`` of ``options``, UsageError by default. Its
    sentence names the option, its value, and what was expected.
    """
    for each in fields(options):
        limit = limit_of(each)
        value = getattr(options, each.name)
        if limit is None or (value is None and type(None) in get_args(each.type)):
            continue
        if not limit.accepts(value):
            error: type[Ann2SdnnError] = getattr(options, "limit_error", UsageError)
            name = declared_of(each).option or each.name
            near = did_you_mean(value, limit.of) if isinstance(limit, Choice) else ""
            raise error(f"{name} {limit.shown(value)}; expected {limit.expected}{near}")


def help_texts(options: type[Any]) -> Mapping[str, str]:
    """The docstrings under the fields of the dataclass ``options`` and of its bases, by field."""
    return {
        name: text
        for owner in reversed(options.__mro__)
        if owner.__module__ != "builtins"
        for name, text in _docstrings(owner)
    }


class CheckedOptions:
    """Base of a dataclass whose fields are checked when it is made.

    A subclass with checks of its own calls ``super().__post_init__()`` first. ``panel``: panel of
    the help in which the fields stand that name no other.
    """

    limit_error: ClassVar[type[Ann2SdnnError]] = UsageError
    panel: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        check_limits(self)


def _field(default: _T, limit: Limit | None, declared: Mapping[str, Any]) -> _T:
    made: Any = field(default=default, metadata={_KEY: Declared(limit, **declared)})
    return made  # type: ignore[no-any-return]  # a dataclass turns it into the default


def _number_types(annotation: Any) -> set[type]:
    """Int and float, as far as they stand in ``annotation``."""
    if annotation in (int, float):
        return {annotation}
    return set().union(*(_number_types(part) for part in get_args(annotation)))


def _docstrings(owner: type[Any]) -> Iterator[tuple[str, str]]:
    """(field, docstring) of the class ``owner`` itself; none where its source is not at hand."""
    try:
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except (OSError, TypeError, SyntaxError, ValueError):  # no source, or another than was imported
        return
    body = parsed.body if isinstance(parsed, ast.ClassDef) else []
    for statement, following in pairwise(body):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
