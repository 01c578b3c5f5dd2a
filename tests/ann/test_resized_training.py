"""`train-ann --resize`: a network from training to evaluation, with errors in whole pictures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from recordings import write_overlapping, write_recordings
from typer.testing import CliRunner

from ann2sdnn.ann.architectures import DHP19
from ann2sdnn.ann.network import INPUT_SCALE, PoseNet
from ann2sdnn.ann.training import on_grid
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.train import train
from ann2sdnn.ann.weights.keras import import_network
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions, QuantiseOptions
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.drawn.samples import DrawnSamples
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.metadata import stored_preprocessing, stored_scale
from ann2sdnn.graph.preprocessing import resize_frames
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError

SIZE = (64, 84)
CAMERAS = Dhp19Options((2, 3))
# Two epochs of three steps, the second on the grid.
OPTIONS = TrainOptions(
    epochs=2,
    batch_size=4,
    crop=None,
    resize=SIZE,
    validation_frames=8,
    warmup_steps=0,
    learning_rate=1e-5,  # so few steps at more would silence the network
    conversion_aware=True,
    aware_share=0.5,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), subjects=3, frames=4)


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    torch.manual_seed(0)
    weights = PoseNet().weights()
    last = DHP19.layers[-1].name
    weights[last] = np.float32(8) * np.abs(
        weights[last]
    )  # maps that peak near 1, as trained ones do
    write_onnx(out.with_name("init.onnx"), weights, INPUT_SCALE)
    options = replace(OPTIONS, init=str(out.with_name("init.onnx")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_grid, "_FRAMES", 4)
        patch.setattr(on_grid, "_PROBED", 1)
        train(data, out, options)
    return out


def found_joints(model: Path, data: Path, number: int) -> tuple[NDArray[np.float64], float]:
    """Joints [n, 13, 2] that ONNX Runtime's maps show in both cameras of recording ``number``, in
    whole pictures, and their mean distance from the labels.
    """
    recording = open_recordings(data)[number]
    session = onnxruntime.InferenceSession(str(model))
    scale = stored_scale(load_onnx(model))
    points, distances = [], []
    for channel in (2, 3):
        whole = torch.from_numpy(recording.frames(range(recording.n_frames), (channel,)))
        frames = resize_frames(whole, SIZE).numpy().astype(np.float32) * np.float32(scale)
        maps = session.run(None, {"frames": frames})[0].reshape(len(whole), 13, -1)
        row, column = np.divmod(maps.argmax(axis=-1), SIZE[1])
        # The centres of squares of 4.095 columns and 4.0625 rows.
        place = np.stack([(column + 0.5) * 344 / 84 - 0.5, (row + 0.5) * 260 / 64 - 0.5], axis=-1)
        labels = project_labels(recording.labels(range(recording.n_frames)), channel)
        points.append(place)
        distances.append(np.linalg.norm(place - labels.pixels, axis=-1)[labels.visible])
    return np.concatenate(points), float(np.concatenate(distances).mean())


def moved_px(model: Path, spec: Spec, sequences: Sequence[Frames]) -> float:
    """Mean distance between the engine's joints and ONNX Runtime's, in whole pictures' pixels."""
    engine, session = Engine(spec), onnxruntime.InferenceSession(str(model))
    distances = []
    for sequence in sequences:
        engine.reset()
        frames = np.concatenate(list(sequence.chunks()))
        scaled = frames.astype(np.float32) * np.float32(spec.input_scale)
        maps = session.run(None, {"frames": scaled})[0].reshape(len(frames), 13, -1)
        found = engine.run(torch.from_numpy(frames)).outputs.numpy().reshape(maps.shape)
        apart = np.subtract(*(np.divmod(each.argmax(-1), SIZE[1]) for each in (found, maps)))
        rows, columns = apart * 260 / 64, apart * 344 / 84
        distances.append(np.hypot(rows[0], columns[1])[maps.max(axis=-1) > 0.3])
    return float(np.concatenate(distances).mean())


def test_training_writes_down_the_size_and_errors_of_whole_pictures(run: Path, data: Path) -> None:
    assert stored_preprocessing(load_onnx(run / "model.onnx")).resize == SIZE
    record = json.loads((run / "train.json").read_text())
    assert record["options"]["resize"] == list(SIZE)
    (subject,) = record["validation_subjects"]
    points, error_px = found_joints(run / "model.onnx", data, subject - 1)
    assert np.ptp(points.reshape(-1, 2), axis=0).min() > 60  # not always the same
    assert record["mpjpe_px"] == pytest.approx(error_px, rel=1e-3)


def test_a_checkpoint_and_what_is_imported_of_it_keep_the_size(run: Path, tmp_path: Path) -> None:
    import_network(run / "last.safetensors", tmp_path / "model.onnx")
    assert stored_preprocessing(load_onnx(tmp_path / "model.onnx")).resize == SIZE


def test_convert_and_evaluate_take_the_same_recordings(
    run: Path, data: Path, tmp_path: Path
) -> None:
    options = ConvertOptions(
        RateDistortion(budget_px=2.0),
        quantise=QuantiseOptions(rounding="nearest", relays=0),
        source=CAMERAS,
        max_frames=8,
    )
    report = convert(run / "model.onnx", data, tmp_path / "sdnn", options)
    spec = read_spec(tmp_path / "sdnn" / "sdnn.h5")
    assert (spec.input_shape, spec.preprocessing.resize) == ((1, *SIZE), SIZE)
    calibrated = resized(open_frames(data, CAMERAS, split="train", max_frames=8), SIZE)
    moved = moved_px(run / "model.onnx", spec, calibrated)
    assert moved > 0
    assert report.fidelity.displacement_px_mean == pytest.approx(moved, rel=1e-3)
    # The search for thresholds, whose budget is 2 px, measured the same.
    assert report.threshold_budget is not None
    assert report.threshold_budget.budget_px == 2.0
    assert report.threshold_budget.remembering.displacement_px == pytest.approx(moved, rel=1e-3)
    asked = EvaluateOptions(split="test", source=CAMERAS, out=tmp_path / "told")
    told = evaluate(tmp_path / "sdnn", data, asked).report
    assert told.task == "pose"
    record = json.loads((run / "train.json").read_text())
    (subject,) = record["test_subjects"]
    _, error_px = found_joints(run / "model.onnx", data, subject - 1)
    assert told.ann is not None
    assert told.sdnn is not None
    assert told.ann.mpjpe_px == pytest.approx(error_px, rel=1e-3)
    assert told.sdnn.mpjpe_mm is not None
    assert told.sdnn.mpjpe_px is not None
    assert (tmp_path / "told" / "report.html").is_file()


def test_a_network_for_resized_pictures_goes_on_with_a_size_only(
    run: Path, data: Path, tmp_path: Path
) -> None:
    init = str(run / "model.onnx")
    changes = {"init": init, "epochs": 1, "max_steps": 1, "batch_size": 4, "validation_frames": 1}
    with pytest.raises(UsageError, match="give --resize 64x84"):
        train(data, tmp_path / "whole", TrainOptions.with_changes(changes))
    options = TrainOptions.with_changes({**changes, "resize": (32, 44)})
    assert options.crop is None
    train(data, tmp_path / "smaller", options)
    assert stored_preprocessing(load_onnx(tmp_path / "smaller" / "model.onnx")).resize == (32, 44)


def test_a_window_larger_than_the_resized_picture_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="larger than the frames, 64x84"):
        train(data, tmp_path / "run", replace(OPTIONS, crop=(192, 96)))


@pytest.mark.parametrize(
    ("typed", "size"), [("1/1", [260, 344]), ("1/2", [128, 172]), ("60x80", [60, 80])]
)
def test_the_command_takes_parts_and_sizes(
    data: Path, tmp_path: Path, typed: str, size: list[int]
) -> None:
    out = tmp_path / "run"
    arguments = ["--data", str(data), "--out", str(out), "--resize", typed, "--max-steps", "1"]
    more = ["--epochs", "1", "--batch-size", "1", "--validation-frames", "1", "--channels", "2"]
    result = CliRunner().invoke(app, ["train-ann", *arguments, *more, "--quiet"])
    assert result.exit_code == 0, result.output
    recorded = json.loads((out / "train.json").read_text())["options"]
    assert (recorded["resize"], recorded["crop"]) == (size, None)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("1/100", "0x0"), *((same, same) for same in ("2/3", "half", "62x84", "264x344"))],
)
def test_other_sizes_are_refused(typed: str, shown: str) -> None:
    result = CliRunner().invoke(app, ["train-ann", "--data", "d", "--out", "o", "--resize", typed])
    assert f"--resize {shown}; expected " in str(result.exception)


def test_drawn_pictures_are_resized_like_others(tmp_path: Path) -> None:
    recordings = open_recordings(write_overlapping(tmp_path))
    whole = DrawnSamples(recordings, (2,), seed=4)
    small = DrawnSamples(recordings, (2,), resize=SIZE, seed=4)
    for index in range(3):
        expected = resize_frames(whole[index].frame[None], SIZE)[0]
        assert torch.equal(small[index].frame, expected)
        places = small.scale.to_resized(whole[index].pixels.numpy())
        assert np.array_equal(small[index].pixels.numpy(), places)
