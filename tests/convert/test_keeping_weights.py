"""`convert` on networks that are on the grid already: whoever made them, they are kept."""

import io
from pathlib import Path

import numpy as np
import pytest
from onnx_models import ModelBuilder
from recordings import write_recordings
from rich.console import Console

from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.convert.render.document import report_tables
from ann2sdnn.sdnn.spec.file import read_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), frames=3)


def _network(path: Path, *, units: int = 8) -> Path:
    """Two layers with weights in 1/32; the output is divided by 4 and by 2, channel by channel."""
    rng = np.random.default_rng(0)
    builder = ModelBuilder(("N", 1, "H", "W"))
    first = rng.integers(-8, 24, (4, 1, 3, 3)) / 32
    second = rng.integers(-16, 17, (4, 13, 2, 2)) / 32 / np.tile([4.0, 2.0], 7)[:13, None, None]
    builder.add("Conv", first.astype(np.float32), pads=(1, 1, 1, 1))
    builder.add("Relu").add("MaxPool", kernel_shape=(2, 2), strides=(2, 2))
    builder.add("ConvTranspose", second.astype(np.float32), strides=(2, 2)).add("Relu")
    builder.metadata["ann2sdnn.input_scale"] = str(units * 2.0**-12)
    return builder.save(path)


def test_nothing_is_rounded_but_messages(data: Path, tmp_path: Path) -> None:
    model = _network(tmp_path / "model.onnx")
    report = convert(model, data, tmp_path / "sdnn", ConvertOptions())
    assert report.plan.rounding == "none, the weights are on the grid already"
    assert report.input_gain == 8
    assert not any("on the grid" in one or "headroom" in one for one in report.warnings)
    assert all(layer.foreseen_weight_error == 0 for layer in report.layers)
    spec = read_spec(tmp_path / "sdnn" / "sdnn.h5")
    rng = np.random.default_rng(0)
    first = rng.integers(-8, 24, (4, 1, 3, 3))
    np.testing.assert_array_equal(spec.layers[0].weight // 2, first)
    assert report.fidelity.heatmap_relative_error is not None
    assert 0 < report.fidelity.heatmap_relative_error < 0.01
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(report_tables(report))
    assert "on the grid already" in " ".join(console.export_text().split())


def test_relays_that_were_asked_for_are_planned(data: Path, tmp_path: Path) -> None:
    model = _network(tmp_path / "model.onnx")
    options = ConvertOptions(quantise=QuantiseOptions(relays=1))
    report = convert(model, data, tmp_path / "sdnn", options)
    assert len(report.plan.relays) == 1
    assert any("relays or free shifts were asked for" in one for one in report.warnings)


def test_what_leaves_the_range_is_planned_anew(data: Path, tmp_path: Path) -> None:
    model = _network(tmp_path / "model.onnx", units=128)
    report = convert(model, data, tmp_path / "sdnn", ConvertOptions())
    assert report.plan.rounding == "gptq"
    assert any("of the range, so they were planned" in one for one in report.warnings)
    assert all(layer.state_max < layer.state_limit for layer in report.layers)
