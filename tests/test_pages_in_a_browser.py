"""Pages in headless Chromium: nothing loaded from elsewhere, no failure, as wide as a phone.

Needs Chromium on the PATH and playwright; skipped without them.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import make_report
from numpy.typing import NDArray

from ann2sdnn.ann.weights.pretrained import SHIPPED
from ann2sdnn.convert.folder import REPORT_FILE
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.eval.render.document import render_html
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.timeline import TimedSequence, Timeline
from ann2sdnn.eval.tasks.pose.timed import ERROR, MOVED

sync_api = pytest.importorskip("playwright.sync_api")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, as in most containers.
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    values: NDArray[np.float64] = np.array([0.2, 0.4, 0.3])
    timed = TimedSequence("S1", 3, {"ann": values * 9, "sdnn": values * 8}, {"sdnn": values})
    timeline = Timeline((timed,), ERROR, MOVED)
    conversion = read_report(SHIPPED / REPORT_FILE)
    evaluation = Evaluation(make_report(), (), timeline=timeline, conversion=conversion)
    path.write_text(render_html(evaluation), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_an_evaluations_page(browser: Any, page_file: Path, width: int, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True
    )
    page, asked, failed = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    page.goto(page_file.as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert failed == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
    assert page.locator("img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    context.close()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("operations-per-layer.csv", "plot,series,name,x,y\n"),
        ("error-over-time.csv", "displacement [px],SDNN,,1.0,0.4\n"),
    ],
)
def test_a_plots_numbers_are_saved(
    browser: Any, page_file: Path, tmp_path: Path, name: str, line: str
) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    with page.expect_download() as download:
        page.locator(f'a[download="{name}"]').click()
    download.value.save_as(tmp_path / "numbers.csv")
    numbers = (tmp_path / "numbers.csv").read_text()
    assert numbers.startswith("plot,series,name,x,y\n")
    assert line in numbers


def test_the_conversion_is_folded_away_and_opens_by_a_click_and_in_print(
    browser: Any, page_file: Path
) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    folds, tables = page.locator("details.fold"), page.locator("details.fold table")
    assert folds.count() >= 3

    def shown() -> int:
        return sum(table.is_visible() for table in tables.all())

    assert shown() == 0
    page.get_by_text("Range: bits and scales").click()
    assert 0 < shown() < tables.count()
    page.emulate_media(media="print")
    assert shown() == tables.count()
    page.close()


def brightness(colour: str) -> int:
    """Of a colour as rgb(r, g, b)."""
    return sum(int(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3])
