"""One option of a command: the field of an options dataclass as a user types and reads it."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeGuard, get_args, get_origin, get_type_hints

import typer

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import Declared, declared_of, help_texts, limit_of
from ann2sdnn.support.options.limits import Choice, Numbers, OneOf, Share, Size

_LONGEST_METAVAR = 20  # characters that leave room for the help at 80 columns
_EXAMPLE_SIZE = (64, 96)


@dataclass(frozen=True)
class Option:
    """A field with its declaration, resolved type and help text."""

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
        return next(filter(is_options, (self.hint, *get_args(self.hint))), None)

    @property
    def may_be_none(self) -> bool:
        """Whether None is a value of the field."""
        return type(None) in get_args(self.hint)

    def as_parameter(self, prefix: str = "") -> inspect.Parameter:
        """The parameter that typer makes the option of; ``prefix`` begins its help text."""
        form = _form(self)
        text, metavar = " ".join(self.help.split()), form.metavar
        if prefix:
            text = f"{prefix}{text[:1].lower()}{text[1:]}"
        if metavar is not None and len(metavar) > _LONGEST_METAVAR:
            text = f"{text.rstrip('.')}: {', '.join(metavar.split('|'))}."
            metavar = self.parameter.upper()
        default = self._default(form)
        option = typer.Option(
            self.declared.option,
            help=text,
            metavar=metavar,
            rich_help_panel=self.panel,
            show_default=self.declared.shown_default or True,
            autocompletion=self._completed,
        )
        kind = form.kind if default is not None else form.kind | None
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind, option],
        )

    def _completed(self, incomplete: str) -> list[str]:
        """The choices, for the shell."""
        limit = limit_of(self.field)
        names = map(str, limit.of) if isinstance(limit, Choice) else ()
        return [name for name in names if name.startswith(incomplete)]

    def value(self, typed: Any) -> Any:
        """The field's value for what was typed, as typer read it."""
        form = _form(self)
        if self.declared.none is not None and typed == form.kind(self.declared.none):
            return form.none
        return form.read(typed)

    def _default(self, form: "_Form") -> Any:
        """The default as a user would type it; None where there is none to show."""
        default, none = self.field.default, self.declared.none
        if none is not None and (default is None or (form.none is None and not self.may_be_none)):
            return form.kind(none)
        return None if default in (None, ()) or default is MISSING else form.shown(default)


def is_options(hint: Any) -> TypeGuard[type[Any]]:
    """Whether the type ``hint`` is an options dataclass."""
    return isinstance(hint, type) and is_dataclass(hint)


def options_of(owner: type[Any]) -> Iterator[Option]:
    """The fields of the dataclass ``owner``, also those that are not on the command line."""
    hints, texts = get_type_hints(owner), help_texts(owner)
    for field in fields(owner):
        declared = declared_of(field)
        panel = declared.panel or getattr(owner, "panel", None)
        yield Option(field, declared, hints[field.name], texts.get(field.name, ""), panel)


@dataclass(frozen=True)
class _Form:
    """How values are typed. ``kind``: as typer reads them. ``metavar``: placeholder in the help.
    ``none``: the value that the word for None stands for.
    """

    kind: Any
    metavar: str | None = None
    shown: Callable[[Any], Any] = lambda value: value
    read: Callable[[Any], Any] = lambda typed: typed
    none: object = None


def _form(option: Option) -> _Form:
    limit = limit_of(option.field)
    if isinstance(limit, OneOf):
        return _Form(str, "|".join(limit.of), limit.shown)
    if isinstance(limit, Choice):
        named = {str(value): value for value in limit.of}
        return _Form(str, "|".join(named), str, lambda text: named.get(text, text))
    if isinstance(limit, Size):
        form = "HxW" if limit.whole is None else "HxW or 1/N"
        return _Form(str, form, limit.shown, lambda text: _pair(option, limit, text))
    if isinstance(limit, Share):
        return _Form(str, "N%", limit.shown, lambda text: _share(option, limit, text))
    if isinstance(limit, Numbers) and limit.several:
        return _Form(str, "N,N", limit.shown, lambda text: _numbers(option, text), none=())
    return _form_of_type(option)


def _form_of_type(option: Option) -> _Form:
    parts = [part for part in (option.hint, *get_args(option.hint)) if part is not type(None)]
    if any(get_origin(part) is tuple for part in parts):
        listed = _Form(str, "A,B", ",".join, lambda text: tuple(text.split(",")))
        return _Form(list[str], read=tuple) if option.declared.repeated else listed
    kind = parts[-1]
    if not isinstance(kind, type) or not issubclass(kind, bool | int | float | str | Path | Enum):
        raise TypeError(f"{option.field.name} has the type {option.hint}, which no option can have")
    return _Form(kind)


def _pair(option: Option, limit: Size, text: str) -> tuple[int, int]:
    part = re.fullmatch(r"1/([1-9]\d{0,3})", text, re.ASCII) if limit.whole else None
    if part is not None:
        return limit.part(int(part[1]))
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text, re.ASCII)
    if match is None:
        example = Size().shown(option.field.default or _EXAMPLE_SIZE)
        none = f", or {option.declared.none}" if option.declared.none else ""
        parts = ", or a part such as 1/2" if limit.whole else ""
        expected = f"HxW in pixels such as {example}{parts}{none}"
        raise UsageError(f"{option.declared.option} {text}; expected {expected}")
    return (int(match[1]), int(match[2]))


def _share(option: Option, limit: Share, text: str) -> float:
    """The share that a percentage stands for; without its sign it could be either."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?%", text, re.ASCII):
        raise UsageError(f"{option.declared.option} {text}; expected {limit.expected}")
    return float(text[:-1]) / 100


def _numbers(option: Option, text: str) -> tuple[float, ...]:
    limit = limit_of(option.field)
    whole = isinstance(limit, Numbers) and limit.whole
    number = r"\d{1,18}" if whole else r"-?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})(e-?\d{1,2})?"
    if not re.fullmatch(f"{number}(,{number})*", text, re.ASCII):
        example = "such as 2,3" if whole else "such as 0.5,0.25"
        more = f"or {option.declared.none}" if option.declared.none else example
        raise UsageError(f"{option.declared.option} {text}; expected numbers with commas, {more}")
    return tuple((int if whole else float)(part) for part in text.split(","))
