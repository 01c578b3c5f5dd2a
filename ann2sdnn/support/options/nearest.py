"""The nearest of a few names to one that a user mistyped."""

from collections.abc import Collection
from difflib import get_close_matches


def did_you_mean(typed: object, names: Collection[object]) -> str:
    """``; did you mean NAME?`` for the nearest of ``names``, nothing where none is near."""
    near = get_close_matches(str(typed).lower(), [str(name) for name in names], n=1)
    return f"; did you mean {near[0]}?" if near else ""
