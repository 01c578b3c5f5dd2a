"""Where a training starts: given networks keep their weights and their input scale."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx_models import ModelBuilder, random_weights

from ann2sdnn.ann.architectures import DHP19
from ann2sdnn.ann.network import PoseNet, Weights
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.weights.checkpoint import write_checkpoint
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.ann.weights.read import read_network
from ann2sdnn.support.errors import ModelError

SCALE = 0.37


def _weights() -> Weights:
    torch.manual_seed(3)
    return PoseNet().weights()


def _written(folder: Path, kind: str) -> Path:
    weights = _weights()
    path = folder / f"network.{kind}"
    if kind == "onnx":
        write_onnx(path, weights, SCALE)
    elif kind == "safetensors":
        write_checkpoint(path, weights, SCALE)
    else:
        with h5py.File(path, "w") as file:
            for name, kernel in weights.items():
                group = f"model_weights/{name}/{name}/kernel:0"
                file[group] = np.transpose(kernel, (2, 3, 1, 0))
    return path


@pytest.mark.parametrize(("kind", "scale"), [("onnx", SCALE), ("safetensors", SCALE), ("model", 1)])
def test_each_kind_of_file_gives_the_same_network(tmp_path: Path, kind: str, scale: float) -> None:
    weights, input_scale = read_network(_written(tmp_path, kind))
    assert input_scale == scale
    for name, expected in _weights().items():
        np.testing.assert_array_equal(weights[name], expected)


def test_files_that_hold_no_such_network(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_network(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match="no ONNX file, checkpoint or Keras file"):
        read_network(tmp_path / "text.onnx")
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", random_weights(np.random.default_rng(0), 4, 1, 3, 3)).add("Relu")
    with pytest.raises(ModelError, match="layer conv1 is missing"):
        read_network(builder.save(tmp_path / "other.onnx"))


def test_an_onnx_file_without_an_input_scale_is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path, "onnx")
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save_model(model, str(path))
    with pytest.raises(ModelError, match="does not say its input scale"):
        read_network(path)


def test_fine_tuning_is_gentler_unless_told_otherwise() -> None:
    scratch = TrainOptions.with_changes({"epochs": 3})
    assert scratch == replace(TrainOptions(), epochs=3)
    tuned = TrainOptions.with_changes({"init": "model.onnx"})
    assert tuned.learning_rate < scratch.learning_rate
    assert tuned.aware_share == 1.0
    told = TrainOptions.with_changes({"init": "model.onnx", "learning_rate": 0.5})
    assert told.learning_rate == 0.5


def test_all_layers_are_looked_for() -> None:
    assert len(_weights()) == len(DHP19.layers)
