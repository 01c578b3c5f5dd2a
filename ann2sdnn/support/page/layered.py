"""Tables with a row per layer, or per block of layers where there are many."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ann2sdnn.support.page.blocks import blocks_of, short_names
from ann2sdnn.support.page.document import Sheet


class Named(Protocol):
    """A layer in a report."""

    @property
    def name(self) -> str:
        """Its name."""


Item = TypeVar("Item", bound=Named)
Cell = Callable[[Sequence[Item]], str]
"""The text of a column for one layer or for the layers of a block."""
Number = float | None
Form = Callable[[Number], str]


def layer_sheet(
    title: str,
    layers: Sequence[Item],
    *columns: tuple[str, Cell[Item]],
    sizes: Sequence[Hashable] = (),
    note: str = "",
    **others: Any,
) -> Sheet:
    """A table of ``layers``: a heading and a cell per column, beside their names.

    With more than ``MOST_LAYERS`` layers a row is a block; the table of the single layers is
    ``folded``, and ``note`` says what numbers of a block are. ``sizes``: as in ``blocks_of``.
    ``others``: fields of the sheet.
    """
    names = [layer.name for layer in layers]
    headings = tuple(heading for heading, _ in columns)

    def row(name: str, some: Sequence[Item]) -> tuple[str, ...]:
        return (name, *(cell(some) for _, cell in columns))

    rows = [row(name, [layer]) for name, layer in zip(short_names(names), layers, strict=True)]
    single = Sheet(title, ("layer", *headings), tuple(rows), **others)
    blocks = blocks_of(names, sizes)
    if len(blocks) == len(layers):
        return single
    rows = [row(block.label, layers[block.start : block.stop]) for block in blocks]
    notes = (*single.notes, f"by block, with the number of its layers{note and f'; {note}'}")
    return replace(
        single, headings=("block", *headings), rows=tuple(rows), notes=notes, folded=single
    )


def total(get: Callable[[Item], Number], form: Form) -> Cell[Item]:
    """The sum of the values that are known."""
    return _of(get, sum, form)


def least(get: Callable[[Item], Number], form: Form) -> Cell[Item]:
    """The smallest value that is known."""
    return _of(get, min, form)


def most(get: Callable[[Item], Number], form: Form) -> Cell[Item]:
    """The largest value that is known."""
    return _of(get, max, form)


def _of(
    get: Callable[[Item], Number], join: Callable[[Sequence[float]], float], form: Form
) -> Cell[Item]:
    def cell(items: Sequence[Item]) -> str:
        known = _known(get, items)
        return form(join(known) if known else None)

    return cell


def average(
    get: Callable[[Item], Number], weight: Callable[[Item], float], form: Form
) -> Cell[Item]:
    """The mean of the values that are known, weighted."""

    def cell(items: Sequence[Item]) -> str:
        known = [(value, weight(item)) for item in items if (value := get(item)) is not None]
        weights = sum(own for _, own in known)
        if not weights:
            return form(known[0][0] if known else None)
        return form(sum(value * own for value, own in known) / weights)

    return cell


def spread(get: Callable[[Item], Number], form: Form) -> Cell[Item]:
    """The smallest and the largest value that are known, where they differ as text."""

    def cell(items: Sequence[Item]) -> str:
        known = _known(get, items)
        if not known:
            return form(None)
        low, high = form(min(known)), form(max(known))
        return low if low == high else f"{low}-{high}"

    return cell


def same(get: Callable[[Item], str], otherwise: str) -> Cell[Item]:
    """The text that all have, or ``otherwise``."""

    def cell(items: Sequence[Item]) -> str:
        texts = {get(item) for item in items}
        return texts.pop() if len(texts) == 1 else otherwise

    return cell


def _known(get: Callable[[Item], Number], items: Sequence[Item]) -> list[float]:
    return [value for item in items if (value := get(item)) is not None]
