"""Conversion-aware training: what it exports is on the grid, and it goes on exactly."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from interrupter import Interrupter
from numpy.typing import NDArray
from recordings import write_recordings

from ann2sdnn.ann.architectures import DHP19
from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training import on_grid as aware
from ann2sdnn.ann.training import trainer
from ann2sdnn.ann.training.on_grid import graph_of_posenet, with_powers_of_two
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.train import train
from ann2sdnn.ann.weights.checkpoint import read_checkpoint
from ann2sdnn.calibration.rounding.on_grid import MESSAGE_UNIT
from ann2sdnn.calibration.scales.plan import LayerPlan, PlannedNoise, RangePlan
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.spec.grid import Grid

# Three epochs of two steps, the last two epochs on the grid.
OPTIONS = TrainOptions(
    epochs=3,
    batch_size=4,
    crop=(32, 32),
    validation_frames=1,
    warmup_steps=0,
    learning_rate=1e-5,  # so few steps at more would silence the network
    conversion_aware=True,
    aware_share=0.6,
)
STEP = 1 / 32
# Ends by itself, should the tests be killed.
_BUSY = "import time; end = time.time() + 120\nwhile time.time() < end: pass"


class Counted:
    """``plan_on_grid``, counted: a run that plans twice does not continue the first plan."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        patch.setattr(trainer, "plan_on_grid", self)

    def __call__(self, *args: Any) -> dict[str, Any]:
        self.calls += 1
        return aware.plan_on_grid(*args)


@pytest.fixture(autouse=True)
def _few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aware, "_FRAMES", 4)
    monkeypatch.setattr(aware, "_PROBED", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), subjects=2, frames=4)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aware, "_FRAMES", 4)
        patch.setattr(aware, "_PROBED", 1)
        plans = Counted(patch)
        train(data, out, OPTIONS)
    assert plans.calls == 1
    return out


def _weights(run: Path) -> dict[str, NDArray[np.float32]]:
    return read_checkpoint(run / "last.safetensors")[0]


def test_what_is_exported_is_on_the_grid(finished: Path) -> None:
    weights, input_scale = read_checkpoint(finished / "last.safetensors")
    units = input_scale / MESSAGE_UNIT
    assert units == round(units) >= 1
    for layer in DHP19.layers[:-1]:
        steps = weights[layer.name] / STEP
        np.testing.assert_array_equal(steps, np.rint(steps))
        assert -128 <= steps.min() < steps.max() <= 127
    # Each channel of the last is a power of two away from it.
    for channel in weights[DHP19.layers[-1].name]:
        assert any(
            (channel * 2.0**n / STEP == np.rint(channel * 2.0**n / STEP)).all() for n in range(24)
        )


def test_onnx_runtime_computes_the_same_network(finished: Path) -> None:
    weights, scale = read_checkpoint(finished / "last.safetensors")
    frames = np.random.default_rng(0).integers(0, 256, (1, 1, 32, 32)).astype(np.float32) * scale
    session = onnxruntime.InferenceSession(str(finished / "model.onnx"))
    with torch.no_grad():
        expected = PoseNet.from_weights(weights)(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(
        session.run(None, {"frames": frames})[0], expected, atol=1e-5 * expected.max()
    )


def test_the_conversion_keeps_every_weight(finished: Path, data: Path, tmp_path: Path) -> None:
    report = convert(finished / "model.onnx", data, tmp_path / "sdnn", ConvertOptions(max_frames=4))
    assert "on the grid already" in report.plan.rounding
    spec, weights = read_spec(tmp_path / "sdnn" / "sdnn.h5"), _weights(finished)
    for layer in spec.layers[:-1]:
        np.testing.assert_array_equal(layer.weight / 64, weights[layer.name])
        # Training computes with a spike_exp of 6, the conversion with 0: the same integers.
        assert (layer.scale == 64).all()
    last = spec.layers[-1]
    wanted = weights[last.name] * last.scale[:, None, None, None] / 64
    np.testing.assert_array_equal(last.weight / 64, wanted)
    error = report.fidelity.heatmap_relative_error
    assert error is not None
    assert 0 < error < 0.1


def test_a_run_interrupted_on_the_grid_ends_with_the_same_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, out = tmp_path / "finished", tmp_path / "run"
    train(data, finished, OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        # The last of six steps; two epochs are finished, and the grid was reached in the second.
        train(data, out, OPTIONS, reporter=Interrupter(6))
    plans = Counted(monkeypatch)
    train(data, out, resume=True)
    assert plans.calls == 0
    expected, actual = _weights(finished), _weights(out)
    assert all(np.array_equal(expected[name], actual[name]) for name in expected)
    histories = [json.loads((run / "train.json").read_text())["history"] for run in (finished, out)]
    assert [one["mpjpe_px"] for one in histories[0]] == [one["mpjpe_px"] for one in histories[1]]


def test_a_run_interrupted_before_the_grid_reaches_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(data, out, OPTIONS, reporter=Interrupter(3))
    plans = Counted(monkeypatch)
    assert train(data, out, resume=True).state.step == 6
    assert plans.calls == 1
    steps = _weights(out)["conv2a"] / STEP
    np.testing.assert_array_equal(steps, np.rint(steps))


def test_a_training_too_short_for_its_share_is_on_the_grid_anyway(
    data: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, epochs=1, aware_share=0.1)
    train(data, tmp_path / "run", options)
    steps = _weights(tmp_path / "run")["conv5a"] / STEP
    np.testing.assert_array_equal(steps, np.rint(steps))


def test_fine_tuning_starts_from_the_given_network(
    data: Path, finished: Path, tmp_path: Path
) -> None:
    # At so small a rate that nothing changes.
    options = replace(
        OPTIONS,
        epochs=1,
        init=str(finished / "model.onnx"),
        conversion_aware=False,
        learning_rate=1e-12,
    )
    train(data, tmp_path / "run", options)
    weights, scale = read_checkpoint(tmp_path / "run" / "last.safetensors")
    expected, expected_scale = read_checkpoint(finished / "last.safetensors")
    assert scale == expected_scale
    for name, kernel in expected.items():
        np.testing.assert_allclose(weights[name], kernel, atol=1e-6)
    record = json.loads((tmp_path / "run" / "train.json").read_text())
    assert record["options"]["init"] == str(finished / "model.onnx")
    assert json.loads((finished / "train.json").read_text())["options"]["conversion_aware"] is True


def test_the_output_is_divided_by_powers_of_two() -> None:
    scale = np.array([3.0, 4.0, 0.3])
    plan = RangePlan(
        5,
        1.0,
        Grid(),
        (LayerPlan(scale=scale, sent=2.0 * scale),),
        PlannedNoise(np.zeros(1), np.zeros(1)),
        1.5,
    )
    last = with_powers_of_two(plan).layers[-1]
    # A map of 3 fits messages of almost 8 with a scale of 2.
    np.testing.assert_array_equal(last.scale, [2.0, 2.0, 0.25])
    np.testing.assert_array_equal(last.sent, [4.0, 4.0, 0.5])


def test_the_graph_holds_the_weights_it_was_given() -> None:
    torch.manual_seed(0)
    weights = PoseNet().weights()
    graph = graph_of_posenet(weights, 0.25, (16, 24))
    assert (graph.input_shape, graph.input_scale) == ((1, 16, 24), 0.25)
    for layer in graph.layers:
        np.testing.assert_array_equal(layer.weight, weights[layer.name])


def test_two_runs_give_the_same_file(data: Path, tmp_path: Path) -> None:
    # With a price; the second in worker processes and beside a busy process.
    options = replace(OPTIONS, activation_price=0.5, max_steps=3)
    first = train(data, tmp_path / "first", replace(options, workers=0))
    busy = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        second = train(data, tmp_path / "second", replace(options, workers=2))
    finally:
        busy.kill()
        busy.wait()
    assert first.state.step == second.state.step == 3
    assert first.onnx.read_bytes() == second.onnx.read_bytes()
