"""A source registered from outside the package: other frames, options and networks than DHP19's."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lava_backends import LAVA_IS_MISSING
from networks import moving_frames
from onnx_models import ModelBuilder, random_weights
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.data.sources.registry import SOURCES
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.eval.bench.bench import bench
from ann2sdnn.eval.bench.options import BenchOptions
from ann2sdnn.eval.drift.drift import drift
from ann2sdnn.eval.drift.options import DriftOptions
from ann2sdnn.eval.drift.output import read_drift
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.support.errors import DataError, ModelError, UsageError
from ann2sdnn.support.options.fields import number

SHAPE = (2, 24, 20)
SUFFIX = ".toy.npy"


@dataclass(frozen=True)
class ToyOptions(SourceOptions):
    """Which frames of a file."""

    stride: int = number(1, at_least=1, at_most=9, option="--stride")
    """Every so many frames one is taken."""


class ToySource:
    """Files of sequences [S, T, C, H, W]; the last sequence is the test side."""

    name = "toy files"
    options = (ToyOptions,)

    def recognises(self, path: Path) -> bool:
        return path.name.endswith(SUFFIX)

    def files(self, path: Path) -> tuple[Path, ...]:
        return (path,)

    def open(
        self, path: Path, options: SourceOptions | None, split: Side
    ) -> tuple[ArrayFrames, ...]:
        stride = options.stride if isinstance(options, ToyOptions) else 1
        sequences = [
            ArrayFrames(frames[::stride], f"toy {number}", f"toy {number}")
            for number, frames in enumerate(np.load(path))
        ]
        sides = {"train": sequences[:-1], "test": sequences[-1:], "all": sequences}
        return tuple(sides[split])

    def warnings(self, path: Path, split: Side) -> tuple[str, ...]:
        return ()


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "toy", ToySource())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / f"moving{SUFFIX}"
    np.save(path, np.stack([moving_frames(6, SHAPE, seed=seed).numpy() for seed in range(5)]))
    return path


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    rng = np.random.default_rng(0)
    builder = ModelBuilder(("N", SHAPE[0], "H", "W"))
    builder.add("Conv", np.abs(random_weights(rng, 4, 2, 3, 3)), pads=(1, 1, 1, 1))
    builder.add("Relu").add("MaxPool", kernel_shape=(2, 2), strides=(2, 2))
    builder.add("ConvTranspose", random_weights(rng, 4, 3, 2, 2), strides=(2, 2)).add("Relu")
    builder.metadata["ann2sdnn.input_scale"] = str(1 / 255)
    return builder.save(data.parent / "model.onnx")


@pytest.fixture
def converted(data: Path, model: Path, tmp_path: Path) -> Path:
    convert(model, data, tmp_path / "sdnn", ConvertOptions(max_frames=None))
    return tmp_path / "sdnn"


def test_convert_calibrates_on_it(data: Path, model: Path, converted: Path, tmp_path: Path) -> None:
    report = read_report(converted / "report.json")
    assert report.calibration_recordings == ["toy 0", "toy 1", "toy 2", "toy 3"]
    assert report.calibration_frames == 24
    options = ConvertOptions(source=ToyOptions(stride=3), split="all")
    strided = convert(model, data, tmp_path / "strided", options)
    assert strided.calibration_frames == 10


def test_its_options_are_options_of_the_command_line(
    data: Path, converted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "drift"
    command = ["drift", str(converted), "--data", str(data), "--out", str(folder), "--frames", "9"]
    result = CliRunner().invoke(app, [*command, "--stride", "2"], catch_exceptions=False)
    assert result.exit_code == 0
    written = read_drift(folder)
    assert written is not None
    assert written.sequence.recorded_frames == 3
    with pytest.raises(UsageError, match=r"--channel: .* holds toy files"):
        CliRunner().invoke(app, [*command, "--channel", "2", "--force"], catch_exceptions=False)


def test_convert_takes_them_too(data: Path, model: Path, tmp_path: Path) -> None:
    command = ["convert", str(model), "--calibrate", str(data), "--out", str(tmp_path / "sdnn")]
    result = CliRunner().invoke(app, [*command, "--stride", "2"], catch_exceptions=False)
    assert result.exit_code == 0
    assert read_report(tmp_path / "sdnn" / "report.json").calibration_frames == 12
    with pytest.raises(UsageError, match=r"--channels: .* holds toy files"):
        CliRunner().invoke(app, [*command, "--channels", "2", "--force"], catch_exceptions=False)


def test_bench_and_drift_run_on_it(data: Path, converted: Path) -> None:
    report = bench(converted, data, BenchOptions(frames=3, rounds=1))
    assert report.frames == 3
    assert report.messages_equal is (None if LAVA_IS_MISSING else True)  # against slayer's
    measured = drift(converted, data, DriftOptions(frames=9, crop=(12, 16), recording="toy 2"))
    assert (measured.sequence.recording, measured.sequence.channel) == ("toy 2", None)
    assert measured.sequence.recorded_frames == 6
    assert measured.curve("corrected").events[0] > 0
    with pytest.raises(DataError, match="no sequence toy 9; choose one of toy 0, toy 1"):
        drift(converted, data, DriftOptions(recording="toy 9"))


def test_the_pose_task_names_what_is_missing(data: Path, converted: Path) -> None:
    with pytest.raises(DataError, match="toy 4 has no pose labels"):
        evaluate(converted, data, EvaluateOptions(task="pose"))
    assert evaluate(converted, data, EvaluateOptions()).report.task == "output"


def test_channels_of_the_data_and_the_network_must_agree(model: Path, tmp_path: Path) -> None:
    path = tmp_path / f"grey{SUFFIX}"
    np.save(path, np.ones((4, 2, 1, 24, 20), np.uint8))
    with pytest.raises(ModelError, match=r"model\.onnx takes 2 channels; frames of .* have 1"):
        convert(model, path, tmp_path / "sdnn", ConvertOptions())
    assert not (tmp_path / "sdnn").exists()
