"""`convert --sweep` of networks whose outputs are no heat maps: the error is a relative one."""

from pathlib import Path

import pytest
from detector import converted_detector, write_frames
from matplotlib.figure import Figure

from ann2sdnn.calibration.thresholds.rules import NoThresholds
from ann2sdnn.calibration.thresholds.units import Unit
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.stages.sweep import Sweep
from ann2sdnn.convert.stages.sweep_plot import draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    model = converted_detector(folder / "first", has_tail=True) / "model.onnx"
    data = write_frames(folder / "data.npz", 4)
    options = ConvertOptions(NoThresholds(), threshold_bits=2, spike_exp=6, sweep=True)
    convert(model, data, folder / "sdnn", options)
    return folder / "sdnn"


def test_several_outputs_are_swept_by_their_relative_errors(folder: Path) -> None:
    result = Sweep.model_validate_json((folder / "sweep.json").read_text())
    assert result.rounding_px is None
    for rule in ("fixed", "rate-distortion"):
        points = [point for point in result.points if point.rule == rule]
        assert all(point.added_px is None for point in points)
        assert points[-1].added_error > points[0].added_error > 0
        assert points[-1].synops_per_frame < points[0].synops_per_frame
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("unit", "meaning", "beyond"),
    [
        ("px", "mean displacement of joints that thresholds add [px]", "1 beyond 30 px"),
        ("error", "relative error that thresholds add", "2 beyond 1"),
    ],
)
def test_the_plot_says_what_is_measured(
    unit: Unit, meaning: str, beyond: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    levels = dict.fromkeys(("dense", "skipping", "without", "memoryless"), 1e6)
    points = {"fixed": [(0.1, 2e6), (2.0, 1e6), (40.0, 1e5)]}
    draw(tmp_path / "plot.png", points, levels, unit)
    (axes,) = drawn[0].axes
    assert axes.get_xlabel().startswith(f"{meaning} (less than")
    assert axes.get_lines()[-1].get_label() == f"fixed ({beyond})"
