"""Weights and shapes out of other nodes, old opsets, functions, equal names: legal, and read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model_of, random_weights
from onnx_reading import BIAS, KERNEL, X, assert_same, expected_output, node, output, read

from ann2sdnn.graph.onnx.file.session import open_session
from ann2sdnn.graph.onnx.reader import read_onnx


def convolved(constants: Mapping[str, NDArray[Any]], nodes: Sequence[Any], opset: int = 17) -> Any:
    """A convolution whose weight "w" comes out of ``nodes``."""
    conv = node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    return model_of([*nodes, conv], (1, 2, 6, 7), constants, opset=opset)


@pytest.mark.parametrize(
    ("constants", "nodes"),
    [
        ({"a": KERNEL}, [node("Identity", ["a"], ["w"])]),
        ({"a": KERNEL.transpose(1, 0, 2, 3)}, [node("Transpose", ["a"], ["w"], perm=[1, 0, 2, 3])]),
        ({"a": KERNEL.astype(np.float64)}, [node("Cast", ["a"], ["w"], to=TensorProto.FLOAT)]),
        ({"a": KERNEL.astype(np.float16)}, [node("Cast", ["a"], ["w"], to=TensorProto.FLOAT)]),
        (
            {"a": KERNEL.reshape(-1), "s": np.array([3, 2, 3, -1])},
            [node("Reshape", ["a", "s"], ["w"])],
        ),
        (
            {
                "a": (KERNEL * 100).astype(np.int8),
                "s": np.array([0.01, 0.02, 0.03], np.float32),
                "z": np.array([0, 1, 2], np.int8),
            },
            [node("DequantizeLinear", ["a", "s", "z"], ["w"], axis=0)],
        ),
        (
            {"a": KERNEL, "g": np.full((3, 1, 1, 1), 0.5, np.float32)},
            [node("Mul", ["a", "g"], ["w"])],
        ),
        (
            # Weight normalisation.
            {"a": KERNEL, "g": np.full((3, 1, 1, 1), 0.5, np.float32)},
            [
                node("ReduceL2", ["a"], ["n"], axes=[1, 2, 3]),
                node("Div", ["a", "n"], ["d"]),
                node("Mul", ["d", "g"], ["w"]),
            ],
        ),
        (
            {"a": KERNEL.repeat(2, axis=0), "s": np.array([3, 3])},
            [node("Split", ["a", "s"], ["w", "rest"])],
        ),
        ({"a": KERNEL}, [node("Tanh", ["a"], ["w"])]),
        (
            {"a": KERNEL.reshape(-1)},
            [
                node("Constant", [], ["s"], value_ints=[3, 2, 3, 3]),
                node("Reshape", ["a", "s"], ["w"]),
            ],
        ),
        (
            {},
            [
                node("Constant", [], ["a"], value_floats=KERNEL.reshape(-1).tolist()),
                node("Constant", [], ["s"], value=numpy_helper.from_array(np.array([3, 2, 3, 3]))),
                node("Reshape", ["a", "s"], ["w"]),
            ],
        ),
        (
            {"a": KERNEL[0], "b": KERNEL[1:], "axes": np.array([0])},
            [
                node("Unsqueeze", ["a", "axes"], ["c"]),
                node("Concat", ["c", "b"], ["w"], axis=0),
            ],
        ),
    ],
)
def test_weights_through_other_nodes(
    constants: Mapping[str, NDArray[Any]], nodes: Sequence[Any], tmp_path: Path
) -> None:
    assert_same(convolved(constants, nodes), tmp_path, 1)


def test_a_bias_left_out(tmp_path: Path) -> None:
    conv = node("Conv", ["x", "w", ""], ["y"])
    assert_same(model_of([conv], (1, 2, 6, 7), {"w": KERNEL}), tmp_path, 1)


def test_equal_node_names_are_made_different(tmp_path: Path) -> None:
    """ONNX allows them, ONNX Runtime does not."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], name="conv"),
        node("Conv", ["b", "v"], ["c"], name="conv"),
        node("Conv", ["c", "u"], ["y"], name="conv_2"),
    ]
    rng = np.random.default_rng(1)
    constants = {
        "w": KERNEL,
        "v": random_weights(rng, 2, 3, 1, 1),
        "u": np.ones((1, 2, 1, 1), np.float32),
    }
    graph = read(model_of(nodes, (1, 2, 6, 7), constants), tmp_path)
    assert [layer.name for layer in graph.layers] == ["conv", "conv_4", "conv_2"]
    for one in nodes:
        one.name = ""
    expected = expected_output(model_of(nodes, (1, 2, 6, 7), constants))
    np.testing.assert_allclose(output(graph), expected, atol=1e-5)


def test_nodes_that_the_output_does_not_need_are_left_out(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["y"]),
        node("Sigmoid", ["x"], ["dead"]),
        node("Shape", ["y"], ["deader"]),
    ]
    assert_same(model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}), tmp_path, 1)


@pytest.mark.parametrize("batch", ["N", 1])
def test_a_view_with_the_batch_of_its_input(batch: int | str, tmp_path: Path) -> None:
    """`x.view(x.size(0), -1)` as torch writes it with a dynamic batch."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Shape", ["a"], ["shape"]),
        node("Constant", [], ["zero"], value_int=0),
        node("Gather", ["shape", "zero"], ["size"], axis=0),
        node("Constant", [], ["axes"], value_ints=[0]),
        node("Unsqueeze", ["size", "axes"], ["sizes"]),
        node("Constant", [], ["rest"], value_ints=[-1]),
        node("Concat", ["sizes", "rest"], ["target"], axis=0),
        node("Reshape", ["a", "target"], ["flat"]),
        node("Gemm", ["flat", "m", "b"], ["y"]),
    ]
    rng = np.random.default_rng(2)
    constants = {"w": KERNEL, "m": random_weights(rng, 60, 4), "b": random_weights(rng, 4)}
    assert_same(model_of(nodes, (batch, 2, 6, 7), constants, axes=2), tmp_path, 2)


def test_shapes_that_depend_on_the_size_of_the_recordings(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        node("Shape", ["a"], ["shape"], start=2, end=3),
        node("Constant", [], ["front"], value_ints=[1, 3]),
        node("Constant", [], ["back"], value_ints=[-1]),
        node("Concat", ["front", "shape", "back"], ["target"], axis=0),
        node("Reshape", ["a", "target"], ["y"]),
    ]
    path = tmp_path / "model.onnx"
    model = model_of(nodes, ("N", 2, "H", "W"), {"w": KERNEL})
    path.write_bytes(model.SerializeToString())
    assert read_onnx(path, input_size=(9, 11)).output_shape == (3, 9, 11)


@pytest.mark.parametrize("opset", [6, 7, 9, 11, 13, 21, 23])
def test_old_and_new_opsets(opset: int, tmp_path: Path) -> None:
    """Before opset 7 a bias is broadcast by an attribute."""
    old = {"broadcast": 1} if opset < 7 else {}
    axis = {"axis": 1, **old} if opset < 7 else {}
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["c"], **axis),
        node("Relu", ["c"], ["d"]),
        node("GlobalAveragePool", ["d"], ["e"]),
        node("Flatten", ["e"], ["f"]),
        node("Gemm", ["f", "m", "g"], ["y"], **old),
    ]
    rng = np.random.default_rng(3)
    constants = {
        "w": KERNEL,
        "b": BIAS if opset < 7 else BIAS.reshape(3, 1, 1),
        "m": random_weights(rng, 3, 4),
        "g": random_weights(rng, 4),
    }
    model = model_of(nodes, (1, 2, 6, 7), constants, axes=2, opset=opset)
    graph = read(model, tmp_path)
    a = torch.conv2d(torch.from_numpy(X), torch.from_numpy(KERNEL), torch.from_numpy(BIAS))
    expected = a.relu().mean((2, 3)).numpy() @ constants["m"] + constants["g"]
    np.testing.assert_allclose(output(graph).reshape(1, 4), expected, atol=1e-5)


def test_functions_of_the_file_are_inlined(tmp_path: Path) -> None:
    block = helper.make_function(
        "local",
        "Block",
        ["a", "weight"],
        ["b"],
        [node("Conv", ["a", "weight"], ["c"]), node("Relu", ["c"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    call = node("Block", ["x", "w"], ["y"], domain="local")
    model = model_of([call], (1, 2, 6, 7), {"w": KERNEL}, domains=["local"], functions=[block])
    assert_same(model, tmp_path, 1)


def test_a_model_of_a_newer_file_format_is_read(tmp_path: Path) -> None:
    model = model_of([node("Conv", ["x", "w"], ["y"])], (1, 2, 6, 7), {"w": KERNEL})
    model.ir_version = onnx.IR_VERSION
    assert len(read(model, tmp_path).layers) == 1


def test_onnx_runtime_optimises_a_constant_that_is_cast_like_another(tmp_path: Path) -> None:
    constants: dict[str, NDArray[Any]] = {
        "a": KERNEL.astype(np.float16),
        "t": np.zeros((), np.float32),
    }
    model = convolved(constants, [node("CastLike", ["a", "t"], ["w"])])
    session = open_session(model)  # its own CastLike ends the process
    (found,) = session.run(None, {"x": X})
    assert np.abs(found - output(read(model, tmp_path))).max() < 1e-5


def test_outputs_left_out_by_an_empty_name(tmp_path: Path) -> None:
    per_channel = {name: np.full(3, 0.5, np.float32) for name in "sbmv"}
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("BatchNormalization", ["a", *per_channel], ["c", "", "", "", ""]),
        node("MaxPool", ["c"], ["d", ""], kernel_shape=[2, 2]),
        node("Dropout", ["d"], ["y", ""]),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL, **per_channel}, opset=9)
    assert len(read(model, tmp_path).layers) == 1


@pytest.mark.parametrize("opset", [1, 4])
def test_a_reshape_by_an_attribute(opset: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    constants = {"w": random_weights(rng, 4, 84), "b": random_weights(rng, 4)}
    nodes = [
        node("Reshape", ["x"], ["a"], shape=[0, -1]),
        node("Gemm", ["a", "w", "b"], ["y"], transB=1, broadcast=1),
    ]
    model = model_of(nodes, (1, 2, 6, 7), constants, axes=2, opset=opset)
    expected = X.reshape(1, -1) @ constants["w"].T + constants["b"]
    np.testing.assert_allclose(output(read(model, tmp_path)).reshape(1, -1), expected, atol=1e-5)
