"""What onnx's checker lets pass and cannot be converted is refused, with operator, node, reason."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_models import model_of, random_weights
from onnx_reading import node, one, read, refused

from ann2sdnn.graph.arrangement import Data, Held
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx import reader as onnx_reader
from ann2sdnn.graph.onnx.check import compare_with_onnx_runtime
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.support.errors import ModelError

RNG = np.random.default_rng(0)
KERNEL = random_weights(RNG, 4, 2, 3, 3)
Constants = Mapping[str, NDArray[Any]]


def test_a_network_without_outputs_is_refused(tmp_path: Path) -> None:
    model = model_of([node("Conv", ["x", "w"], ["y"])], (1, 2, 6, 7), {"w": KERNEL})
    del model.graph.output[:]
    refused(model, tmp_path, r"0 outputs \(none\); expected one")


def test_operators_of_another_domain_are_not_onnx_s(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["y"], name="n", domain="com.acme"),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}, domains=["com.acme"])
    refused(model, tmp_path, r"node n \(com\.acme::Relu\): this operator cannot be converted")


def test_a_foreign_operator_among_constants_is_named(tmp_path: Path) -> None:
    nodes = [
        node("Identity", ["w"], ["v"], name="odd", domain="com.acme"),
        node("Conv", ["x", "v"], ["y"], name="n"),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL}, domains=["com.acme"])
    sentence = r"node n \(Conv\): it reads v from node odd \(com\.acme::Identity\), which cannot"
    refused(model, tmp_path, sentence)


def test_a_constant_that_would_fill_the_memory_is_not_computed(tmp_path: Path) -> None:
    nodes = [
        node("ConstantOfShape", ["s"], ["v"], name="odd"),
        node("Conv", ["x", "v"], ["y"], name="n"),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"s": np.array([10**6, 2, 10**4, 10**4])})
    refused(model, tmp_path, r"node odd \(ConstantOfShape\).*it would have the shape")


@pytest.mark.parametrize(
    ("operator", "constants", "attributes", "sentence"),
    [
        ("Clip", {"a": np.float32(6), "b": np.float32(0)}, {}, "its limits are 6 and 0"),
        ("Clip", {"a": np.zeros(2, np.float32)[:0]}, {}, r"its min is of type float32 and shape"),
        ("Max", {"a": RNG.random((6, 7), np.float32)}, {}, r"its limit .* and shape \(6, 7\)"),
        ("Add", {"a": RNG.random((6, 7), np.float32)}, {}, "differs from pixel to pixel"),
        ("Mul", {"a": RNG.random((2, 6, 7), np.float32)}, {}, "differs from pixel to pixel"),
        ("Div", {"a": np.zeros(1, np.float32)}, {}, "it divides by 0"),
        ("PRelu", {"a": RNG.random((6, 7), np.float32)}, {}, "one number per channel"),
        ("Tanh", {}, {}, "cannot be converted; train with ReLU, ReLU6 or LeakyReLU"),
        ("LRN", {}, {"size": 3}, "cannot be converted; train with BatchNorm2d"),
        ("Add", {"a": np.ones((3, 2, 1, 1), np.float32)}, {}, r"of shape \(3, 2, 1, 1\) is added"),
        ("Add", {"a": np.ones((1, 1, 2, 1, 1), np.float32)}, {}, "is added to"),
        ("ReduceMean", {}, {"axes": [1]}, r"a mean over the axes \[1\] of \[1, 2, 6, 7\]"),
        ("ReduceMean", {}, {}, "a mean over the axes all"),
        ("ReduceMax", {}, {"axes": [1, 2]}, "a maximum over the axes"),
        ("Cast", {}, {"to": TensorProto.INT32}, "it casts to a type that is no float"),
        ("Softmax", {}, {"axis": 1}, "stands before every layer"),
        (
            "BatchNormalization",
            {name: np.ones(2 if name != "m" else 1, np.float32) for name in "abmv"},
            {},
            r"a mean of shape \(1,\) for 2 channels",
        ),
        (
            "BatchNormalization",
            {name: np.full(2, -1 if name == "v" else 1, np.float32) for name in "abmv"},
            {},
            "variance plus epsilon is not above 0",
        ),
    ],
)
def test_what_is_more_than_a_layer(
    operator: str,
    constants: Constants,
    attributes: Mapping[str, Any],
    sentence: str,
    tmp_path: Path,
) -> None:
    model = one(operator, {k: np.asarray(v) for k, v in constants.items()}, **attributes)
    refused(model, tmp_path, rf"node n \({operator}\): .*{sentence}")


def test_tensors_of_different_shapes_are_not_added(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="c"),
        node("GlobalAveragePool", ["a"], ["b"], name="p"),
        node("Add", ["a", "b"], ["c"], name="skip"),
        node("Conv", ["c", "v"], ["y"], name="d"),
    ]
    constants = {"w": KERNEL, "v": np.ones((1, 4, 1, 1), np.float32)}
    sentence = (
        r"node skip \(Add\): it adds \[1, 4, 4, 5\] and \[1, 4, 1, 1\]; expected tensors of one"
    )
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, sentence)


def test_tensors_are_not_multiplied(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="c"),
        node("Relu", ["a"], ["b"], name="r"),
        node("Mul", ["a", "b"], ["m"], name="gate"),
        node("Conv", ["m", "v"], ["y"], name="d"),
    ]
    constants = {"w": KERNEL, "v": np.ones((1, 4, 1, 1), np.float32)}
    sentence = r"node gate \(Mul\): it combines 2 tensors of the network; only additions"
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, sentence)


@pytest.mark.parametrize(("kind", "name"), [(TensorProto.UINT8, "UINT8"), (99, "99")])
def test_inputs_of_another_type(kind: int, name: str, tmp_path: Path) -> None:
    model = one("Conv", {"w": KERNEL})
    model.graph.input[0].type.tensor_type.elem_type = kind
    refused(model, tmp_path, f"the input x is of type {name}; expected FLOAT")


def test_an_unknown_data_type_of_a_weight(tmp_path: Path) -> None:
    model = one("Conv", {"w": KERNEL})
    model.graph.initializer[0].data_type = 99
    refused(model, tmp_path, "99")


def test_an_output_that_does_not_depend_on_the_input(tmp_path: Path) -> None:
    model = model_of([node("Identity", ["w"], ["y"])], (1, 2, 6, 7), {"w": KERNEL})
    refused(model, tmp_path, "the output y does not depend on the input")


def test_what_onnx_runtime_computes_otherwise_is_named_by_its_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's mistake in the second layer: the first is right, and so named is the second."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="first"),
        node("Relu", ["a"], ["b"], name="relu"),
        node("Conv", ["b", "v"], ["c"], name="second", pads=[1, 0, 0, 0]),
        node("Conv", ["c", "u"], ["y"], name="third"),
    ]
    rng = np.random.default_rng(1)
    constants = {"w": KERNEL, "v": random_weights(rng, 3, 4, 2, 2)}
    constants["u"] = random_weights(rng, 2, 3, 1, 1)
    model = model_of(nodes, (1, 2, 6, 7), constants)
    graph = read(model, tmp_path)
    data = Data(1, (2, 6, 7))
    tensors = [
        Held(name, data.after(layer.output_shape))
        for name, layer in zip("bcy", graph.layers, strict=True)
    ]
    compare_with_onnx_runtime(model, graph, tensors, data)
    layers = list(graph.layers)
    layers[1] = replace(layers[1], geometry=Convolution(pads=(0, 0, 1, 0)))
    wrong = Graph(graph.input_shape, tuple(layers))
    with pytest.raises(ModelError, match=r"layer second \(conv\) computes something else"):
        compare_with_onnx_runtime(model, wrong, tensors, data)
    # Every way of reading a network compares.
    monkeypatch.setattr(
        onnx_reader,
        "compare_with_onnx_runtime",
        lambda model, graph, *others: compare_with_onnx_runtime(model, wrong, *others),
    )
    with pytest.raises(ModelError, match="layer second"):
        read_onnx(tmp_path / "model.onnx")
    assert len(read_onnx(tmp_path / "model.onnx", compare=False).layers) == 3


def test_a_bias_of_another_length_behind_a_clip_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Clip", ["c", "low", "high"], ["r"]),
        node("Conv", ["r", "v", "b"], ["y"], name="n"),
    ]
    constants = {"w": KERNEL, "v": random_weights(np.random.default_rng(1), 4, 4, 1, 1)}
    constants |= {"low": np.asarray(-1, np.float32), "high": np.asarray(1, np.float32)}
    constants["b"] = np.zeros(2, np.float32)
    model = model_of(nodes, (1, 2, 6, 7), constants)
    refused(model, tmp_path, r"node n \(Conv\): a bias of shape \(2,\) for 4 channels")


def test_frames_show_what_the_random_input_does_not(tmp_path: Path) -> None:
    """A reader's mistake that only values above 255 show."""
    nodes = [
        node("Clip", ["x", "low", "high"], ["c"]),
        node("Conv", ["c", "w"], ["y"], name="n"),
    ]
    constants = {"low": np.float32(0), "high": np.float32(300), "w": KERNEL}
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    model = model_of(nodes, (1, 2, 6, 7), arrays)
    plain = model_of([node("Conv", ["x", "w"], ["y"])], (1, 2, 6, 7), {"w": KERNEL})
    wrong, data = read(plain, tmp_path), Data(1, (2, 6, 7))
    tensors = [Held("y", data.after(wrong.output_shape))]
    frames = {"frame 7": np.full((2, 6, 7), 200, np.uint8)}
    compare_with_onnx_runtime(model, wrong, tensors, data, frames)
    frames["frame 8"] = np.full((2, 6, 7), 1000, np.float32)
    with pytest.raises(ModelError, match="frame 8 makes a difference of"):
        compare_with_onnx_runtime(model, wrong, tensors, data, frames)


def test_large_weights_that_cancel_are_no_difference(tmp_path: Path) -> None:
    """Rounding is relative to the sum of absolute products, not to what is left of it."""
    rng = np.random.default_rng(2)
    half = rng.standard_normal((1, 400, 3, 3)).astype(np.float32) * 1000
    weight = np.concatenate([half, -half], axis=1)
    double = np.concatenate([np.eye(400), np.eye(400)]).reshape(800, 400, 1, 1)
    nodes = [node("Conv", ["x", "d"], ["a"]), node("Conv", ["a", "w"], ["y"])]
    constants = {"d": double.astype(np.float32), "w": weight}
    assert len(read(model_of(nodes, (1, 400, 8, 8), constants), tmp_path).layers) == 2


def test_a_second_output_that_is_used_is_named(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("MaxPool", ["a"], ["b", "i"], name="n", kernel_shape=[2, 2]),
        node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL})
    refused(model, tmp_path, r"node n \(MaxPool\): its output i is used, and only the first")


def test_a_node_with_graphs_of_its_own_is_named(tmp_path: Path) -> None:
    kind = helper.make_tensor_value_info
    then, other = (
        helper.make_graph([node(name, ["a"], [name])], name, [], [kind(name, 1, None)])
        for name in ("Relu", "Neg")
    )
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("If", ["yes"], ["y"], name="n", then_branch=then, else_branch=other),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL, "yes": np.array(True)})
    refused(model, tmp_path, r"node n \(If\): it holds graphs of its own")


def test_a_batch_normalisation_of_an_old_training_graph(tmp_path: Path) -> None:
    per_channel = {name: np.ones(4, np.float32) for name in "sbmv"}
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("BatchNormalization", ["a", *per_channel], [*"ycdef"], name="n"),
    ]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL, **per_channel}, opset=9)
    refused(model, tmp_path, r"node n \(BatchNormalization\): it has 5 outputs.*evaluation mode")


def test_the_first_node_that_is_not_computed_is_named(tmp_path: Path) -> None:
    nodes = [
        node("RandomNormal", [], ["r"], name="dice", shape=[4, 2, 3, 3]),
        node("Abs", ["r"], ["v"]),
        node("Conv", ["x", "v"], ["y"], name="n"),
    ]
    sentence = r"node n \(Conv\): it reads v from node dice \(RandomNormal\), which cannot"
    refused(model_of(nodes, (1, 2, 6, 7)), tmp_path, sentence)


def test_an_open_number_of_channels_is_named(tmp_path: Path) -> None:
    model = model_of([node("Conv", ["x", "w"], ["y"])], (1, "C", 6, 7), {"w": KERNEL})
    refused(model, tmp_path, "leaves its number of channels open")
    model = model_of([node("Gemm", ["x", "w"], ["y"])], (1, "K"), {"w": KERNEL[0, 0]}, axes=2)
    refused(model, tmp_path, "leaves its number of values open")


def test_an_output_declared_as_another_type_is_refused(tmp_path: Path) -> None:
    model = one("Relu", {})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    refused(model, tmp_path, "ONNX Runtime cannot run the network: .*int64")


def test_what_is_no_file_is_not_said_to_be_missing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="is a device or a pipe"):
        read_onnx(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"cannot be read: .*File name too long"):
        read_onnx(tmp_path / f"{'x' * 300}.onnx")
