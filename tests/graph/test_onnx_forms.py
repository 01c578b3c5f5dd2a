"""What exporters write around layers is read: means, clips, biases as additions, endings."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import ModelBuilder, model_of, random_weights
from onnx_reading import BIAS, KERNEL, assert_same, expected_output, node, output, read
from recordings import write_recordings

from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.support.errors import ModelError


@pytest.mark.parametrize(
    ("opset", "inputs", "attributes"),
    [
        (18, ["a", "axes"], {"keepdims": 1}),
        (18, ["a", "negative"], {"keepdims": 1}),
        (18, ["a", "axes"], {"keepdims": 0}),
        (17, ["a"], {"axes": [2, 3]}),
        (13, ["a"], {"axes": [-2, -1], "keepdims": 0}),
    ],
)
def test_an_adaptive_average_pooling_as_torch_exports_it(
    opset: int, inputs: Sequence[str], attributes: Mapping[str, Any], tmp_path: Path
) -> None:
    flat = attributes.get("keepdims") == 0
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["a"]),
        node("ReduceMean", inputs, ["p"], **attributes),
        node("Identity", ["p"], ["f"]) if flat else node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "m"], ["y"]),
    ]
    constants = {
        "w": KERNEL,
        "m": random_weights(np.random.default_rng(4), 3, 4),
        "axes": np.array([2, 3]),
        "negative": np.array([-1, -2]),
    }
    model = model_of(nodes, (1, 2, 6, 7), constants, axes=2, opset=opset)
    assert_same(model, tmp_path, 3)  # the average over 20 pixels is a layer of its own


def test_a_mean_over_rows_only(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 2, 6, 7)).add("Conv", KERNEL).add("ReduceMean", axes=[2])
    model = builder.build()
    model.graph.node[0].input[0] = model.graph.input[0].name = "x"
    assert assert_same(model, tmp_path, 1).output_shape == (3, 1, 5)


@pytest.mark.parametrize("largest", [None, np.float32(np.inf), np.finfo(np.float32).max])
def test_a_clip_at_zero_is_a_relu(largest: Any, tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Clip", ["a", "low", "high"], ["y"])]
    constants = {"w": KERNEL, "low": np.zeros((), np.float32)}
    if largest is None:
        nodes[1].input.pop()
    else:
        constants["high"] = np.asarray(largest, np.float32)
    assert assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 1).layers[0].relu


def test_a_clip_by_attributes_is_a_relu(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Clip", ["a"], ["y"], min=0.0)]
    assert_same(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}, opset=10), tmp_path, 1)


@pytest.mark.parametrize("n_pools", [1, 2])
def test_a_padded_max_pooling_before_its_relu(n_pools: int, tmp_path: Path) -> None:
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    names = ["a", *(f"p{i}" for i in range(n_pools))]
    # Far below 0, where padding with zeros would be the maximum.
    constants = {"w": KERNEL, "b": BIAS - 0.3}
    nodes = [node("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1])]
    nodes += [node("MaxPool", [a], [b], **pool) for a, b in pairwise(names)]
    nodes.append(node("Relu", [names[-1]], ["y"]))
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, n_pools)
    assert graph.layers[0].relu


def test_a_padded_max_pooling_without_a_relu_is_refused(tmp_path: Path) -> None:
    pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [node("Conv", ["x", "w"], ["a"]), node("MaxPool", ["a"], ["y"], **pool)]
    with pytest.raises(ModelError, match="padded max pooling without a ReLU before it"):
        read(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}), tmp_path)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 1, 1), (1,), ()])
@pytest.mark.parametrize("first", [True, False])
def test_a_bias_as_a_node_of_its_own(shape: tuple[int, ...], first: bool, tmp_path: Path) -> None:
    bias = BIAS.reshape(shape) if 3 in shape else np.full(shape, 0.3, np.float32)
    inputs = ["a", "b"] if first else ["b", "a"]
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Add", inputs, ["c"]),
        node("Relu", ["c"], ["y"]),
    ]
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL, "b": bias}), tmp_path, 1)
    assert graph.layers[0].bias is not None


def test_a_matrix_product_with_a_bias(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("MatMul", ["f", "m"], ["a"]),
        node("Add", ["b", "a"], ["y"]),
    ]
    constants = {"m": random_weights(rng, 84, 5), "b": random_weights(rng, 1, 5)}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants, axes=2), tmp_path, 1)


@pytest.mark.parametrize("ending", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_an_ending_is_left_out_with_a_sentence(ending: str, tmp_path: Path) -> None:
    attributes = {} if ending == "Sigmoid" else {"axis": 1}
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node(ending, ["a"], ["b"], name="last", **attributes),
        node("Identity", ["b"], ["y"]),
    ]
    graph = read(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}), tmp_path)
    nodes = [node("Conv", ["x", "w"], ["y"])]
    expected = expected_output(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}))
    np.testing.assert_allclose(output(graph), expected, atol=1e-5)
    (note,) = graph.notes
    assert note.startswith(f"{ending} at the end of the network (last) is left out")


def test_the_user_is_told_of_the_ending(tmp_path: Path) -> None:
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", np.full((2, 1, 3, 3), 1 / 9, np.float32), strides=(8, 8)).add("Sigmoid")
    data, out = write_recordings(tmp_path / "data"), tmp_path / "sdnn"
    options = ConvertOptions(input_scale=1 / 255, max_frames=4)
    convert(builder.save(tmp_path / "m.onnx"), data, out, options)
    assert read_report(out / "report.json").warnings[0].startswith("Sigmoid at the end")


@pytest.mark.parametrize("operator", ["Softmax", "Sigmoid"])
def test_an_ending_in_the_middle_is_refused(operator: str, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node(operator, ["a"], ["b"], name="s"),
        node("Relu", ["b"], ["c"], name="r"),
        node("Conv", ["c", "v"], ["y"], name="d"),
    ]
    sentence = rf"node s \({operator}\): .*at the very end, but d \(Conv\) follows"
    constants = {"w": KERNEL, "v": np.ones((1, 3, 1, 1), np.float32)}
    with pytest.raises(ModelError, match=sentence):
        read(model_of(nodes, (1, 2, 6, 7), constants), tmp_path)


@pytest.mark.parametrize(
    ("opset", "attributes", "where"),
    [
        (17, {"axis": 1}, " along axis 1 of [1, 3, 4, 5]"),
        (17, {"axis": -2}, " along axis 2 of [1, 3, 4, 5]"),
        (17, {}, " along axis 3 of [1, 3, 4, 5]"),
        (11, {}, ""),
        (11, {"axis": 2}, " along the axes from 2 on of [1, 3, 4, 5]"),
    ],
)
def test_it_is_said_between_which_values_the_order_stays(
    opset: int, attributes: Mapping[str, int], where: str, tmp_path: Path
) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Softmax", ["a"], ["y"], **attributes)]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}, opset=opset)
    (note,) = read(model, tmp_path).notes
    assert f"; the order of the values{where} stays; evaluate" in note
