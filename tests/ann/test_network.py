"""The pose network, and its ONNX file against plain definitions of the operators."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from ann2sdnn.ann.architectures import ARCHITECTURES, DHP19, Architecture
from ann2sdnn.ann.network import LAST_LAYER_GAIN, PoseNet, is_pose_network
from ann2sdnn.ann.weights.onnx_export import build_onnx, write_onnx
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.reader import graph_of
from ann2sdnn.support.errors import ModelError

Array = NDArray[np.float32]


def _weights(seed: int = 0, architecture: Architecture = DHP19) -> dict[str, Array]:
    """Weights with a last layer as strong as the others, so that maps are worth comparing."""
    torch.manual_seed(seed)
    weights = PoseNet(architecture).weights()
    return weights | {"pred_cube": weights["pred_cube"] / np.float32(LAST_LAYER_GAIN)}


def _values_at(model: onnx.ModelProto, frames: Array, *names: str) -> list[Array]:
    """Run an ONNX model and return the tensors ``names``, inner ones included."""
    for name in names:
        if name not in {output.name for output in model.graph.output}:
            model.graph.output.append(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(list(names), {"frames": frames}))


def _convolve(x: Array, weight: Array, dilation: int) -> Array:
    """out[o, r, c] = sum over i, k, l of x[i, r + (k-1)d, c + (l-1)d] w[o, i, k, l]."""
    out = np.zeros((len(weight), *x.shape[1:]))
    for r, c in np.ndindex(*x.shape[1:]):
        for k, m in np.ndindex(3, 3):
            row, column = r + (k - 1) * dilation, c + (m - 1) * dilation
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                out[:, r, c] += weight[:, :, k, m] @ x[:, row, column]
    return out.astype(np.float32)


def _transposed_convolve(x: Array, weight: Array) -> Array:
    """Output row n gets tap k from input row (n - k) / 2, where that is a row; columns alike."""
    out = np.zeros((weight.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
    for r, c in np.ndindex(*out.shape[1:]):
        for k, m in np.ndindex(3, 3):
            row, column = (r - k) / 2, (c - m) / 2
            if row in range(x.shape[1]) and column in range(x.shape[2]):
                out[:, r, c] += weight[:, :, k, m].T @ x[:, int(row), int(column)]
    return out.astype(np.float32)


def test_seventeen_layers_and_their_weights() -> None:
    network = PoseNet()
    assert len(DHP19.layers) == 17
    assert sum(one.numel() for one in network.parameters()) == 218_592
    assert [layer.out_channels for layer in DHP19.layers] == (
        [16, 32, 32, 32, 64, 64, 64, 64, 32, 32, 32, 32, 32, 16, 16, 16, 13]
    )
    assert [n for n, layer in enumerate(DHP19.layers, 1) if layer.dilation == 2] == [
        *(5, 6, 7, 8),
        *(10, 11, 12, 13),
    ]
    assert [n for n, layer in enumerate(DHP19.layers, 1) if layer.transposed] == [9, 14]
    assert [n for n, layer in enumerate(DHP19.layers, 1) if layer.pool] == [1, 4]


def test_heat_maps_have_the_frames_size() -> None:
    network = PoseNet()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 64, 80)).shape == (2, 13, 64, 80)
        assert network(torch.zeros(1, 1, 260, 344)).shape == (1, 13, 260, 344)


@pytest.mark.parametrize("size", [(62, 80), (64, 81)])
def test_sizes_that_cannot_be_pooled(size: tuple[int, int]) -> None:
    with pytest.raises(ModelError, match=f"{size[0]}x{size[1]} pixels.*multiples of 4"):
        PoseNet()(torch.zeros(1, 1, *size))


def test_the_initial_signal_neither_dies_nor_explodes() -> None:
    gains = []  # of the power, over sixteen layers; the last one starts near zero
    for seed in range(5):
        torch.manual_seed(seed)
        frames = torch.rand(1, 1, 64, 80)
        with torch.no_grad():
            maps = PoseNet()(frames) / LAST_LAYER_GAIN
            gains.append(float(maps.square().mean() / frames.square().mean()))
    assert 0.1 < np.median(gains) < 10


def test_a_negative_slope_is_for_the_last_layer_only() -> None:
    network = PoseNet.from_weights(_weights())
    frames = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        plain, sloped = network(frames), network(frames, 0.5)
    assert (plain >= 0).all()
    assert (sloped < 0).any()
    assert torch.equal(sloped.relu(), plain)


def test_weights_survive_the_way_there_and_back() -> None:
    weights = _weights()
    again = PoseNet.from_weights(weights).weights()
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_onnx_runtime_computes_what_the_definitions_say() -> None:
    weights = _weights()
    frames = np.random.default_rng(0).random((1, 1, 24, 32), np.float32)
    values = _values_at(
        build_onnx(weights, 1.0),
        frames,
        *("conv1_relu_out", "conv1_pool_out"),
        *("conv3a_relu_out", "conv3b_out"),
        *("conv3d_relu_out", "conv3_up_out"),
    )
    unpooled, pooled, before, dilated, coarse, fine = (value[0] for value in values)
    blocks = [unpooled[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    assert np.array_equal(pooled, np.maximum.reduce(blocks))
    assert before.max() > 0.01
    np.testing.assert_allclose(dilated, _convolve(before, weights["conv3b"], 2), atol=1e-5)
    assert coarse.max() > 0.01
    np.testing.assert_allclose(fine, _transposed_convolve(coarse, weights["conv3_up"]), atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda each: each.name)
@pytest.mark.parametrize("shape", [(1, 1, 64, 80), (3, 1, 32, 36)])
def test_torch_and_onnx_runtime_agree(
    tmp_path: Path, shape: tuple[int, ...], architecture: Architecture
) -> None:
    weights = _weights(1, architecture)
    write_onnx(tmp_path / "model.onnx", weights, 1 / 255)
    frames = np.random.default_rng(1).random(shape, np.float32)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    (actual,) = session.run(None, {"frames": frames})
    with torch.no_grad():
        expected = PoseNet.from_weights(weights)(torch.from_numpy(frames)).numpy()
    assert expected.max() > 0.01
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_what_the_onnx_file_says(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(path, _weights(), 1 / 255)
    model = onnx.load(str(path))
    (scale,) = [one.value for one in model.metadata_props if one.key == "ann2sdnn.input_scale"]
    assert float(scale) == 1 / 255
    assert model.ir_version <= 10
    assert [node.name for node in model.graph.node[:4]] == [
        *("conv1", "conv1_relu", "conv1_pool"),
        "conv2a",
    ]
    assert [node.op_type for node in model.graph.node].count("ConvTranspose") == 2
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    missing = _weights()
    del missing["conv4a"]
    with pytest.raises(ModelError, match="layer conv4a is missing"):
        write_onnx(tmp_path / "model.onnx", missing, 1.0)
    wrong = _weights()
    wrong["conv1"] = wrong["conv1"][:8]
    with pytest.raises(ModelError, match=r"conv1 has a kernel of shape \[8, 1, 3, 3\]"):
        PoseNet.from_weights(wrong)
    bad = _weights()
    bad["pred_cube"][0, 0, 0, 0] = np.nan
    with pytest.raises(ModelError, match="pred_cube has weights that are not finite"):
        write_onnx(tmp_path / "model.onnx", bad, 1.0)
    assert not list(tmp_path.iterdir())


def test_the_pose_network_is_recognised_by_its_layers(tmp_path: Path) -> None:
    write_onnx(tmp_path / "pose.onnx", _weights(), 1.0)
    graph = graph_of(load_onnx(tmp_path / "pose.onnx"), input_size=(32, 32))
    assert is_pose_network(graph)
    assert not is_pose_network(replace(graph, layers=graph.layers[:-1]))
