"""Content of a report, as the terminal and an HTML page both show it.

A kind of report has one list of sections: functions from the report to a part of the document, or
to None where it has nothing to show. A new section is a function appended to that list.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ann2sdnn.support.page.blocks import Block

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Report = TypeVar("_Report")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Sheet:
    """A table of text. A heading may have several lines; a row has one cell per heading.

    ``words``: headings of the columns aligned left; the first column always is. ``notes``:
    sentences below the table. ``terms``: names and explanations, which the page folds away.
    ``marked``: the row that stands out. ``on_demand``: left out in the terminal unless details are
    asked for; ``option``: unless this option is given. ``folded``: a longer table with the details
    of this one, which the page folds away, and which the terminal shows in the place of this one
    where details are asked for.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    marked: int | None = None
    on_demand: bool = False
    option: str = ""
    folded: "Sheet | None" = None

    @classmethod
    def of(
        cls,
        title: str,
        items: Iterable[_Item],
        *columns: tuple[str, Callable[[_Item], str]],
        **others: Any,
    ) -> "Sheet":
        """A row per item; ``columns`` are headings and the cells below them."""
        rows = tuple(tuple(cell(item) for _, cell in columns) for item in items)
        return cls(title, tuple(heading for heading, _ in columns), rows, **others)

    @property
    def is_text(self) -> tuple[bool, ...]:
        """Which columns are aligned left."""
        return tuple(not i or heading in self.words for i, heading in enumerate(self.headings))


@dataclass(frozen=True)
class Picture:
    """A plot for the page, drawn only there. ``full_colour``: it is more than lines and bars."""

    title: str
    meaning: str
    draw: "Callable[[], Figure]"
    full_colour: bool = False


@dataclass(frozen=True)
class Animation:
    """A moving picture for the page; ``draw`` makes a WebP file."""

    title: str
    meaning: str
    draw: Callable[[], bytes]


@dataclass(frozen=True)
class Gallery:
    """Pictures of one kind, under one title.

    ``blocks``: of consecutive pictures, which the page folds away; () shows all of them.
    """

    title: str
    meaning: str
    pictures: tuple[Picture, ...]
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Fold:
    """Parts of one subject, which the page folds away behind their title."""

    title: str
    parts: "tuple[Part, ...]"


@dataclass(frozen=True)
class Folds:
    """Details below one heading, each folded away. The terminal shows their tables as those of
    other parts, unless this is for the page only.
    """

    title: str
    meaning: str
    folds: tuple[Fold, ...]
    is_page_only: bool = False


Part: TypeAlias = Sheet | Picture | Gallery | Animation | Folds
Section: TypeAlias = Callable[[_Report], Part | None]


@dataclass(frozen=True)
class Document:
    """A whole report. ``sentences``: its results; ``first``: the parts of the page's first screen,
    tables above pictures; ``facts``: what to know beside the results; ``introduction`` and
    ``small_print``: for the page only.
    """

    title: str
    subtitle: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    parts: tuple[Part, ...]
    first: tuple[Part, ...] = ()
    facts: tuple[str, ...] = ()
    introduction: str = ""
    small_print: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Sheet, ...]:
        """The tables of ``parts`` that the terminal may show, those in folds included."""
        return tuple(part for one in self.parts for part in _opened(one) if isinstance(part, Sheet))


def _opened(part: Part) -> Iterator[Part]:
    if not isinstance(part, Folds):
        yield part
    elif not part.is_page_only:
        for fold in part.folds:
            for inner in fold.parts:
                yield from _opened(inner)


def picture(
    title: str, meaning: str
) -> "Callable[[Callable[[_Report], Figure]], Callable[[_Report], Picture]]":
    """Decorator that makes a section of a function that draws a report.

    ``meaning`` may hold fields of the report, such as {report.headroom}.
    """

    def section_of(draw: "Callable[[_Report], Figure]") -> Callable[[_Report], Picture]:
        @wraps(draw)
        def section(report: _Report) -> Picture:
            return Picture(title, meaning.format(report=report), partial(draw, report))

        return section

    return section_of


def parts_of(report: _Report, sections: Iterable[Section[_Report]]) -> tuple[Part, ...]:
    """What ``sections`` show of ``report``."""
    made = (section(report) for section in sections)
    return tuple(part for part in made if part is not None)
