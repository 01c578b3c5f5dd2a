"""Training runs on tiny recordings: that they go on exactly, and what they leave behind."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from damage import accepted, byte_damages, state_damages
from interrupter import Interrupter
from numpy.typing import NDArray

from ann2sdnn.ann.network import INPUT_SCALE, PoseNet
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.train import train
from ann2sdnn.ann.weights.checkpoint import read_checkpoint
from ann2sdnn.data.pose.heatmaps import draw_heatmaps, heatmap_loss
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.recording import RecordingName
from ann2sdnn.data.recordings.samples import PoseSamples, Sample
from ann2sdnn.support.errors import DataError, ModelError, OutputError, UsageError
from ann2sdnn.support.files.nested import read_nested, write_nested
from ann2sdnn.support.files.writing import sha256_of_all
from ann2sdnn.support.progress import SilentReporter

# Four epochs of four steps.
OPTIONS = TrainOptions(
    epochs=4,
    batch_size=3,
    crop=(32, 32),
    validation_frames=2,
    warmup_steps=0,
    lr_steps=(0.6, 0.85),
    lr_factor=0.1,
)


def _record(folder: Path, subject: int, n_frames: int) -> None:
    """Write a recording of a person whose joints are bright spots."""
    pose: NDArray[np.float64] = np.random.default_rng(0).uniform(-1, 1, (3, 13)) * np.array(
        [[200.0], [200.0], [600.0]]
    )
    random = np.random.default_rng(subject)
    xyz: NDArray[np.float64] = pose + random.uniform(-1, 1, (n_frames, 3, 1)) * [
        [300.0],
        [300.0],
        [50.0],
    ]
    xyz[:, 2] += 900.0
    frames = np.zeros((n_frames, 260, 346, 4), np.uint8)
    for channel in range(4):
        pixels = project_labels(xyz, channel).pixels
        for frame, (column, row) in ((f, joint) for f in range(n_frames) for joint in pixels[f]):
            frames[frame, row - 1 : row + 2, column - 1 : column + 2, channel] = 200
    name = RecordingName(subject, 1, 1)
    with h5py.File(folder / name.frames_file, "w") as file:
        file.create_dataset("DVS", data=frames, chunks=(1, 260, 346, 4), compression="gzip")
    with h5py.File(folder / name.labels_file, "w") as file:
        file["XYZ"] = xyz


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    _record(folder, 1, 6)
    _record(folder, 2, 2)
    return folder


class _Listener(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def _weights(run: Path) -> dict[str, NDArray[np.float32]]:
    return read_checkpoint(run / "last.safetensors")[0]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    train(data, out, OPTIONS)
    return out


# Two finished epochs: right after the second, and in the middle of the third.
@pytest.mark.parametrize("step", [9, 11])
def test_a_resumed_run_ends_with_the_same_weights(
    data: Path, finished: Path, tmp_path: Path, step: int
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(data, out, OPTIONS, reporter=Interrupter(step))
    assert not (out / "model.onnx").exists()
    assert len(json.loads((out / "train.json").read_text())["history"]) == 2
    half_way = _weights(out)

    summary = train(data, out, resume=True)
    assert (summary.state.epoch, summary.state.step) == (4, 16)
    expected, actual = _weights(finished), _weights(out)
    assert all(np.array_equal(expected[name], actual[name]) for name in expected)
    assert not np.array_equal(half_way["conv1"], actual["conv1"])
    histories = [json.loads((run / "train.json").read_text())["history"] for run in (finished, out)]
    same = ("epoch", "steps", "loss", "learning_rate", "mpjpe_px")
    assert [[one[key] for key in same] for one in histories[0]] == (
        [[one[key] for key in same] for one in histories[1]]
    )


def test_every_epoch_sees_every_picture_in_another_order(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[int]] = {0: [], 1: []}
    original = PoseSamples.__getitem__

    def spy(self: PoseSamples, index: int) -> Sample:
        if self.augmentation.crop:
            seen[self.epoch].append(index)
        return original(self, index)

    monkeypatch.setattr(PoseSamples, "__getitem__", spy)
    train(data, tmp_path / "run", replace(OPTIONS, epochs=2))
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(12))
    assert seen[0] != seen[1]


def test_worker_processes_change_nothing(data: Path, finished: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", replace(OPTIONS, workers=2))
    expected, actual = _weights(finished), _weights(tmp_path / "run")
    assert all(np.array_equal(expected[name], actual[name]) for name in expected)


def test_another_seed_gives_another_network(data: Path, finished: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", replace(OPTIONS, seed=1, epochs=1))
    assert not np.array_equal(_weights(finished)["conv1"], _weights(tmp_path / "run")["conv1"])


def test_what_a_run_leaves_behind(data: Path, finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == [
        *(
            ".ann2sdnn",
            "last.safetensors",
            "loss.png",
            "model.onnx",
            "state.safetensors",
            "train.json",
        ),
    ]
    assert (finished / "loss.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((finished / "train.json").read_text())
    assert record["seed"] == 0
    assert record["data_sha256"] == sha256_of_all(data.glob("*.h5"))
    assert record["options"]["learning_rate"] == 1e-3
    assert record["versions"]["torch"] == torch.__version__.split("+", maxsplit=1)[0]
    sides = {name: record[f"{name}_subjects"] for name in ("train", "validation", "test")}
    assert sides == {"train": [1], "validation": [1], "test": [2]}
    assert record["validation_subjects_were_trained_on"]
    assert not record["test_subjects_were_trained_on"]
    assert record["baseline_mean_pose_px"] > 1
    assert record["mpjpe_px"] == record["history"][-1]["mpjpe_px"] > 0
    assert [one["epoch"] for one in record["history"]] == [1, 2, 3, 4]
    assert all(0 <= one["data_wait_share"] < 1 for one in record["history"])
    # no warm-up; steps at 0.6 and 0.85 of 16 steps
    assert [one["learning_rate"] for one in record["history"]] == (
        pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])
    )


def test_the_onnx_file_is_the_last_checkpoint(finished: Path) -> None:
    frames = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    session = onnxruntime.InferenceSession(str(finished / "model.onnx"))
    with torch.no_grad():
        expected = PoseNet.from_weights(_weights(finished))(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(session.run(None, {"frames": frames})[0], expected, atol=1e-5)
    properties = onnx.load(str(finished / "model.onnx")).metadata_props
    assert [float(one.value) for one in properties] == [INPUT_SCALE]


def test_training_learns(data: Path, tmp_path: Path) -> None:
    options = replace(
        OPTIONS, epochs=70, crop=(64, 64), mirror=False, lr_steps=(), validate_every=100
    )
    summary = train(data, tmp_path / "run", options)
    history = json.loads((tmp_path / "run" / "train.json").read_text())["history"]
    # A network that has died, or has not moved, has a loss of 1.
    assert summary.last.loss < 0.95
    assert summary.last.loss < history[0]["loss"]
    assert [one["mpjpe_px"] is None for one in history] == [True] * 69 + [False]


def test_a_run_stops_when_its_time_is_over(data: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=1000, max_minutes=1e-6)
    summary = train(data, tmp_path / "run", options)
    assert (summary.state.epoch, summary.state.step) == (1, 1)
    assert (tmp_path / "run" / "model.onnx").is_file()


def test_a_folder_in_use_is_refused_unless_forced(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        train(data, out, OPTIONS)
    with pytest.raises(OutputError, match="holds something else"):
        train(data, out, OPTIONS, force=True)
    (out / "notes.txt").unlink()
    train(data, out, replace(OPTIONS, epochs=1))
    (out / "notes.txt").write_text("mine")
    train(data, out, replace(OPTIONS, epochs=1), force=True)
    assert (out / "notes.txt").read_text() == "mine"


def test_resuming_what_is_not_there(data: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no training run to resume"):
        train(data, tmp_path / "run", resume=True)


def test_resuming_from_a_damaged_state(data: Path, finished: Path, tmp_path: Path) -> None:
    content = (finished / "state.safetensors").read_bytes()
    for damaged in (content[:-5000], b"", b"not a state"):
        (tmp_path / "state.safetensors").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"state\.safetensors cannot be read"):
            train(data, tmp_path, resume=True)


def test_resuming_with_other_options_or_data(data: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"another batch_size \(3, now 2\)"):
        train(data, finished, replace(OPTIONS, batch_size=2), resume=True)
    with pytest.raises(UsageError, match=r"--epochs 1; the run in .* has made \d already"):
        train(data, finished, replace(OPTIONS, epochs=1), resume=True)
    _record(tmp_path, 1, 6)
    with pytest.raises(UsageError, match="trained on other recordings"):
        train(tmp_path, finished, resume=True)


def test_a_finished_run_may_be_given_more_epochs(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "state.safetensors").write_bytes((finished / "state.safetensors").read_bytes())
    summary = train(data, out, replace(OPTIONS, epochs=5), resume=True)
    assert (summary.state.epoch, summary.state.step) == (5, 20)


def test_a_single_subject_is_said_to_train_and_validate(tmp_path: Path) -> None:
    _record(tmp_path, 3, 2)
    listener = _Listener()
    options = replace(OPTIONS, epochs=1)
    summary = train(tmp_path, tmp_path / "run", options, reporter=listener)
    assert summary.split.validates_on_train
    assert summary.split.tests_on_train
    assert any("says nothing about other people" in line for line in listener.lines)
    assert any(line.startswith("epoch 1/1: loss") for line in listener.lines)


def test_a_learning_rate_that_diverges(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"diverged .* learning rate below 1\.0"):
        train(data, tmp_path / "run", replace(OPTIONS, learning_rate=1.0))


def test_a_loss_that_explodes_stops_the_training_while_it_is_finite(
    data: Path, tmp_path: Path
) -> None:
    said = r"diverged in epoch 1, step 4: the loss is [\d.]+e\+\d+; .* below 0\.005$"
    with pytest.raises(ModelError, match=said):
        train(data, tmp_path / "run", replace(OPTIONS, learning_rate=0.005))


def test_a_batch_larger_than_the_data(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"batch of 13 pictures .* 12 pictures"):
        train(data, tmp_path / "run", replace(OPTIONS, batch_size=13))


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        train(tmp_path / "absent", tmp_path / "run", OPTIONS)
    assert not (tmp_path / "run").exists()


def test_an_accelerator_that_does_not_exist(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="accelerator abacus"):
        train(data, tmp_path / "run", replace(OPTIONS, accelerator="abacus"))


def test_predicting_nothing_costs_one() -> None:
    pixels = torch.tensor([[[50, 50]] * 13, [[60, 40]] * 13])
    target = draw_heatmaps(pixels, torch.ones(2, 13, dtype=torch.bool), 100, 100)
    assert float(heatmap_loss(torch.zeros_like(target), target)) == pytest.approx(1.0, rel=1e-4)
    assert float(heatmap_loss(target, target)) == 0.0


def test_whatever_is_missing_or_of_another_form_is_one_sentence(data: Path, tmp_path: Path) -> None:
    options = TrainOptions(epochs=1, batch_size=3, crop=(32, 32), validation_frames=1, workers=0)
    train(data, tmp_path, options)
    path = tmp_path / "state.safetensors"

    def resume(_path: Path) -> None:
        train(data, tmp_path, resume=True)

    found = accepted(path, resume, byte_damages(path), state_damages(path))
    assert {name.split(": /")[0] for name in found} == {
        "data is {'other': 1}",  # the data may be others, which is said in another sentence
    }
    checkpoint = tmp_path / "last.safetensors"
    assert accepted(checkpoint, read_checkpoint, byte_damages(checkpoint)) == set()


def test_an_optimizer_that_does_not_fit_is_refused(data: Path, tmp_path: Path) -> None:
    options = TrainOptions(epochs=1, batch_size=3, crop=(32, 32), validation_frames=1, workers=0)
    train(data, tmp_path, options)
    content = read_nested(tmp_path / "state.safetensors")
    average = content["optimizer"]["state"][0]["square_avg"]
    for damaged in (average[:1], average * float("nan")):
        other = copy.deepcopy(content)
        other["optimizer"]["state"][0]["square_avg"] = damaged
        write_nested(tmp_path / "state.safetensors", other)
        with pytest.raises(ModelError, match=r"does not fit the network .* \(square_avg"):
            train(data, tmp_path, replace(options, epochs=2), resume=True)
