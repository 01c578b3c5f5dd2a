"""Derives a command from a function: dataclasses among its parameters become options.

A parameter whose type is an options dataclass (see ``support/options/fields.py``) becomes one
option per field; the function gets the dataclass, built from the options that were typed. A
parameter of the type ``Typed[SomeOptions]`` gets the typed values alone, for commands that add them
to options recorded earlier. A parameter of the type ``Given`` gets the names of all options typed.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar, get_args, get_origin

import typer

from ann2sdnn.cli.parsing.option import Option, is_options, options_of
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.limits import OneOf
from ann2sdnn.support.options.nearest import did_you_mean

_T = TypeVar("_T")


@dataclass(frozen=True)
class Typed(Generic[_T]):
    """The values of options of the dataclass ``_T`` that the user typed, by field."""

    values: Mapping[str, Any]


class Given:
    """The options of a command that the user typed, by the names of its parameters."""

    def __init__(self, context: typer.Context) -> None:
        self._options = {each.name: each.opts[0] for each in context.command.params if each.opts}
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
    signature = inspect.signature(function, eval_str=True, locals=_LazyNames(function))
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in signature.parameters.items():
        options = _options_class(hints[name])
        if options is not None:
            parameters |= {parameter.name: parameter for parameter in _parameters(options)}
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
    own = [context, *parameters.values()]
    made: Any = command
    made.__signature__ = inspect.Signature(own)
    made.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
    made.__name__, made.__doc__ = function.__name__, function.__doc__
    return command


class _LazyNames(dict[str, Any]):
    """Names that the module of a function imports for type checking only, imported when asked for.

    So a command's options are imported for this command, not for others in the same module.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        super().__init__()
        source = inspect.getsource(sys.modules[function.__module__])
        self._modules = {
            alias.name: node.module
            for block in ast.parse(source).body
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for node in block.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }

    def __missing__(self, name: str) -> Any:
        return getattr(import_module(str(self._modules[name])), name)


def _options_class(hint: Any) -> type[Any] | None:
    """The options dataclass that a parameter of the type ``hint`` stands for."""
    if get_origin(hint) is Typed:
        (hint,) = get_args(hint)
    return hint if is_options(hint) else None


def _parameters(owner: type[Any], chosen_by: str = "") -> Iterator[inspect.Parameter]:
    """The parameters of a command for all options of the dataclass ``owner``.

    ``chosen_by``: the name in a registry without which they have no effect.
    """
    for option in options_of(owner):
        limit = option.declared.limit
        if option.declared.option is not None:
            yield option.as_parameter(f"{chosen_by}: " if chosen_by else "")
        if isinstance(limit, OneOf):
            for name, each in limit.of.items():
                yield from _parameters(each, name)
        elif option.declared.classes is not None:
            for each in option.declared.classes():
                yield from _parameters(each)
        elif option.nested is not None:
            yield from _parameters(option.nested)


def _values(owner: type[Any], typed: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """The fields of the dataclass ``owner`` for which the user ``typed`` something."""
    values: dict[str, Any] = {}
    for option in options_of(owner):
        limit = option.declared.limit
        if isinstance(limit, OneOf):
            values |= _chosen(option, limit, typed, given)
        elif option.declared.classes is not None:
            values |= _fitting(option, option.declared.classes(), typed, given)
        elif option.nested is not None:
            inner = _values(option.nested, typed, given)
            needed = option.declared.only_with
            made = option.nested(**inner) if inner else None  # refuses what is out of range
            if made is not None and (not needed or inner.keys() & set(needed)):
                values[option.field.name] = made
        elif option.declared.option is not None and option.parameter in typed:
            value = option.value(typed[option.parameter])
            if value is not None or option.may_be_none:
                values[option.field.name] = value
    return values


def _chosen(option: Option, limit: OneOf, typed: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """The instance of the registered class that was chosen; refuses options of the others."""
    name = typed.get(option.parameter, option.field.default.name)
    if name not in limit.of:
        near = did_you_mean(name, limit.of)
        raise UsageError(f"{option.declared.option} {name}; expected {limit.expected}{near}")
    chosen = limit.of[name]
    own = {parameter.name for parameter in _parameters(chosen)}
    for other, options in limit.of.items():
        others = [each.name for each in _parameters(options) if each.name not in own]
        given.only_if(other == name, *others, needs=f"{option.declared.option} {other}")
    values = _values(chosen, typed, given)
    if not values and option.parameter not in typed:
        return {}
    return {option.field.name: chosen(**values)}


def _fitting(
    option: Option, classes: Sequence[type[Any]], typed: Mapping[str, Any], given: Given
) -> dict[str, Any]:
    """The instance of the first class that has all options typed of any of ``classes``."""
    options = {each: {parameter.name for parameter in _parameters(each)} for each in classes}
    wanted = typed.keys() & set().union(*options.values())
    if not wanted:
        return {}
    for each, names in options.items():
        if wanted <= names:
            return {option.field.name: each(**_values(each, typed, given))}
    listed = " and ".join(f"--{name.replace('_', '-')}" for name in sorted(wanted))
    raise UsageError(f"{listed} belong to different kinds of data; give those of one kind")
