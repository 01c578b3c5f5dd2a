"""What notebooks show of the API's objects, and the plots as figures."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from branched_networks import branched_graph
from branched_specs import small_branched_spec
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import MeanDelta
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.render import charts
from ann2sdnn.notebooks import comparison_html, layer_sheet, sdnn_html
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.figures import to_png

ALONE = {"meta", "img", "br", "hr", "link"}


class Seen(HTMLParser):
    """Cells of all tables; ValueError for a tag that is not closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}
        self.tags.add(tag)
        if tag not in ALONE:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


class Net(nn.Module):
    """Two layers, a pool and a sum of branches."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        y: torch.Tensor = nn.functional.max_pool2d(torch.relu(x + self.second(x)), 2)
        return y


def moving(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (6, 2, 16, 20), dtype=np.uint8)


@pytest.fixture(scope="module")
def sdnn() -> a2s.Sdnn:
    torch.manual_seed(0)
    network = a2s.from_torch(Net(), torch.zeros(1, 2, 16, 20), input_scale=1 / 255)
    return a2s.to_sdnn(network, [moving(0), moving(1)], budget_error=0.2)


def test_a_network_is_shown_as_its_layers() -> None:
    network = a2s.from_torch(Net(), torch.zeros(1, 2, 16, 20))
    html = network._repr_html_()
    seen = Seen(html)
    for cell in ("conv 3x3, stride 2x2", "6x8x10", "ReLU", "ReLU, max pool 2x2", "6x4x5"):
        assert cell in seen.cells
    assert "conv 3x3, 3 groups" in " ".join(seen.cells)
    assert "2 layers, input 2x16x20, output 6x4x5, 222 weights." in html
    assert len(html) < 10_000


def test_a_network_that_cannot_be_converted_is_shown_with_the_reason() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Conv2d(2, 2, 3))
    html = a2s.from_torch(module, torch.zeros(1, 1, 8, 8))._repr_html_()
    assert "Tanh" in html
    assert Seen(html).cells == []


def test_names_are_escaped(sdnn: a2s.Sdnn) -> None:
    spec = small_branched_spec()
    layers = tuple(
        replace(layer, name="<script>&") if layer.name == "values" else layer
        for layer in spec.layers
    )
    named = replace(spec, layers=layers, output_names=("sum", "<script>&"))
    seen = Seen(sdnn_html(named, sdnn.report))
    assert "<script>&" in seen.cells
    assert "script" not in seen.tags
    seen = Seen(comparison_html([Sheet("<b>", ("<i>",), (("<u>",),), notes=("<s>",))]))
    assert seen.tags == {"div", "style", "p", "strong", "table", "tr", "th", "td"}


def test_the_tables_of_sdnn_report_and_comparison_are_shown(sdnn: a2s.Sdnn) -> None:
    shown = Seen(sdnn._repr_html_())
    assert {"threshold", "memory", "stateful", "Memoryless SDNN"} <= set(shown.cells)
    assert {"ANN, skipping zeros", "Memoryless SDNN"} <= set(Seen(sdnn.report._repr_html_()).cells)
    comparison = sdnn.compare(moving(2))
    cells = Seen(comparison._repr_html_()).cells
    for row in comparison.rows:
        assert f"{row.operations_per_frame:,.0f}" in cells
    assert {"ann", "ann, zeros skipped", "memoryless", "sdnn"} <= set(cells)


def test_branches_and_many_layers_have_tables_too() -> None:
    sheet = layer_sheet(branched_graph())
    assert sheet.headings[:3] == ("layer", "operation", "reads")
    reads = {row[0]: row[2] for row in sheet.rows}
    assert reads["add1"] == "block1, stem"
    many = comparison_html([Sheet("Long", ("",), (("x",),) * 40)])
    assert "<summary>Long (40 rows)</summary>" in many


def bars(figure: Figure) -> list[float]:
    return [float(bar.get_width()) for bar in figure.axes[0].patches]  # type: ignore[attr-defined]


def test_plots_are_the_figures_of_the_pages(sdnn: a2s.Sdnn) -> None:
    plots = sdnn.plot
    assert bars(plots.operations())[0] == sdnn.report.work.all_macs_per_frame  # type: ignore[union-attr]
    assert to_png(plots.bits()) == to_png(charts.bits_in_use(sdnn.report).draw())
    assert plots.curve().axes[0].get_ylabel() == "operations per frame"
    for draw in (plots.errors, plots.signal_to_noise, plots.layer_operations, plots.layer_messages):
        assert isinstance(draw(), Figure)
    comparison = sdnn.compare(moving(2))
    wanted = [row.operations_per_frame for row in comparison.rows]
    assert bars(comparison.plot.operations()) == pytest.approx(wanted)


def test_a_curve_without_a_search_is_refused() -> None:
    network = a2s.from_torch(nn.Conv2d(2, 3, 3), torch.zeros(1, 2, 16, 20))
    options = ConvertOptions(thresholds=MeanDelta(0.5))
    with pytest.raises(UsageError, match="no thresholds were searched"):
        a2s.to_sdnn(network, moving(0), options=options).plot.curve()
