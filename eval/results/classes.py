"""How classes are written: by number, with a name where the data has one."""

from collections.abc import Sequence

_LONGEST = 24  # characters of a name


def written_class(names: Sequence[str], number: int) -> str:
    """The class's number, and its name where ``names`` has one."""
    if number >= len(names):
        return str(number)
    name = names[number]
    return f"{number} {name if len(name) <= _LONGEST else f'{name[: _LONGEST - 1]}…'}"
