"""Tables of at most 80 columns, numbers as text, and the page that shows the same document."""

import io
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from ann2sdnn.support.page.document import Document, Gallery, Picture, Sheet, parts_of
from ann2sdnn.support.page.figures import new_figure
from ann2sdnn.support.page.html import render
from ann2sdnn.support.terminal import compact, counted, document_text, narrow, number, percent

SHEET = Sheet(
    "Layers",
    ("layer", "messages\n/frame", "op"),
    (("conv1", "12", "<conv>"), ("[bold]", "-", "dense")),
    words=("op",),
    notes=("A note.",),
    terms=(("op", "The operation."),),
)


def lines(*sheets: Sheet, details: bool = True) -> list[str]:
    document = Document("Title", "Subtitle", ("A result.",), ("A warning.",), sheets)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(document_text(document, details=details))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_sheet_in_the_terminal() -> None:
    assert lines(SHEET) == [
        "A result.",
        "",
        "Layers",
        "        messages",
        "layer     /frame  op",
        "────────────────────────",
        "conv1         12  <conv>",
        "[bold]         -  dense",
        "A note.",
        "",
        "Warnings",
        "- A warning.",
    ]


@pytest.mark.parametrize("width", [60, 61, 62, 63, 64, 200])
def test_a_sheet_never_leaves_80_columns(width: int) -> None:
    """With 15 digits beside it a name has 61 columns with gaps of 2, and 63 with gaps of 1."""
    name = "first" + "x" * (width - 9) + "last"
    shown = lines(Sheet("Wide", ("layer", "a", "b"), ((name, "1" * 7, "2" * 8),)))
    row = next(line for line in shown if "1111111" in line)
    assert max(map(len, shown)) == {60: 79, 61: 80, 62: 79}.get(width, 80)
    assert row.split()[0].endswith("last")
    assert ("first" in row) == (width <= 63)


def test_details_are_shown_on_demand() -> None:
    detail = Sheet("Details", ("layer",), (("conv1",),), on_demand=True)
    assert "Details" in lines(detail)
    assert "Details" not in lines(detail, details=False)


class _Page(HTMLParser):
    """Whether elements are closed, and the cells of tables."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["td"]:
            self.cells.append(data)


def test_the_page_shows_every_part() -> None:
    picture = Picture("Curve", "What it means.", lambda: new_figure(2, 2)[0])
    gallery = Gallery("Curves", "What they mean.", (picture, picture))
    text = render(Document("Title", "Subtitle", ("A result.",), (), (SHEET, picture, gallery)))
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.cells == ["conv1", "12", "<conv>", "[bold]", "-", "dense"]
    assert page.images == 3
    for said in ("A result.", "The operation.", "What it means.", "What they mean."):
        assert said in text
    assert text.index("A note.") < text.index("<details>") < text.index("The operation.")
    first = Document("T", "S", ("A result.",), (), (), first=(picture, SHEET), facts=("A fact.",))
    text = render(first)
    order = [text.index(part) for part in ("A result.", "A note.", "<figure>", "A fact.")]
    assert order == sorted(order)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(document_text(first))
    printed = console.export_text()
    order = [printed.index(part) for part in ("A result.", "conv1", "A fact.")]
    assert order == sorted(order)
    without_terms = replace(SHEET, terms=())
    assert "A note." in render(Document("Title", "Subtitle", (), (), (without_terms,)))


def test_sections_without_a_part_are_left_out() -> None:
    sections = [lambda report: None, lambda report: Sheet(report, (), ())]
    assert [part.title for part in parts_of("R", sections)] == ["R"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0"),
        (7, "7"),
        (2.5, "2.50"),
        (24, "24"),
        (24.06, "24.1"),
        (999.4, "999"),
        (999.6, "1.00 k"),
        (12_345, "12.3 k"),
        (546e6, "546 M"),
        (999.96e6, "1.00 G"),
        (2.81e9, "2.81 G"),
    ],
)
def test_compact_numbers(count: float | None, text: str) -> None:
    assert compact(count) == text
    assert narrow(count) == text.replace(" ", "")


def test_other_numbers() -> None:
    assert [percent(f) for f in (None, 0.0, 0.0123, 0.0996, 1.0)] == [
        "-", "0%", "1.2%", "10%", "100%",
    ]  # fmt: skip
    assert (number(None, ".2f"), number(1.0, ".2f"), number(2.5e6, ".1f", 1e6)) == (
        "-", "1.00", "2.5",
    )  # fmt: skip
    assert (counted(1, "frame"), counted(2000, "frame")) == ("1 frame", "2,000 frames")
