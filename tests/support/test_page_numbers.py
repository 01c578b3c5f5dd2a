"""The numbers of tables and plots that a page carries, as CSV and JSON."""

import csv
import io
import json
from typing import Any
from urllib.parse import unquote

import numpy as np

from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.figures import SDNN, layer_lines, new_figure
from ann2sdnn.support.page.numbers import (
    Download,
    Point,
    downloads_of_plot,
    downloads_of_sheet,
    points_of,
)


def rows(download: Download) -> list[list[str]]:
    kind, _, content = download.uri.partition(",")
    assert kind == "data:text/csv;charset=utf-8"
    return list(csv.reader(io.StringIO(unquote(content))))


def test_a_table_is_downloaded_as_it_is_shown() -> None:
    sheet = Sheet(
        "Energy, by layer", ("layer", "opera-\ntions", "of\nall"), (("a, b", "2 M", "5%"),)
    )
    (file,) = downloads_of_sheet(sheet)
    assert (file.label, file.file) == ("CSV", "energy-by-layer.csv")
    assert rows(file) == [["layer", "operations", "of all"], ["a, b", "2 M", "5%"]]


def test_lines_have_the_names_of_their_layers_and_no_points_that_are_not_drawn() -> None:
    figure = layer_lines(["conv1", "conv2"], "messages", [(SDNN, [5.0, None])])
    assert list(points_of(figure)) == [Point("messages", "SDNN", "conv1", 0.0, 5.0)]


def test_bars_have_their_heights_and_lying_bars_their_lengths() -> None:
    figure, axes = new_figure(2, 2)
    axes.bar([0, 1], [3.0, 4.0], label="ANN")
    axes.set_xticks([0, 1], ["head", "hand"])
    axes.set_ylabel("error")
    assert [(one.series, one.name, one.y) for one in points_of(figure)] == [
        ("ANN", "head", 3.0),
        ("ANN", "hand", 4.0),
    ]
    figure, axes = new_figure(2, 2)
    axes.barh(np.arange(2), [7.0, 8.0])
    axes.set_yticks([0, 1], ["dense", "SDNN"])
    assert [(one.name, one.y) for one in points_of(figure)] == [("dense", 7.0), ("SDNN", 8.0)]


def test_a_plot_is_downloaded_as_csv_and_json_alike() -> None:
    figure = layer_lines(["a", "b"], "operations", [(SDNN, [1.5, 2e9])])
    table, listed = downloads_of_plot("Operations", figure)
    assert [one.label for one in (table, listed)] == ["CSV", "JSON"]
    found: list[dict[str, Any]] = json.loads(unquote(listed.uri.partition(",")[2]))
    assert [one["y"] for one in found] == [1.5, 2e9]
    header, *lines = rows(table)
    assert [dict(zip(header, line, strict=True))["y"] for line in lines] == ["1.5", "2000000000.0"]


def test_lines_that_only_help_the_eye_are_left_out() -> None:
    figure, axes = new_figure(2, 2)
    axes.axvline(3.0)
    assert downloads_of_plot("Nothing", figure) == ()
