"""Weights from the published Keras file's structure, and from checkpoints of ours."""

from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from ann2sdnn.ann.architectures import DHP19
from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.weights.checkpoint import read_checkpoint, write_checkpoint
from ann2sdnn.ann.weights.keras import ImportedNetwork, import_network, read_keras_weights
from ann2sdnn.support.errors import ModelError, OutputError

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def kernels() -> dict[str, Array]:
    """Kernels in Keras' layout: [3, 3, in, out], transposed layers [3, 3, out, in]."""
    random = np.random.default_rng(0)
    made = {}
    for layer in DHP19.layers:
        a, b = layer.in_channels, layer.out_channels
        shape = (3, 3, b, a) if layer.transposed else (3, 3, a, b)
        made[layer.name] = random.normal(size=shape).astype(np.float32)
    return made


def _write(path: Path, kernels: dict[str, Array], root: str = "model_weights/") -> Path:
    with h5py.File(path, "w") as file:
        file.create_group(f"{root}pool1")
        for name, kernel in kernels.items():
            file[f"{root}{name}/{name}/kernel:0"] = kernel
    return path


def _checkpoint(path: Path) -> dict[str, Array]:
    torch.manual_seed(0)
    weights = PoseNet().weights()
    write_checkpoint(path, weights, 1 / 255)
    return weights


@pytest.mark.parametrize("root", ["model_weights/", ""])
def test_kernels_are_read_in_torch_order(
    tmp_path: Path, kernels: dict[str, Array], root: str
) -> None:
    weights = read_keras_weights(_write(tmp_path / "k.model", kernels, root))
    assert list(weights) == [layer.name for layer in DHP19.layers]
    # [out, in, row, column] of a convolution, [in, out, row, column] of a transposed one
    assert weights["conv2a"][5, 3, 0, 2] == kernels["conv2a"][0, 2, 3, 5]
    assert weights["conv3_up"][60, 30, 1, 2] == kernels["conv3_up"][1, 2, 30, 60]
    assert sum(one.size for one in weights.values()) == 218_592


def test_a_keras_file_becomes_onnx(tmp_path: Path, kernels: dict[str, Array]) -> None:
    out = tmp_path / "model.onnx"
    imported = import_network(_write(tmp_path / "k.model", kernels), out)
    assert imported == ImportedNetwork("Keras", 1.0, 218_592)
    model = onnx.load(str(out))
    assert {one.key: one.value for one in model.metadata_props} == {"ann2sdnn.input_scale": "1.0"}
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    assert np.array_equal(stored["conv1_weight"], kernels["conv1"].transpose(3, 2, 0, 1))


def test_a_checkpoint_becomes_onnx(tmp_path: Path) -> None:
    weights = _checkpoint(tmp_path / "last.safetensors")
    imported = import_network(tmp_path / "last.safetensors", tmp_path / "model.onnx")
    assert imported == ImportedNetwork("checkpoint", 1 / 255, 218_592)
    model = onnx.load(str(tmp_path / "model.onnx"))
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    assert np.array_equal(stored["conv3_up_weight"], weights["conv3_up"])


def test_an_existing_file_is_kept_without_force(tmp_path: Path, kernels: dict[str, Array]) -> None:
    source, out = _write(tmp_path / "k.model", kernels), tmp_path / "model.onnx"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        import_network(source, out)
    assert out.read_text() == "mine"
    import_network(source, out, force=True)
    assert out.stat().st_size > 800_000


def test_a_missing_layer(tmp_path: Path, kernels: dict[str, Array]) -> None:
    fewer = {name: kernel for name, kernel in kernels.items() if name != "conv4_up"}
    with pytest.raises(ModelError, match="layer conv4_up has no kernel"):
        read_keras_weights(_write(tmp_path / "k.model", fewer))


def test_another_networks_shape(tmp_path: Path, kernels: dict[str, Array]) -> None:
    other = kernels | {"conv2a": kernels["conv2a"][:, :, :, :16]}
    with pytest.raises(ModelError, match=r"conv2a .*\[16, 16, 3, 3\].*expected \[32, 16, 3, 3\]"):
        read_keras_weights(_write(tmp_path / "k.model", other))
    flat = kernels | {"conv2a": kernels["conv2a"].reshape(-1)}
    with pytest.raises(ModelError, match=r"conv2a is .*expected four axes"):
        read_keras_weights(_write(tmp_path / "k.model", flat))


def test_weights_that_are_not_numbers(tmp_path: Path, kernels: dict[str, Array]) -> None:
    bad = kernels | {"conv5a": np.full_like(kernels["conv5a"], np.nan)}
    with pytest.raises(ModelError, match="conv5a has weights that are not finite"):
        import_network(_write(tmp_path / "k.model", bad), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_bias(tmp_path: Path, kernels: dict[str, Array]) -> None:
    path = _write(tmp_path / "k.model", kernels)
    with h5py.File(path, "a") as file:
        file["model_weights/conv3a/conv3a/bias:0"] = np.zeros(64)
    with pytest.raises(ModelError, match="conv3a has a bias"):
        read_keras_weights(path)


def test_a_truncated_keras_file(tmp_path: Path, kernels: dict[str, Array]) -> None:
    path = _write(tmp_path / "k.model", kernels)
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ModelError, match="cannot be read as HDF5"):
        import_network(path, tmp_path / "model.onnx")


def test_files_that_hold_no_network(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        import_network(tmp_path / "absent", tmp_path / "model.onnx")
    (tmp_path / "text").write_text("no network at all")
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        import_network(tmp_path / "text", tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="cannot be read as HDF5"):
        read_keras_weights(tmp_path / "text")


def test_a_checkpoint_comes_back_as_written(tmp_path: Path) -> None:
    weights = _checkpoint(tmp_path / "a.safetensors")
    again, scale = read_checkpoint(tmp_path / "a.safetensors")
    assert scale == 1 / 255
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_a_damaged_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    _checkpoint(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        read_checkpoint(path)


def test_a_checkpoint_that_does_not_say_its_scale(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    save_file(PoseNet().weights(), str(path))
    with pytest.raises(ModelError, match="does not say its input scale"):
        read_checkpoint(path)
