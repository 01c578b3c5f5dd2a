"""The commands as typer makes them, and their options."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from typer.models import OptionInfo

from ann2sdnn.cli import app

COMMANDS: dict[str, Any] = {name: app.load(name) for name in app.COMMANDS}


def options() -> Iterator[tuple[str, str, str, frozenset[type]]]:
    """(command, parameter, option, types of its values) of every option of every command."""
    for command, made in COMMANDS.items():
        hints = made.callback.__annotations__
        for parameter in made.params:
            hint = hints.get(parameter.name)
            if get_origin(hint) is Annotated and isinstance(get_args(hint)[1], OptionInfo):
                kind = get_args(hint)[0]
                yield (
                    command,
                    parameter.name,
                    parameter.opts[0],
                    frozenset(get_args(kind) or (kind,)),
                )
