"""A section of the conversion report that is added from outside the package."""

import io
from collections.abc import Iterator

import pytest
from calibration_cases import case
from reports import report_of
from rich.console import Console

from ann2sdnn.convert.render.document import SECTIONS, render_html, report_tables
from ann2sdnn.convert.report.report import ConversionReport
from ann2sdnn.support.page.document import Sheet


def widest_layers(report: ConversionReport) -> Sheet | None:
    """The layer with most neurons; nothing for a report without frames."""
    if report.calibration_frames == 0:
        return None
    widest = max(report.layers, key=lambda layer: layer.neurons)
    return Sheet("Widest layer", ("layer", "neurons"), ((widest.name, f"{widest.neurons:,}"),))


@pytest.fixture
def registered() -> Iterator[None]:
    SECTIONS.append(widest_layers)
    yield
    SECTIONS.remove(widest_layers)


def printed(report: ConversionReport) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(report_tables(report))
    return console.export_text()


@pytest.fixture(scope="module")
def report() -> ConversionReport:
    return report_of(case(n_frames=4))


def test_a_new_section_is_in_the_tables_and_in_the_page(
    report: ConversionReport, registered: None
) -> None:
    widest = max(report.layers, key=lambda layer: layer.neurons)
    for text in (printed(report), render_html(report)):
        assert "Widest layer" in text
        assert f"{widest.neurons:,}" in text[text.rindex("Widest layer") :]
    empty = report.model_copy(update={"calibration_frames": 0})
    assert "Widest layer" not in printed(empty)


def test_without_it_there_is_no_such_section(report: ConversionReport) -> None:
    assert widest_layers not in SECTIONS
    assert "Widest layer" not in printed(report)
