"""The hourglass network: equal operations, skips, and all that `train-ann` does with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupter import Interrupter
from recordings import write_recordings

from ann2sdnn.ann.architectures import ARCHITECTURES, DHP19, HOURGLASS, architecture_of
from ann2sdnn.ann.network import PoseNet, is_pose_network
from ann2sdnn.ann.training import on_grid
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.train import train
from ann2sdnn.ann.weights.checkpoint import read_checkpoint, write_checkpoint
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.ann.weights.read import read_network
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.support.errors import ModelError, UsageError

# Three epochs of two steps.
OPTIONS = TrainOptions(
    network="hourglass",
    epochs=3,
    batch_size=4,
    crop=(32, 32),
    validation_frames=1,
    warmup_steps=0,
    learning_rate=1e-5,
)
SKIPS = {"conv3_up": "conv2d", "conv4_up": "conv1"}
SCALE = 0.25


@pytest.fixture(autouse=True)
def _few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_grid, "_FRAMES", 4)
    monkeypatch.setattr(on_grid, "_PROBED", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), subjects=2, frames=4)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    train(data, out, OPTIONS)
    return out


def _network() -> PoseNet:
    """A network whose skips have weights of their own."""
    torch.manual_seed(0)
    network = PoseNet(HOURGLASS)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "skip" in name:
                weight.uniform_(0.5, 2)
    return network


def _graph(network: PoseNet, folder: Path, size: tuple[int, int] = (32, 48)) -> Graph:
    write_onnx(folder / "model.onnx", network.weights(), SCALE)
    return read_onnx(folder / "model.onnx", input_size=size)


def test_it_costs_as_much_as_the_papers_network(tmp_path: Path) -> None:
    frame = torch.zeros(1, 1, 260, 344, dtype=torch.uint8)
    operations = []
    for architecture in ARCHITECTURES.values():
        counted = CountedAnn(_graph(PoseNet(architecture), tmp_path, (260, 344)))
        counted.run(frame)
        operations.append(float(counted.macs.sum()))
    paper, hourglass = operations
    assert paper == pytest.approx(2.81e9, rel=0.01)
    assert hourglass == pytest.approx(paper, rel=0.03)


def test_the_exported_file_has_skips(tmp_path: Path) -> None:
    network = _network()
    graph = _graph(network, tmp_path)
    weights = network.weights()
    assert [layer.name for layer in graph.layers] == [layer.name for layer in HOURGLASS.layers]
    skips = {layer.name: synapse.source for layer in graph.layers for synapse in layer.joined}
    assert skips == SKIPS
    for layer in graph.layers:
        for synapse, name in zip(layer.joined, [f"{layer.name}_skip"], strict=False):
            assert synapse.is_one_to_one
            np.testing.assert_array_equal(synapse.weight, weights[name])
    assert is_pose_network(graph)


def test_a_skip_adds_what_its_source_sends() -> None:
    network = _network()
    frames = torch.rand(1, 1, 32, 32)
    read: dict[int, torch.Tensor] = {}

    def kept(index: int, values: torch.Tensor) -> None:
        read[index] = values

    def doubled(index: int, values: torch.Tensor) -> torch.Tensor:
        """What the first layer sends, twice as large."""
        return 2 * values if index == 1 else values

    with torch.no_grad():
        network(frames, reads=kept, sends=doubled)
        # conv5a reads the sum of conv4_up and of the first layer's map.
        transposed = network.layers["conv4_up"](read[13])[..., :-1, :-1]
        skip = network.skips["conv4_up_skip"].reshape(-1, 1, 1) * 2 * read[1]
    torch.testing.assert_close(read[14], (transposed + skip).relu())


def test_a_value_costs_its_layer_and_the_skip_that_reads_it() -> None:
    # 9/4 taps of a stride of 2 times the channels, and 1; then 9 taps without a skip.
    assert HOURGLASS.fan_outs[:3] == (9 * 16, 9 / 4 * 32 + 1, 9 * 32)
    assert HOURGLASS.fan_outs[4] == 9 / 4 * 64 + 1
    assert DHP19.fan_outs == tuple(9.0 * layer.out_channels for layer in DHP19.layers)


def test_architectures_are_known_by_their_kernels() -> None:
    for architecture in ARCHITECTURES.values():
        assert architecture_of(architecture.kernels) is architecture
    assert architecture_of(["conv1"]) is DHP19


@pytest.mark.parametrize("ending", ["onnx", "safetensors"])
def test_files_keep_the_skips(tmp_path: Path, ending: str) -> None:
    weights = _network().weights()
    path = tmp_path / f"network.{ending}"
    (write_onnx if ending == "onnx" else write_checkpoint)(path, weights, SCALE)
    actual, scale = read_network(path)
    assert scale == SCALE
    assert set(actual) == set(weights) == set(HOURGLASS.kernels)
    assert all(np.array_equal(actual[name], weights[name]) for name in weights)


def test_a_missing_skip_is_named(tmp_path: Path) -> None:
    weights = _network().weights()
    del weights["conv4_up_skip"]
    with pytest.raises(
        ModelError, match=r"conv4_up_skip is missing.*of the hourglass pose network"
    ):
        write_onnx(tmp_path / "model.onnx", weights, SCALE)


def test_a_few_steps_of_training(finished: Path) -> None:
    torch.manual_seed(OPTIONS.seed)
    before = PoseNet(HOURGLASS).weights()
    after, _ = read_checkpoint(finished / "last.safetensors")
    assert set(after) == set(HOURGLASS.kernels)
    assert all(not np.array_equal(before[name], after[name]) for name in after)
    record = json.loads((finished / "train.json").read_text())
    assert record["network"] == record["options"]["network"] == "hourglass"
    assert 0 < record["operations_share"] < 1


@pytest.mark.parametrize("aware", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_resumed_run_ends_with_the_same_weights(data: Path, tmp_path: Path, aware: bool) -> None:
    options = replace(OPTIONS, conversion_aware=aware, aware_share=0.6, activation_price=0.5)
    whole, out = tmp_path / "whole", tmp_path / "run"
    train(data, whole, options)
    with pytest.raises(KeyboardInterrupt):
        train(data, out, options, reporter=Interrupter(6))
    train(data, out, resume=True)
    assert (out / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()


def test_a_training_starts_from_an_hourglass(data: Path, finished: Path, tmp_path: Path) -> None:
    options = replace(
        OPTIONS, network=None, init=str(finished / "model.onnx"), epochs=1, learning_rate=1e-12
    )
    out = tmp_path / "run"
    train(data, out, options)
    expected, _ = read_checkpoint(finished / "last.safetensors")
    actual, _ = read_checkpoint(out / "last.safetensors")
    for name, kernel in expected.items():
        np.testing.assert_allclose(actual[name], kernel, atol=1e-6)
    assert json.loads((out / "train.json").read_text())["network"] == "hourglass"
    train(data, out, replace(options, epochs=2), resume=True)
    with pytest.raises(
        UsageError, match=r"--network dhp19; .*model.onnx holds a network hourglass"
    ):
        train(data, tmp_path / "other", replace(options, network="dhp19"))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_what_was_trained_on_the_grid_is_converted_without_rounding(
    data: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, conversion_aware=True, aware_share=0.6)
    run, out = tmp_path / "run", tmp_path / "sdnn"
    train(data, run, options)
    report = convert(
        run / "model.onnx",
        data,
        out,
        ConvertOptions(max_frames=4),
        is_trainable=is_pose_network,
    )
    assert "on the grid already" in report.plan.rounding
    assert report.pose_network
    spec, weights = read_spec(out / "sdnn.h5"), read_checkpoint(run / "last.safetensors")[0]
    for layer in spec.layers[:-1]:
        names = [layer.name, f"{layer.name}_skip"][: len(layer.synapses)]
        for name, synapse in zip(names, layer.synapses, strict=True):
            np.testing.assert_array_equal(synapse.weight / 64, weights[name])
    error = report.fidelity.heatmap_relative_error
    assert error is not None
    assert 0 < error < 0.1
