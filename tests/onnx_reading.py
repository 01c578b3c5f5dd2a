"""One small network read and run, and the same in ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper
from onnx_models import model_of, random_weights

from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import ModelError

RNG = np.random.default_rng(0)
KERNEL = random_weights(RNG, 3, 2, 3, 3)
BIAS = random_weights(RNG, 3)
X = RNG.random((1, 2, 6, 7)).astype(np.float32)
node = helper.make_node


def read(model: Any, folder: Path) -> Graph:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return read_onnx(path)


def output(graph: Graph, x: NDArray[np.float32] = X) -> NDArray[np.float32]:
    found: NDArray[np.float32] = FloatNetwork(graph)(torch.from_numpy(x)).numpy()
    return found


def expected_output(model: Any, x: NDArray[np.float32] = X) -> NDArray[np.float32]:
    """ONNX Runtime's without its optimiser, which joins a Pad with poolings that are too small."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (found,) = session.run(None, {"x": x})
    result: NDArray[np.float32] = found
    return result


def assert_same(model: Any, folder: Path, n_layers: int) -> Graph:
    graph = read(model, folder)
    expected = expected_output(model)
    assert np.abs(expected).max() > 0.01
    found = output(graph).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(graph.layers) == n_layers
    return graph


def refused(model: Any, folder: Path, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        read(model, folder)


def one(operator: str, constants: Mapping[str, NDArray[Any]], **attributes: Any) -> Any:
    """One node "n" that reads 2 x 6 x 7 and ``constants``."""
    only = node(operator, ["x", *constants], ["y"], name="n", **attributes)
    return model_of([only], (1, 2, 6, 7), constants, axes=4)
