"""`convert` end to end: what stands in its folder, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from onnx_models import ModelBuilder
from recordings import write_network, write_recordings
from typer.testing import CliRunner

from ann2sdnn.calibration.learning.options import DistilOptions
from ann2sdnn.calibration.thresholds.rules import Fixed, NoThresholds, Percentile
from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.convert.report.lowering import LoweringReport
from ann2sdnn.convert.report.report import ConversionReport, read_report
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.support.errors import (
    Ann2SdnnError,
    ConversionError,
    ModelError,
    OutputError,
    UsageError,
)
from ann2sdnn.support.files.writing import sha256


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def converted(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "sdnn"
    convert(model, data, out, ConvertOptions())
    return out


def test_the_folder_is_self_contained(converted: Path, model: Path) -> None:
    names = [".ann2sdnn", "model.onnx", "network.net", "report.json", "sdnn.h5"]
    assert sorted(p.name for p in converted.iterdir()) == names
    assert (converted / "model.onnx").read_bytes() == model.read_bytes()
    spec = read_spec(converted / "sdnn.h5")
    assert spec.source_sha256 == sha256(model)
    assert spec.input_shape == (1, 260, 344)
    assert spec.input_scale == pytest.approx(1 / 255)


def test_network_net_is_what_export_writes_and_its_ranges_are_reported(
    converted: Path, tmp_path: Path
) -> None:
    command = ["export", str(converted), "--out", str(tmp_path / "again.net")]
    exported = CliRunner().invoke(app, command, catch_exceptions=False)
    assert exported.exit_code == 0
    with h5py.File(converted / "network.net") as ours, h5py.File(tmp_path / "again.net") as again:
        assert sorted(ours["layer"]) == sorted(again["layer"]) == ["0", "1", "2", "3", "4"]
        for number in ("1", "2", "3", "4"):
            weight = ours[f"layer/{number}/weight"][()]
            assert np.array_equal(weight, again[f"layer/{number}/weight"][()])
    lowering = read_report(converted / "report.json").lowering
    assert isinstance(lowering, LoweringReport)
    assert lowering.stock_legal
    assert lowering.ranges is not None
    assert (lowering.ranges.frames, lowering.ranges.runs) == (10, 2)
    layers = lowering.ranges.layers
    assert [layer.role for layer in layers] == ["linear", "max", "max", "linear"]
    assert layers[1].origin == layers[0].name
    for layer in layers:
        assert layer.state_headroom_bits is not None
        assert layer.message_headroom_bits is not None
        assert layer.state_headroom_bits > 0.2
        assert layer.message_headroom_bits > 0.2
    # The layer's own table says the same, of the float network on the same frames.
    (conv, _) = read_report(converted / "report.json").layers
    assert layers[0].state_headroom_bits == pytest.approx(conv.state_headroom_bits, abs=0.05)
    assert "sum of a step" in exported.output


def test_export_refuses_what_overflowed_on_its_own_calibration_frames(
    converted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "sdnn"
    shutil.copytree(converted, folder)
    report = json.loads((folder / "report.json").read_text())
    report["lowering"]["ranges"]["layers"][1]["sum_peak"] = 1 << 24
    (folder / "report.json").write_text(json.dumps(report))
    command = ["export", str(folder), "--out", str(tmp_path / "a.net")]
    with pytest.raises(ConversionError, match=r"max1: what reaches a neuron .* 16,777,216"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert not (tmp_path / "a.net").exists()


def test_the_report_has_the_keys_programs_rely_on(converted: Path) -> None:
    report = json.loads((converted / "report.json").read_text())
    assert report["schema"] == 1
    for key in ("source_sha256", "input_scale", "output_scale", "spike_exp", "warnings"):
        assert key in report
    for key in (
        "displacement_px_mean",
        "displacement_px_median",
        "moved_over_5px",
        "heatmap_relative_error",
    ):
        assert key in report["fidelity"]
    assert len(report["layers"]) == 2
    for key in (
        "name",
        "op",
        "weight_snr_db",
        "activation_max",
        "state_min",
        "state_max",
        "state_limit",
        "threshold",
        "events_per_frame_predicted",
        "events_per_frame_measured",
    ):
        assert key in report["layers"][0]


def test_the_sdnn_is_close_to_the_ann_and_what_was_measured_is_reported(converted: Path) -> None:
    report = read_report(converted / "report.json")
    error = report.fidelity.heatmap_relative_error
    assert error is not None
    assert 0 < error < 0.03
    for layer in report.layers:
        assert layer.state_max < layer.state_limit
        assert layer.state_headroom_bits > 0.3
        assert layer.events_per_frame_measured > 0
        assert layer.events_per_frame_predicted == pytest.approx(
            layer.events_per_frame_measured, rel=0.1
        )


def test_an_evaluation_of_the_same_frames_finds_the_same(converted: Path, data: Path) -> None:
    report = read_report(converted / "report.json")
    again = evaluate(converted, data, EvaluateOptions(split="train")).report
    assert again.comparison is not None
    assert again.comparison.heatmap_relative_error == pytest.approx(
        report.fidelity.heatmap_relative_error
    )
    for ours, theirs in zip(report.layers, again.layers, strict=True):
        assert ours.events_per_frame_measured == pytest.approx(theirs.events_per_frame)


def test_thresholds_save_messages_and_cost_accuracy(
    model: Path, data: Path, tmp_path: Path
) -> None:
    reports: list[ConversionReport] = []
    for name, thresholds in {
        "none": NoThresholds(),
        "fixed": Fixed(0.1),
        "percentile": Percentile(60),
    }.items():
        options = ConvertOptions(thresholds, spike_exp=6)
        reports.append(convert(model, data, tmp_path / name, options))
    none, *others = reports
    for other in others:
        assert other.layers[0].threshold > 0
        assert (
            other.layers[0].events_per_frame_measured
            < 0.9 * none.layers[0].events_per_frame_measured
        )
        assert other.fidelity.heatmap_relative_error is not None
        assert none.fidelity.heatmap_relative_error is not None
        assert other.fidelity.heatmap_relative_error > none.fidelity.heatmap_relative_error


@pytest.mark.parametrize(
    ("quantise", "largest_error"),
    [
        (QuantiseOptions(relays=1), 0.02),
        (QuantiseOptions(shifts="per-layer", rounding="nearest"), 0.02),
        (QuantiseOptions(distil=DistilOptions(steps=2)), 0.03),
    ],
)
def test_every_target_evaluates_as_reported(
    quantise: QuantiseOptions, largest_error: float, model: Path, data: Path, tmp_path: Path
) -> None:
    """The saved graph stays the user's own, whatever layers the spec has beside it."""
    out = tmp_path / "sdnn"
    report = convert(model, data, out, ConvertOptions(quantise=quantise))
    assert (out / "model.onnx").read_bytes() == model.read_bytes()
    assert len(report.plan.relays) == (quantise.relays or 0)
    assert report.plan.latency_steps == 2 + (quantise.relays or 0)
    assert (report.plan.distillation is None) == (quantise.distil is None)
    assert isinstance(report.lowering, LoweringReport)
    assert report.lowering.stock_legal == (quantise.shifts == "stock")
    said = [warning for warning in report.warnings if "stock netx loads the file" in warning]
    assert bool(said) == (quantise.shifts != "stock")
    assert (out / "network.net").is_file()
    assert report.plan.held_out_range_used < 1
    again = evaluate(out, data, EvaluateOptions(split="train")).report
    assert again.comparison is not None
    error = again.comparison.heatmap_relative_error
    assert error is not None
    assert error == pytest.approx(report.fidelity.heatmap_relative_error)
    assert error < largest_error
    assert [layer.name for layer in again.layers] == [layer.name for layer in report.layers]
    relayed = {layer.name for layer in again.layers if layer.ann_density is None}
    assert relayed == {relay.name for relay in report.plan.relays}


def test_spike_exp_changes_units_only(model: Path, data: Path, tmp_path: Path) -> None:
    """Scales follow the limits, so the integers and what they compute hardly change."""
    errors = []
    for spike_exp in (4, 6, 8):
        out = tmp_path / str(spike_exp)
        options = ConvertOptions(NoThresholds(), spike_exp=spike_exp)
        report = convert(model, data, out, options)
        assert report.fidelity.heatmap_relative_error is not None
        errors.append(report.fidelity.heatmap_relative_error)
    assert max(errors) == pytest.approx(min(errors), rel=0.2)


def test_an_existing_folder_is_kept(converted: Path, model: Path, data: Path) -> None:
    before = sorted((p.name, p.stat().st_mtime_ns) for p in converted.iterdir())
    with pytest.raises(OutputError, match="exists already"):
        convert(model, data, converted, ConvertOptions())
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in converted.iterdir())


def _no_data(model: Path, data: Path, out: Path) -> None:
    convert(model, data.parent / "nowhere", out, ConvertOptions())


def _text_model(model: Path, data: Path, out: Path) -> None:
    text = out.parent / "text.onnx"
    text.write_text("hello")
    convert(text, data, out, ConvertOptions())


def _nan_weights(model: Path, data: Path, out: Path) -> None:
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", np.full((13, 1, 1, 1), np.nan, np.float32))
    convert(builder.save(out.parent / "nan.onnx"), data, out, ConvertOptions())


def _zero_weights(model: Path, data: Path, out: Path) -> None:
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", np.zeros((13, 1, 1, 1), np.float32))
    convert(builder.save(out.parent / "zero.onnx"), data, out, ConvertOptions())


def _three_channels(model: Path, data: Path, out: Path) -> None:
    builder = ModelBuilder(("N", 3, "H", "W")).add("Conv", np.ones((13, 3, 1, 1), np.float32))
    convert(builder.save(out.parent / "rgb.onnx"), data, out, ConvertOptions())


def _no_headroom(model: Path, data: Path, out: Path) -> None:
    convert(model, data, out, ConvertOptions(quantise=QuantiseOptions(headroom=0.5)))


@pytest.mark.parametrize(
    ("attempt", "sentence"),
    [
        (_no_data, "nowhere"),
        (_text_model, r"text\.onnx is not a"),
        (_nan_weights, "n0_Conv.*NaN"),
        (_zero_weights, "silent|weights are zero"),
        (_three_channels, r"rgb\.onnx takes 3 channels"),
        (_no_headroom, r"--headroom 0\.5; expected a number from 1 to 64"),
    ],
)
def test_refusals_leave_nothing_behind(
    attempt: Callable[[Path, Path, Path], None],
    sentence: str,
    model: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out" / "sdnn"
    out.parent.mkdir()
    with pytest.raises(Ann2SdnnError, match=sentence) as caught:
        attempt(model, data, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert all(path.suffix == ".onnx" for path in out.parent.iterdir())


def test_kinds_of_refusal(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        _text_model(model, data, tmp_path / "a")
    with pytest.raises(UsageError):
        _no_headroom(model, data, tmp_path / "b")
