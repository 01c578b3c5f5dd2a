"""What exporters write in their own way: scikit-learn, ONNX Runtime's optimiser, Keras, torch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_models import model_of, random_weights
from onnx_reading import BIAS, KERNEL, node, output, read, refused

RNG = np.random.default_rng(31)
HEAD = random_weights(RNG, 4, 3, 3, 3)
FIRST = [node("Conv", ["x", "w", "b"], ["c"]), node("Relu", ["c"], ["r"])]
CONSTANTS: dict[str, NDArray[Any]] = {"w": KERNEL, "b": BIAS, "v": HEAD}


def test_a_classifier_of_scikit_learn(tmp_path: Path) -> None:
    """skl2onnx scales, and ends with a probability per class in a map (ai.onnx.ml)."""
    domain = "ai.onnx.ml"
    offset, scale = RNG.random(5, np.float32), RNG.random(5, np.float32) + 0.5
    nodes = [
        node("Scaler", ["x"], ["s"], domain=domain, offset=list(offset), scale=list(scale)),
        node("MatMul", ["s", "m"], ["a"]),
        node("Add", ["a", "c"], ["d"]),
        node("Relu", ["d"], ["r"]),
        node("MatMul", ["r", "k"], ["e"]),
        node("Softmax", ["e"], ["p"]),
        node("ArgMax", ["p"], ["i"], axis=1),
        node("ZipMap", ["p"], ["probabilities"], domain=domain, classlabels_int64s=[0, 1, 2]),
        node("ArrayFeatureExtractor", ["classes", "i"], ["label"], domain=domain),
    ]
    constants = {
        "m": random_weights(RNG, 5, 6),
        "c": random_weights(RNG, 6),
        "k": random_weights(RNG, 6, 3),
        "classes": np.array([4, 5, 6]),
    }
    model = model_of(nodes, (1, 5), constants, outputs=["label", "probabilities"], axes=2)
    model.opset_import.append(helper.make_opsetid(domain, 3))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    del model.graph.output[1]
    graph = read(model, tmp_path)
    x = RNG.random((1, 5, 1, 1), np.float32)
    hidden = np.maximum(((x[:, :, 0, 0] - offset) * scale) @ constants["m"] + constants["c"], 0)
    np.testing.assert_allclose(output(graph, x)[:, :, 0, 0], hidden @ constants["k"], atol=1e-5)
    assert "ZipMap" not in graph.notes[0]  # it is no output here
    assert "ai.onnx.ml::ArrayFeatureExtractor" in graph.notes[0]


def test_a_foreign_operator_with_weights_is_no_tail(tmp_path: Path) -> None:
    nodes = [
        *FIRST,
        node("Flatten", ["r"], ["f"]),
        node("Softmax", ["f"], ["s"]),
        node("Head", ["s"], ["y"], domain="com.acme"),
    ]
    model = model_of(nodes, (1, 2, 6, 7), CONSTANTS, axes=2, domains=("com.acme",))
    refused(model, tmp_path, r"y \(com.acme::Head\) follows")
