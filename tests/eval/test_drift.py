"""`drift` on a recording of six frames and a network of two layers that loses half a unit each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from damage import accepted, byte_damages, json_damages
from onnx_models import ModelBuilder
from recordings import write_recordings
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.data.sources.frames import CroppedFrames
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.eval.drift.drift import drift
from ann2sdnn.eval.drift.long_sequence import (
    choose_sequence,
    forwards_and_backwards,
    long_sequence,
)
from ann2sdnn.eval.drift.options import DriftOptions
from ann2sdnn.eval.drift.output import drift_sheet, read_drift, windows, write_drift
from ann2sdnn.eval.drift.plot import drift_figure, frame_bins
from ann2sdnn.eval.drift.report import (
    DriftCurve,
    DriftReport,
    SequenceReport,
    conclusions,
)
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.output import write_evaluation
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.sdnn.spec.grid import UNITS, Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import Ann2SdnnError, DataError, OutputError, UsageError
from ann2sdnn.support.files.writing import sha256

STEP = Grid(6).message_step
RECORDED = 6
CROP = (8, 12)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), frames=RECORDED)


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """34/64 of the picture, 13 times, then each copied: the first layer rounds, the second not.

    A count is one message unit, so that what is lost shows.
    """
    folder = tmp_path_factory.mktemp("conversion")
    first = np.full((13, 1, 1, 1), 34 / UNITS, np.float32)
    second = np.eye(13, dtype=np.float32)[:, :, None, None]
    model = ModelBuilder(("N", 1, "H", "W"))
    model.add("Conv", first).add("Relu").add("Conv", second).add("Relu")
    model.metadata["ann2sdnn.input_scale"] = "1.0"
    file = model.save(folder / "model.onnx")
    shape = (1, 260, 344)
    layers = []
    for name, weight in (("first", first), ("second", second)):
        layers.append(
            SpecLayer(
                name=name,
                geometry=Convolution(),
                weight=(weight * UNITS).astype(np.int16),
                bias=None,
                relu=True,
                pool=None,
                threshold=0,
                scale=np.full(13, STEP),
                input_shape=shape,
            )
        )
        shape = layers[-1].output_shape
    spec = Spec((1, 260, 344), 1.0, 1, Grid(6), tuple(layers), sha256(file))
    write_spec(folder / "sdnn.h5", spec)
    return folder


def test_a_crop_of_a_network_exported_for_one_size(conversion: Path, data: Path) -> None:
    """The size in the file is that of whole frames, which `simulate --crop` does not ask for."""
    fixed = conversion.parent / "fixed"
    shutil.copytree(conversion, fixed, dirs_exist_ok=True)
    model = onnx.load(str(fixed / "model.onnx"))
    for axis, size in enumerate((260, 344), 2):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    onnx.save(model, str(fixed / "model.onnx"))
    spec = read_spec(fixed / "sdnn.h5")
    write_spec(
        fixed / "sdnn.h5", replace(spec, source_sha256=sha256(fixed / "model.onnx")), force=True
    )
    options = DriftOptions(4, CROP, resets=())
    found, expected = (drift(one, data, options) for one in (fixed, conversion))
    assert found.curves == expected.curves


def measured(conversion: Path, data: Path, frames: int, *resets: int) -> DriftReport:
    return drift(conversion, data, DriftOptions(frames=frames, crop=CROP, resets=resets))


def test_the_stock_neuron_loses_half_a_unit_a_message(conversion: Path, data: Path) -> None:
    """Every pixel changes in every frame, so after 60 frames some 30 units of about 75 are gone."""
    report = measured(conversion, data, 60)
    corrected, stock = report.curve("corrected"), report.curve("stock")
    assert corrected.heatmap_relative_error[0] == stock.heatmap_relative_error[0]
    assert max(e for e in corrected.heatmap_relative_error if e is not None) < 0.02
    errors = np.array(stock.heatmap_relative_error, np.float64)
    n_messages = np.cumsum(stock.events) / (CROP[0] * CROP[1])
    assert np.all(np.diff(errors[::10]) > 0)
    assert 0.2 < errors[-1] < 0.6
    assert n_messages[-1] > 60
    assert any("stays above twice" in sentence for sentence in conclusions(report))


def a_report(displacement_px: float | None) -> DriftReport:
    moved = {"displacement_px": [displacement_px] * 2}
    curves = (curve(neuron, [0.1, 0.2], 100) for neuron in ("corrected", "stock"))
    return DriftReport(
        sequence=SequenceReport(
            recording="a", channel=None, frames=2, recorded_frames=2, height=8, width=9
        ),
        curves=tuple(one.model_copy(update=moved) for one in curves),
    )


def test_joints_are_spoken_of_only_where_there_are_some() -> None:
    poses, others = a_report(0.5), a_report(None)
    sheets = [drift_sheet(report) for report in (poses, others)]
    assert ["heat maps" in sheet.title for sheet in sheets] == [True, False]
    assert ["moved\npx" in sheet.headings for sheet in sheets] == [True, False]
    assert [len(row) - len(sheet.headings) for sheet in sheets for row in sheet.rows] == [0] * 4
    labels = [[a.get_ylabel() for a in drift_figure(report).axes] for report in (poses, others)]
    assert labels[0] == ["heat maps: |SDNN - ANN| / |ANN|", "joints moved [px]"]
    assert labels[1] == ["outputs: |SDNN - ANN| / |ANN|"]


def test_a_reset_keeps_the_error_where_it_was_so_many_frames_after_the_start(
    conversion: Path, data: Path
) -> None:
    report = measured(conversion, data, 25, 5)
    free, reset = report.curve("stock"), report.curve("stock", 5)
    assert reset.heatmap_relative_error[:5] == free.heatmap_relative_error[:5]
    assert reset.events[:5] == free.events[:5]
    # Recorded frames 0 to 5 forwards and backwards: frame 10 is frame 0 again, after a reset.
    assert reset.heatmap_relative_error[10:15] == free.heatmap_relative_error[:5]
    # So is frame 20, in another chunk than the frames before it.
    assert reset.heatmap_relative_error[20:25] == free.heatmap_relative_error[:5]
    assert free.heatmap_relative_error[10] != free.heatmap_relative_error[0]


def test_resets_fall_where_they_should_whatever_the_chunks(conversion: Path, data: Path) -> None:
    """Reset before every frame, nothing is remembered and nothing is lost: the first frame's error
    is an ordinary one, and a frame seen again has the same error and the same messages again.
    """
    curve = measured(conversion, data, 40, 1).curve("stock", 1)
    assert curve.heatmap_relative_error[:10] == curve.heatmap_relative_error[30:40]
    assert curve.events[:10] == curve.events[30:40]


def test_frames_go_forwards_and_backwards_without_repeating_one() -> None:
    np.testing.assert_array_equal(forwards_and_backwards(3, 8), [0, 1, 2, 1, 0, 1, 2, 1])
    np.testing.assert_array_equal(forwards_and_backwards(9, 4), [0, 1, 2, 3])
    np.testing.assert_array_equal(forwards_and_backwards(1, 3), [0, 0, 0])


def test_a_long_sequence_shows_the_middle_of_the_recorded_frames(data: Path) -> None:
    recordings = open_recordings(data)
    sequence = choose_sequence(open_frames(data), None)
    shown = torch.cat(list(long_sequence(CroppedFrames(sequence, 20, 30), 40))).numpy()
    whole = recordings[0].frames(range(RECORDED), (2,))
    expected = whole[:, :, 120:140, 157:187][forwards_and_backwards(RECORDED, 40)]
    assert expected.any()
    np.testing.assert_array_equal(shown, expected)


def test_the_command_writes_and_prints(conversion: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--frames", "24", "--crop", "8x12", "--resets", "4,8", "--out", str(out)]
    command = ["drift", str(conversion), "--data", str(data), *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    report = DriftReport.model_validate_json((out / "drift.json").read_text(encoding="utf-8"))
    assert [c.name for c in report.curves] == [
        "corrected",
        "stock",
        "reset every 4",
        "reset every 8",
    ]
    assert all(len(curve.synops) == 24 for curve in report.curves)
    assert json.loads((out / "drift.json").read_text(encoding="utf-8"))["schema"] == 1
    assert (out / "drift.png").read_bytes().startswith(b"\x89PNG")
    table = [line for line in result.output.splitlines() if str(out) not in line]
    assert max(map(len, table)) <= 80
    assert "The 6 recorded frames are shown forwards and backwards" in " ".join(
        result.output.split()
    )
    with pytest.raises(OutputError, match=r"drift\.json exists already"):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_default_resets_that_never_come_have_no_row(
    conversion: Path, data: Path, tmp_path: Path
) -> None:
    command = ["drift", str(conversion), "--data", str(data), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "--frames", "9", "--crop", "8x12"])
    assert result.exit_code == 0
    text = (tmp_path / "out" / "drift.json").read_text(encoding="utf-8")
    curves = DriftReport.model_validate_json(text).curves
    assert [curve.name for curve in curves] == ["corrected", "stock", "reset every 8"]


def test_the_evaluations_page_shows_the_drift_that_lies_beside_it(
    conversion: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = EvaluateOptions(max_frames=2, source=Dhp19Options((2,)), split="all", out=out)
    evaluation = evaluate(conversion, data, options)
    assert "Drift of" not in (out / "report.html").read_text(encoding="utf-8")
    write_drift(measured(conversion, data, 4), out)
    write_evaluation(evaluation, out)
    assert "Drift of" in (out / "report.html").read_text(encoding="utf-8")
    (out / "drift.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"drift\.json is not what `ann2sdnn drift` writes"):
        read_drift(out)


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        (["--frames", "0"], UsageError, "--frames 0; expected a whole number from 1"),
        (["--resets", "8,x"], UsageError, "--resets 8,x; expected numbers with commas, or none"),
        (
            ["--resets", "8,0"],
            UsageError,
            "--resets 8,0; expected different whole numbers of frames",
        ),
        (["--crop", "300x8"], UsageError, "--crop 300x8 is larger than the frames of 260x344"),
        (["--recording", "S9"], DataError, "there is no recording S9; choose one of S1_session1"),
        (["--channel", "4"], UsageError, "--channel 4; expected a whole number from 0 to 3"),
        (["--resets", "8,8"], UsageError, "--resets 8,8; expected different whole numbers"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    conversion: Path,
    data: Path,
    tmp_path: Path,
    options: list[str],
    error: type[Ann2SdnnError],
    complaint: str,
) -> None:
    out = tmp_path / "out"
    command = ["drift", str(conversion), "--data", str(data), "--out", str(out), *options]
    with pytest.raises(error, match=complaint):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert not out.exists()


def curve(name: str, errors: list[float | None], synops: int, **more: object) -> DriftCurve:
    n_frames = len(errors)
    values: dict[str, object] = {
        "name": name,
        "neuron": "corrected" if name == "corrected" else "stock",
        "reset_every": None,
        "heatmap_relative_error": errors,
        "displacement_px": [None] * n_frames,
        "events": [10] * n_frames,
        "synops": [synops] * n_frames,
        "overflows": [0] * n_frames,
    }
    return DriftCurve.model_validate({**values, **more})


def test_what_the_curves_say() -> None:
    """Stock is above twice 0.1 in frame 1 by bad luck, and for good from frame 3 on."""
    report = DriftReport(
        sequence=SequenceReport(
            recording="S1", channel=2, frames=5, recorded_frames=5, height=8, width=8
        ),
        curves=(
            curve("corrected", [0.1, 0.1, 0.1, 0.1, None], 100),
            curve("stock", [0.1, 0.3, 0.2, 0.3, 0.9], 150, overflows=[0, 0, 0, 2, 1]),
            curve("reset every 2", [0.1, 0.2, 0.1, 0.2, 0.1], 120, reset_every=2),
        ),
    )
    stock, overflow, reset = conclusions(report)
    assert stock.startswith("From frame 3 on the stock neuron's error stays above twice")
    assert overflow.startswith("From frame 3 on it drives states out of their 24 bits")
    assert reset == (
        "With a reset every 2 frames its mean error is 0.14 (0.10 corrected), at 1.20 times the"
        " corrected neuron's operations."
    )
    steady = curve("stock", [0.1, 0.3, 0.3, 0.3, 0.1], 150)
    lucky = report.model_copy(update={"curves": (report.curves[0], steady)})
    assert "stays above" in next(conclusions(lucky))
    known = curve("corrected", [0.1] * 5, 100)
    lucky = report.model_copy(update={"curves": (known, steady)})
    assert tuple(conclusions(lucky)) == ("The stock neuron holds out over these 5 frames.",)
    corrected, stock_row, reset_row = drift_sheet(report).rows
    # Frame 0, frames 1 to 4, messages and operations.
    assert corrected == ("corrected", "0.10", "0.10", "10", "100")
    assert stock_row[:3] == ("stock", "0.10", "0.43")
    assert reset_row[4] == "120"


def test_windows_and_bins_cover_every_frame_once() -> None:
    assert windows(1) == ((0, 1),)
    assert windows(2000) == ((0, 1), (1, 10), (10, 100), (100, 1000), (1000, 2000))
    for n_frames in (1, 2, 7, 2000):
        edges = frame_bins(n_frames)
        assert edges[0] == 0
        assert edges[-1] == n_frames
        assert np.all(np.diff(edges) > 0)


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    report = DriftReport(
        sequence=SequenceReport(
            recording="S1", channel=2, frames=2, recorded_frames=2, height=8, width=8
        ),
        curves=(curve("corrected", [0.1, 0.2], 100), curve("stock", [0.1, None], 150)),
    )
    write_drift(report, tmp_path)
    path = tmp_path / "drift.json"
    whole = path.read_text()

    def cut(path: Path) -> None:
        path.write_text(whole.replace('"synops":[100,100]', '"synops":[100]'))

    damages = [*byte_damages(path), *json_damages(path), ("a list too short", cut)]
    assert accepted(path, lambda one: read_drift(one.parent), damages) == set()


def test_a_damaged_drift_is_found_before_the_evaluation(
    conversion: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "drift.json").mkdir()
    with pytest.raises(DataError, match=r"drift\.json is not what"):
        evaluate(conversion, data, EvaluateOptions(out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["drift.json"]
