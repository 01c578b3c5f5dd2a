"""A section of the evaluation that is added from outside the package."""

import io
from collections.abc import Iterator

import pytest
from evaluations import make_report
from rich.console import Console

from ann2sdnn.eval.render.document import SECTIONS, print_evaluation, render_html
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.support.page.document import Picture, Sheet
from ann2sdnn.support.page.figures import new_figure


def speeds(evaluation: Evaluation) -> Sheet | None:
    """Frames per second; nothing where the ANN was not run."""
    ann = evaluation.report.ann
    if ann is None:
        return None
    speed = f"{1 / ann.seconds_per_frame:.2f}"
    return Sheet("Speed here", ("network", "frames/s"), (("ANN", speed),))


def a_picture(evaluation: Evaluation) -> Picture:
    return Picture("Nothing drawn", "An empty plot.", lambda: new_figure(2, 2)[0])


@pytest.fixture
def registered() -> Iterator[None]:
    SECTIONS.extend((speeds, a_picture))
    yield
    SECTIONS.remove(speeds)
    SECTIONS.remove(a_picture)


def printed(evaluation: Evaluation) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    print_evaluation(evaluation, console, last_line="Report: out")
    return console.export_text()


def test_a_new_section_is_in_the_tables_and_in_the_page(registered: None) -> None:
    evaluation = Evaluation(make_report(), ())
    text, page = printed(evaluation), render_html(evaluation)
    for shown in (text, page):
        assert "8.13" in shown[shown.rindex("Speed here") :]
    assert "Nothing drawn" in page
    assert "Nothing drawn" not in text
    assert "Speed here" not in printed(Evaluation(make_report(ann=None, comparison=None), ()))


def test_without_it_there_is_no_such_section() -> None:
    assert not {speeds, a_picture} & set(SECTIONS)
    assert "Speed here" not in printed(Evaluation(make_report(), ()))
