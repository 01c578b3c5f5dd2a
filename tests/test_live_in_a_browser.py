"""`live` in headless Chromium: nothing from elsewhere, no failure, and controls that work.

Needs Chromium on the PATH and playwright; skipped without them.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from labelled import quarters
from live_cases import write_classifier
from recordings import write_recordings

from ann2sdnn.eval.bench.live.live import COMPILES

sync_api = pytest.importorskip("playwright.sync_api")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
# Ctrl-C has its effect also where whoever runs the tests ignores it.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from ann2sdnn.cli.app import main
main()
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[str]"]:
    """The command, which plays a recording in the network that comes along."""
    data = write_recordings(tmp_path_factory.mktemp("played"), subjects=1, frames=30)
    with running("pretrained", data) as process:
        yield process


@contextmanager
def running(conversion: str | Path, source: Path) -> Iterator["subprocess.Popen[str]"]:
    arguments = ["live", str(conversion), "--source", str(source), "--rate", "20", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def address_of(command: "subprocess.Popen[str]") -> str:
    assert command.stdout is not None
    said = command.stdout.readline()
    match = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/[\w-]{20,}/)\n", said)
    assert match, said
    return match[1]


@pytest.fixture(scope="module")
def address(command: "subprocess.Popen[str]") -> str:
    return address_of(command)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, as in most containers.
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def until(page: Any, expression: str) -> None:
    """Wait; playwright's own way evaluates text, which the page's policy forbids."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_the_page(browser: Any, address: str, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page, asked, failed = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
    page.goto(address)
    until(page, "curve.length > 3")
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {
        urlsplit(address).netloc
    }
    assert failed == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#layers tr").count() == 19  # a heading, the input and 17 layers
    assert "of dense" in page.locator("#operations").inner_text()
    # The SDNN's skeleton or the events are on the canvas.
    assert page.evaluate("""() => {
        const canvas = document.getElementById("picture");
        const drawn = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return drawn.data.some((value) => value > 0);
    }""")
    context.close()


def test_the_slider_changes_the_operations_of_the_running_network(
    browser: Any, address: str
) -> None:
    page = browser.new_page()
    page.goto(address)
    means = {}
    for point, name in ((0, "no thresholds"), (4, "thresholds x 4")):
        page.locator("#point").fill(str(point))
        assert name in page.locator("#name").inner_text()
        until(page, f"visited[{point}].frames > 5")
        means[point] = page.evaluate(f"visited[{point}].operations / visited[{point}].frames")
    assert means[4] < means[0] / 2
    assert page.locator("tr.now td").first.inner_text() == "thresholds x 4"
    page.close()


def test_pause_step_and_restart(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    until(page, "latest !== null")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(500)
    first = page.evaluate("[latest.sequence, latest.index]")
    page.wait_for_timeout(500)
    assert page.evaluate("[latest.sequence, latest.index]") == first
    page.get_by_role("button", name="Step").click()
    until(page, f"latest.index !== {first[1]}")
    assert page.evaluate("latest.index") in (first[1] + 1, 0)
    page.get_by_role("button", name="Restart").click()
    until(page, "latest.index === 0 && latest.is_first")
    page.get_by_role("button", name="Play").click()
    until(page, "latest.index > 1")
    page.close()


def test_classes_stand_beside_each_other(browser: Any, tmp_path: Path) -> None:
    played = tmp_path / "frames.npy"
    np.save(played, quarters(1, 12)[0][0])
    with running(write_classifier(tmp_path / "sdnn"), played) as command:
        page, failed = browser.new_page(viewport={"width": 390, "height": 844}), []
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(address_of(command))
        until(page, "curve.length > 3")
        rows = page.locator("#classes tr")
        assert rows.count() == 5  # a heading, and four classes, the ANN's first one on top
        assert rows.first.inner_text().split() == ["class", "ANN", "SDNN"]
        cells = page.evaluate(
            "[...document.querySelectorAll('#classes tr')].slice(1)"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        assert {name for name, *_ in cells} == {f"class {number}" for number in range(4)}
        ann = [float(score) for _, score, _ in cells]
        assert ann == sorted(ann, reverse=True)
        assert "class as the ANN" in page.locator("#difference").inner_text()
        assert "relative error" in page.locator("#visited").inner_text()
        assert "skeleton" not in page.locator("#legend").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert failed == []
        page.close()


def test_ctrl_c_ends_it_and_the_page_says_so(
    browser: Any, address: str, command: "subprocess.Popen[str]"
) -> None:
    page = browser.new_page()
    page.goto(address)
    until(page, "latest !== null")
    command.send_signal(signal.SIGINT)
    said, complained = command.communicate(timeout=30)
    assert command.returncode == 0
    assert said.splitlines()[-1].startswith("Played ")
    assert complained in ("", f"{COMPILES}\n")
    page.get_by_text("Not connected: the command has ended.").wait_for()
    page.close()
