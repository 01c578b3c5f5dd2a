"""The commands on data that are no recordings of poses: arrays, HDF5, pictures."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from lava_backends import LAVA_IS_MISSING
from networks import moving_frames
from numpy.typing import NDArray
from onnx_models import ModelBuilder, random_weights
from PIL import Image
from typer.testing import CliRunner

import ann2sdnn as a2s
from ann2sdnn.cli.app import app
from ann2sdnn.data.sources.files.array_files import ArraySource
from ann2sdnn.eval.evaluate import calibration_warnings
from ann2sdnn.support.errors import Ann2SdnnError, ModelError, UsageError

SHAPE = (3, 16, 20)


def run(*arguments: str | Path | float) -> str:
    """The output of a command."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


def moving(seed: int, n_frames: int = 6) -> NDArray[np.uint8]:
    frames: NDArray[np.uint8] = moving_frames(n_frames, SHAPE, seed=seed).numpy()
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colour network, the same sequences in three kinds of file, and a conversion."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    builder = ModelBuilder(("N", SHAPE[0], "H", "W"))
    builder.add("Conv", np.abs(random_weights(rng, 4, 3, 3, 3)), pads=(1, 1, 1, 1)).add("Relu")
    builder.add("Conv", random_weights(rng, 2, 4, 3, 3), pads=(1, 1, 1, 1)).add("Relu")
    builder.metadata["ann2sdnn.input_scale"] = str(1 / 255)
    builder.save(folder / "model.onnx")
    (folder / "arrays").mkdir()
    for number in range(4):
        np.save(folder / "arrays" / f"walk{number}.npy", moving(number))
        pictures = folder / "pictures" / f"walk{number}"
        pictures.mkdir(parents=True)
        for index, frame in enumerate(moving(number)):
            Image.fromarray(np.moveaxis(frame, 0, -1)).save(pictures / f"{index}.png")
    with h5py.File(folder / "walks.h5", "w") as file:
        file["pixels"] = np.concatenate([moving(number) for number in range(4)])
        file["lengths"] = [6] * 4
    run(
        "convert", folder / "model.onnx", "--calibrate", folder / "arrays", "--out",
        folder / "sdnn", "--quiet",
    )  # fmt: skip
    return folder


def report(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return read


def test_the_training_side_of_any_source_calibrates(folder: Path, tmp_path: Path) -> None:
    expected = report(folder / "sdnn")
    assert expected["calibration_recordings"] == ["walk0", "walk1"]
    assert expected["calibration_frames"] == 12
    for data, more in (("pictures", []), ("walks.h5", ["--dataset", "pixels"])):
        out = tmp_path / data
        command = ("convert", folder / "model.onnx", "--calibrate", folder / data, "--out", out)
        run(*command, *more, "--quiet")
        found = report(out)
        skipped = {"seconds", "calibration_recordings"}
        assert {k: v for k, v in found.items() if k not in skipped} == {
            k: v for k, v in expected.items() if k not in skipped
        }


def test_the_python_interface_reads_the_path_as_the_command_does(folder: Path) -> None:
    network = a2s.from_onnx(folder / "model.onnx")
    sdnn = a2s.to_sdnn(network, folder / "arrays")
    expected = report(folder / "sdnn")
    assert sdnn.report.layers[0].threshold == expected["layers"][0]["threshold"]
    assert sdnn.report.calibration_recordings == expected["calibration_recordings"]
    compared = sdnn.compare(str(folder / "arrays"))
    assert compared == sdnn.compare(moving(3))  # the test side
    assert compared == sdnn.compare(a2s.open_frames(folder / "pictures", split="test"))
    frames = iter(moving(3))
    assert np.array_equal(sdnn.run(frames).outputs, sdnn.run(moving(3)).outputs)
    with pytest.raises(UsageError, match="there are 4 sequences; expected one"):
        sdnn.run(folder / "arrays")


def test_evaluation_warns_of_calibration_frames(folder: Path) -> None:
    unseen = a2s.open_frames(folder / "arrays", split="test")
    assert list(calibration_warnings(folder / "sdnn", unseen)) == []
    (warning,) = calibration_warnings(folder / "sdnn", a2s.open_frames(folder / "arrays"))
    assert "2 of 4 sequences" in warning
    assert "(walk0, walk1)" in warning
    assert list(calibration_warnings(folder, unseen)) == []  # a folder without a report


def test_bench_drift_and_show_take_it(folder: Path, tmp_path: Path) -> None:
    sdnn, data = folder / "sdnn", folder / "walks.h5"
    choice = ("--dataset", "pixels", "--quiet")
    file = tmp_path / "bench.json"
    run("bench", sdnn, "--data", data, *choice, "--frames", 3, "--rounds", 1, "--json", file)
    timed = json.loads(file.read_text())
    assert timed["frames"] == 3
    assert timed["messages_equal"] is (None if LAVA_IS_MISSING else True)
    out = tmp_path / "drift"
    run("drift", sdnn, "--data", data, *choice, "--frames", 9, "--resets", 3, "--out", out,
        "--recording", "walks 2")  # fmt: skip
    assert json.loads((out / "drift.json").read_text())["sequence"]["recording"] == "walks 2"
    done = run("show", data, "--dataset", "pixels", "--recording", "walks 1", "--out", out)
    assert "red, green and blue" in done
    with Image.open(out / "walks_1.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 6


@pytest.mark.lava
def test_simulate_takes_it(folder: Path) -> None:
    done = run("simulate", folder / "sdnn", "--data", folder / "pictures", "--frames", 2,
               "--crop", "8x8", "--quiet")  # fmt: skip
    assert "largest difference 0" in " ".join(done.split())


@pytest.mark.lava
def test_train_sdnn_learns_the_anns_output_on_it(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "fine"
    done = run(
        "train-sdnn", folder / "sdnn", "--data", folder / "walks.h5", "--dataset", "pixels",
        "--out", out, "--crop", "none", "--scratch", "--epochs", 40, "--learning-rate", 0.05,
        "--sparsity", 0, "--penalty", 0, "--pictures-every", 40, "--quiet",
    )  # fmt: skip
    assert "synaptic operations per frame" in done
    history = json.loads((out / "training.json").read_text())["history"]
    assert {row["mpjpe_px"] for row in history} == {None}
    assert history[-1]["loss"] < history[1]["loss"] / 2  # 1 is an output of zeros
    trained = a2s.load(out).compare(moving(3))["sdnn"].relative_error
    assert trained is not None
    assert trained < 1
    assert not (out / "pictures").exists()  # of joints


@pytest.mark.lava
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "labels"], "--target labels needs labelled poses, which walk0 lacks"),
        (["--channels", "2"], "--channels has no effect without DHP19 recordings as --data"),
        (["--crop", "32x32"], "larger than the frames, 16x20; give a smaller one, or none"),
        (["--colour", "grey"], "--colour: .* holds array files"),
    ],
)
def test_train_sdnn_refuses_what_needs_poses(
    folder: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    command = ("train-sdnn", folder / "sdnn", "--data", folder / "arrays", "--out", tmp_path / "x")
    crop = () if "--crop" in arguments else ("--crop", "none")
    with pytest.raises(UsageError, match=sentence):
        run(*command, *crop, *arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["--calibrate", "arrays", "--channels", "2"], UsageError, "--channels: .* array files"),
        (["--calibrate", "pictures", "--layout", "thwc"], UsageError, "--layout: .* pictures"),
        (["--calibrate", "walks.h5"], Ann2SdnnError, "has no data set frames; it has lengths, pix"),
        (
            ["--calibrate", "pictures", "--colour", "grey"],
            ModelError,
            "3 channels; .* have 1",
        ),
        (["--calibrate", "arrays", "--layout", "diagonal"], UsageError, "auto, tchw or thwc"),
    ],
)
def test_data_that_do_not_fit_are_one_sentence(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[Ann2SdnnError],
    sentence: str,
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(error, match=sentence) as caught:
        run("convert", "model.onnx", *arguments, "--out", "new")
    assert "\n" not in str(caught.value)
    assert not Path("new").exists()


def test_pictures_are_not_drawn_into_the_data(folder: Path) -> None:
    data = folder / "pictures" / "walk0"
    with pytest.raises(UsageError, match=r"--out .* is a folder of the data"):
        run("show", data, "--out", data)
    with pytest.raises(UsageError, match="has no sequence walk9; it has walk0, walk1"):
        run("show", folder / "arrays", "--recording", "walk9", "--out", folder / "drawn")


def test_a_file_of_labels_is_an_input_that_is_not_overwritten(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", moving(0))
    np.save(tmp_path / "x.labels.npy", np.zeros(6, int))
    assert tmp_path / "x.labels.npy" in ArraySource().files(tmp_path)
