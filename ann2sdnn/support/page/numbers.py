"""The numbers behind tables and plots, as CSV and JSON files that a page carries with it."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from ann2sdnn.support.page.document import Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HELPER = re.compile(r"_child\d+")  # what matplotlib calls a line or bars without a label


@dataclass(frozen=True)
class Point:
    """A point of a plot: ``series`` as in the legend, ``name`` where the axis has names."""

    plot: str
    series: str
    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Download:
    """A file inside a page: what its link says, its name, and its content as a data URI."""

    label: str
    file: str
    uri: str


def downloads_of_sheet(sheet: Sheet) -> tuple[Download, ...]:
    """The table as CSV, with the text of its cells."""
    headings = [" ".join(heading.replace("-\n", "").split()) for heading in sheet.headings]
    text = _csv([headings, *sheet.rows])
    return (_download("CSV", sheet.title, "csv", text),)


def downloads_of_plot(title: str, figure: "Figure") -> tuple[Download, ...]:
    """The lines and bars of ``figure`` as CSV and JSON; nothing for a plot without any."""
    points = list(points_of(figure))
    if not points:
        return ()
    rows = [tuple(asdict(point).values()) for point in points]
    table = _csv([tuple(asdict(points[0])), *rows])
    listed = json.dumps([asdict(point) for point in points], ensure_ascii=False)
    return (
        _download("CSV", title, "csv", table),
        _download("JSON", title, "json", listed),
    )


def points_of(figure: "Figure") -> Iterator[Point]:
    """Every point of the lines and bars of ``figure``; what is not drawn (NaN) is left out.

    Lines without a label only help the eye. ``plot`` is the title or the label of the axes.
    """
    for axes in figure.axes:
        plot = axes.get_title() or axes.get_ylabel() or axes.get_xlabel()
        for series, pairs, names in (*_lines(axes), *_bars(axes)):
            for x, y in pairs:
                if math.isfinite(x) and math.isfinite(y):
                    yield Point(plot, series, names.get(round(x, 3), ""), x, y)


_Series = tuple[str, list[tuple[float, float]], dict[float, str]]


def _lines(axes: "Axes") -> Iterator[_Series]:
    names = _names(axes.get_xticks(), axes.get_xticklabels())
    for line in axes.get_lines():
        label = str(line.get_label())
        if not _HELPER.fullmatch(label):
            pairs = _pairs(cast(Any, line.get_xdata()), cast(Any, line.get_ydata()))
            yield label.strip("_"), pairs, names


def _bars(axes: "Axes") -> Iterator[_Series]:
    across = _names(axes.get_xticks(), axes.get_xticklabels())
    down = _names(axes.get_yticks(), axes.get_yticklabels())
    for container in axes.containers:
        label, patches = str(container.get_label()), getattr(container, "patches", None)
        if not patches:
            continue
        label = "" if label.startswith("_") else label
        if getattr(container, "orientation", "vertical") == "horizontal":
            places = (bar.get_y() + bar.get_height() / 2 for bar in patches)
            yield label, _pairs(places, (bar.get_width() for bar in patches)), down
        else:
            places = (bar.get_x() + bar.get_width() / 2 for bar in patches)
            yield label, _pairs(places, (bar.get_height() for bar in patches)), across


def _names(places: Iterable[Any], labels: Sequence[Any]) -> dict[float, str]:
    """The words at the ticks of an axis; none where the ticks show numbers."""
    named = {round(float(at), 3): text.get_text() for at, text in zip(places, labels, strict=False)}
    return {} if all(_is_number(text) for text in named.values()) else named


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-") or "0")
    except ValueError:
        return "$" in text  # powers of ten
    return True


def _pairs(at: Iterable[Any], heights: Iterable[Any]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(at, heights, strict=True)]


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _download(label: str, title: str, suffix: str, text: str) -> Download:
    kind = {"csv": "text/csv", "json": "application/json"}[suffix]
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return Download(label, f"{name}.{suffix}", f"data:{kind};charset=utf-8,{quote(text)}")
