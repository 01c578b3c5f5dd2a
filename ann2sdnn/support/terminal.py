"""Tables of at most 80 columns for the terminal, and numbers as text."""

from collections.abc import Collection, Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as RichText

from ann2sdnn.support.page.document import Document, Sheet

WIDTH = 80
MISSING = "-"  # a number that does not exist
_CONTROL = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(32), *range(127, 160))
    if code != ord("\n")
}
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def plain(text: str) -> str:
    """``text`` without control characters, by which a name in a file could steer a terminal."""
    return text.translate(_CONTROL)


def _text(text: str = "", style: str = "") -> RichText:
    return RichText(plain(text), style)


def document_text(
    document: Document, *, details: bool = True, options: Collection[str] = ()
) -> RenderableType:
    """Sentences, tables and warnings; with ``details`` the tables on demand and folded ones.

    ``options``: names of options that were given, whose tables are shown too.
    """
    first = [part for part in document.first if isinstance(part, Sheet)]
    warnings = [_text(f"- {warning}") for warning in document.warnings]
    return Group(
        *map(_text, document.sentences),
        *map(sheet_text, first),
        *([_text(), *map(_text, document.facts)] if first and document.facts else ()),
        *(map(_text, document.facts) if not first else ()),
        *(
            sheet_text(sheet.folded if details and sheet.folded is not None else sheet)
            for sheet in document.tables
            if (details or not sheet.on_demand) and (not sheet.option or sheet.option in options)
        ),
        *([_text("\nWarnings", style="bold"), *warnings] if warnings else ()),
    )


def sheet_text(sheet: Sheet) -> RenderableType:
    """The table after an empty line, below its title.

    Columns are two apart where 80 columns allow it. Names in the first column that do not fit lose
    their beginning: their end tells layers apart better.
    """
    names, *others = _widths(sheet)
    fits = names + sum(others) + 2 * len(others) <= WIDTH
    room = WIDTH - sum(others) - len(others)
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, int(fits), 0, 0)
    )
    for heading, is_text in zip(sheet.headings, sheet.is_text, strict=True):
        table.add_column(
            _text(heading), justify="left" if is_text else "right", vertical="bottom", no_wrap=True
        )
    for index, (name, *cells) in enumerate(sheet.rows):
        shown = name if len(name) <= room else "…" + name[1 - room :]
        style = "bold" if index == sheet.marked else ""
        table.add_row(*map(_text, (shown, *cells)), style=style)
    notes = (_text(note, style="dim") for note in sheet.notes)
    return Group(_text(f"\n{sheet.title}", style="bold"), table, *notes)


def _widths(sheet: Sheet) -> Iterator[int]:
    for heading, *cells in zip(sheet.headings, *sheet.rows, strict=True):
        yield max(map(len, (*heading.split("\n"), *cells)))


def number(value: float | None, form: str, unit: float = 1.0) -> str:
    """``value`` in ``unit``s, by a format such as ".1f"."""
    return MISSING if value is None else format(value / unit, form)


def compact(count: float | None) -> str:
    """Three significant digits and a unit: 546 M."""
    if count is None:
        return MISSING
    for size, unit in _UNITS:
        # 999.6 M would be written 1000 M.
        if count >= 0.9995 * size:
            return f"{_three_digits(count / size)} {unit}"
    return f"{count:.0f}" if count % 1 == 0 else _three_digits(count)


def narrow(count: float | None) -> str:
    """``compact`` without the space: 546M."""
    return compact(count).replace(" ", "")


def percent(fraction: float | None) -> str:
    """A fraction in per cent, with a digit after the point below 10%."""
    if fraction is None:
        return MISSING
    shown = 100 * fraction
    return f"{shown:.0f}%" if shown >= 9.95 or shown == 0 else f"{shown:.1f}%"


def counted(count: int, noun: str) -> str:
    """A number and its noun: 1 frame, 2 frames."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value % 1 else f"{value:.0f}"
