"""Derives a command from a function: dataclasses among its parameters become options.

A parameter whose type is an options dataclass (see ``support/options/fields.py``) becomes one
option per field; the function gets the dataclass, built from the options that were typed. A
parameter of the type ``Typed[SomeOptions]`` gets the typed values alone, for commands that add them
to options recorded earlier. A parameter of the type ``Given`` gets the names of all options typed.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import typer

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import Declared, declared_of, help_texts, limit_of
from ann2sdnn.support.options.limits import Choice, Numbers, OneOf, Size

_T = TypeVar("_T")
_LONGEST_METAVAR = 20  # characters that leave room for the help at 80 columns
_EXAMPLE_SIZE = (64, 96)


@dataclass(frozen=True)
class Typed(Generic[_T]):
    """The values of options of the dataclass ``_T`` that the user typed, by field."""

    values: Mapping[str, Any]


class Given:
    """The options of a command that the user typed, by the names of its parameters."""

    def __init__(self, context: typer.Context) -> None:
        self._options = {one.name: one.opts[0] for one in context.command.params if one.opts}
        sources = {name: context.get_parameter_source(name) for name in self._options if name}
        # Defaults come from the signature.
        self._typed = {n for n, source in sources.items() if source and source.name != "DEFAULT"}

    def __contains__(self, name: str) -> bool:
        return name in self._typed

    def only_if(self, effective: bool, *names: str, needs: str) -> None:
        """UsageError for the first of ``names`` that was typed, unless they are ``effective``.

        ``needs``: the option that they belong to.
        """
        for name in names:
            if not effective and name in self:
                option = self._options[name]
                raise UsageError(f"{option} has no effect without {needs}; give both or neither")

    def not_with(self, other: str, *names: str) -> None:
        """UsageError for the first of ``names`` that was typed beside the option ``other``."""
        for name in names:
            if other in self and name in self:
                raise UsageError(
                    f"{self._options[name]} has no effect with {self._options[other]}; choose one"
                )


def derived(function: Callable[..., None]) -> Callable[..., None]:
    """``function`` with a signature that typer makes a command of."""
    own = inspect.signature(function, eval_str=True).parameters
    hints = {name: parameter.annotation for name, parameter in own.items()}
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        options = _options_class(hints[name])
        if options is not None:
            parameters |= {one.name: one for one in _parameters(options)}
        elif hints[name] is not Given:
            parameters[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)

    def command(context: typer.Context, **values: Any) -> None:
        given = Given(context)
        typed = {name: value for name, value in values.items() if name in given}
        arguments: dict[str, Any] = {}
        for name, hint in hints.items():
            options = _options_class(hint)
            if hint is Given:
                arguments[name] = given
            elif options is None:
                if name in values:
                    arguments[name] = values[name]
            elif hint is options:
                arguments[name] = options(**_values(options, typed, given))
            else:
                arguments[name] = Typed(_values(options, typed, given))
        function(**arguments)

    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    signature = [context, *parameters.values()]
    made: Any = command
    made.__signature__ = inspect.Signature(signature)
    made.__annotations__ = {one.name: one.annotation for one in signature}
    made.__name__, made.__doc__ = function.__name__, function.__doc__
    return command


def _options_class(hint: Any) -> type[Any] | None:
    """The options dataclass that a parameter of the type ``hint`` stands for."""
    if get_origin(hint) is Typed:
        (hint,) = get_args(hint)
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


@dataclass(frozen=True)
class _Option:
    """A field of options dataclasses: its declaration, its resolved type and its help text."""

    field: "Field[Any]"
    declared: Declared
    hint: Any
    help: str
    panel: str | None

    @property
    def parameter(self) -> str:
        """Name of the command's parameter."""
        assert self.declared.option is not None
        return self.declared.option.lstrip("-").replace("-", "_")

    @property
    def nested(self) -> type[Any] | None:
        """The options dataclass that the field holds."""
        parts = [part for part in (self.hint, *get_args(self.hint)) if _options_class(part)]
        return parts[0] if parts else None


def _options(owner: type[Any]) -> Iterator[_Option]:
    hints, texts = get_type_hints(owner), help_texts(owner)
    for one in fields(owner):
        declared = declared_of(one)
        panel = declared.panel or getattr(owner, "panel", None)
        yield _Option(one, declared, hints[one.name], texts.get(one.name, ""), panel)


def _parameters(owner: type[Any]) -> Iterator[inspect.Parameter]:
    """The parameters of a command for all options of the dataclass ``owner``."""
    for one in _options(owner):
        limit = one.declared.limit
        if one.declared.option is not None:
            yield _parameter(one)
        if isinstance(limit, OneOf):
            for each in limit.registry.values():
                yield from _parameters(each)
        elif one.declared.classes is not None:
            for each in one.declared.classes():
                yield from _parameters(each)
        elif one.nested is not None:
            yield from _parameters(one.nested)


def _parameter(one: _Option) -> inspect.Parameter:
    kind, metavar = _kind(one)
    text = " ".join(one.help.split())
    if metavar is not None and len(metavar) > _LONGEST_METAVAR:
        text = f"{text.rstrip('.')}: {', '.join(metavar.split('|'))}."
        metavar = one.parameter.upper()
    default = _default(one)
    shown: bool | str = one.declared.shown_default or True
    option = typer.Option(
        one.declared.option,
        help=text,
        metavar=metavar,
        rich_help_panel=one.panel,
        show_default=shown,
    )
    return inspect.Parameter(
        one.parameter,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind if default is not None else kind | None, option],
    )


def _kind(one: _Option) -> tuple[Any, str | None]:
    """The type that typer reads the option as, and its placeholder in the help."""
    limit = limit_of(one.field)
    if isinstance(limit, Choice | OneOf):
        return str, "|".join(map(str, limit.of if isinstance(limit, Choice) else limit.registry))
    if isinstance(limit, Size):
        return str, "HxW"
    if isinstance(limit, Numbers) and limit.several:
        return str, "N,N"
    (kind, *_) = [part for part in (*get_args(one.hint), one.hint) if part is not type(None)]
    if get_origin(one.hint) is tuple or get_origin(kind) is tuple:
        return str, "A,B"
    if not isinstance(kind, type) or not issubclass(kind, bool | int | float | str | Path | Enum):
        raise TypeError(f"{one.field.name} has the type {one.hint}, which no option can have")
    return kind, None


def _default(one: _Option) -> Any:
    """The default as a user would type it; None where there is none to show."""
    default, limit = one.field.default, limit_of(one.field)
    if default is None or default is MISSING:
        return None if one.declared.none is None else _kind(one)[0](one.declared.none)
    if isinstance(limit, OneOf | Size | Numbers) and not isinstance(default, int | float):
        return limit.shown(default)
    return ",".join(default) if isinstance(default, tuple) else default


def _values(owner: type[Any], typed: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """The fields of the dataclass ``owner`` for which the user ``typed`` something."""
    values: dict[str, Any] = {}
    for one in _options(owner):
        limit = one.declared.limit
        if isinstance(limit, OneOf):
            values |= _chosen(one, limit.registry, typed, given)
        elif one.declared.classes is not None:
            values |= _fitting(one, one.declared.classes(), typed, given)
        elif one.nested is not None:
            inner = _values(one.nested, typed, given)
            needed = one.declared.only_with
            made = one.nested(**inner) if inner else None  # refuses what is out of range
            if made is not None and (not needed or inner.keys() & set(needed)):
                values[one.field.name] = made
        elif one.declared.option is not None and one.parameter in typed:
            value = _parsed(one, typed[one.parameter])
            if value is not None or type(None) in get_args(one.hint):
                values[one.field.name] = value
    return values


def _chosen(
    one: _Option, registry: Mapping[str, type[Any]], typed: Mapping[str, Any], given: Given
) -> dict[str, Any]:
    """The instance of the registered class that was chosen; refuses options of the others."""
    name = typed.get(one.parameter, one.field.default.name)
    if name not in registry:
        raise UsageError(f"{one.declared.option} {name}; expected {OneOf(registry).expected}")
    chosen = registry[name]
    own = {parameter.name for parameter in _parameters(chosen)}
    for other, options in registry.items():
        others = [each.name for each in _parameters(options) if each.name not in own]
        given.only_if(other == name, *others, needs=f"{one.declared.option} {other}")
    values = _values(chosen, typed, given)
    if not values and one.parameter not in typed:
        return {}
    return {one.field.name: chosen(**values)}


def _fitting(
    one: _Option, classes: Sequence[type[Any]], typed: Mapping[str, Any], given: Given
) -> dict[str, Any]:
    """The instance of the first class that has all options typed of any of ``classes``."""
    options = {each: [parameter.name for parameter in _parameters(each)] for each in classes}
    wanted = {name for names in options.values() for name in names if name in typed}
    for each, names in options.items():
        if wanted and wanted <= set(names):
            return {one.field.name: each(**_values(each, typed, given))}
    if wanted:
        listed = " and ".join(f"--{name.replace('_', '-')}" for name in sorted(wanted))
        raise UsageError(f"{listed} belong to different kinds of data; give those of one kind")
    return {}


def _parsed(one: _Option, value: Any) -> Any:
    """The field's value for the ``value`` that typer read."""
    option, limit = one.declared.option, limit_of(one.field)
    if one.declared.none is not None and str(value) == str(_kind(one)[0](one.declared.none)):
        return () if isinstance(limit, Numbers) and limit.several else None
    if isinstance(limit, Size):
        found = re.fullmatch(r"(\d{1,9})x(\d{1,9})", value, re.ASCII)
        if found is None:
            example = limit.shown(one.field.default or _EXAMPLE_SIZE)
            none = f", or {one.declared.none}" if one.declared.none else ""
            raise UsageError(f"{option} {value}; expected HxW in pixels such as {example}{none}")
        return (int(found[1]), int(found[2]))
    if isinstance(limit, Numbers) and limit.several:
        if not re.fullmatch(r"\d{1,18}(,\d{1,18})*", value, re.ASCII):
            none = f", or {one.declared.none}" if one.declared.none else ", such as 2,3"
            raise UsageError(f"{option} {value}; expected numbers with commas{none}")
        return tuple(int(part) for part in value.split(","))
    if isinstance(limit, Choice):
        return next((each for each in limit.of if str(each) == value), value)
    if _kind(one)[1] == "A,B":
        return tuple(value.split(","))
    return value
