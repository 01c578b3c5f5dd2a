"""What is no ReLU network at the end is left to the host, which computes it in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_models import model_of, random_weights
from onnx_reading import KERNEL, X, node, read, refused

from ann2sdnn.graph.arrangement import Data, Held
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.tail import Tail, network_of, tail_of
from ann2sdnn.graph.operations import FloatNetwork

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
RNG = np.random.default_rng(5)
LOGITS = [
    node("Conv", ["x", "w"], ["a"]),
    node("Relu", ["a"], ["b"]),
    node("Flatten", ["b"], ["f"]),
    node("Gemm", ["f", "m"], ["logits"]),
]
CONSTANTS = {"w": KERNEL, "m": random_weights(RNG, 60, 5), "k": np.array([2])}


def outputs_of(model: Any, names: Sequence[str]) -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return list(session.run(list(names), {"x": X}))


def outputs_of_graph(graph: Graph) -> NDArray[np.float32]:
    outputs: NDArray[np.float32] = FloatNetwork(graph)(torch.from_numpy(X)).numpy()
    return outputs


def modelled(
    nodes: Sequence[Any], outputs: Mapping[str, tuple[int, int]], constants: Mapping[str, Any]
) -> Any:
    """A model with ``outputs`` of these types and numbers of axes."""
    model = model_of(nodes, (1, 2, 6, 7), constants, outputs=list(outputs))
    for value, (kind, axes) in zip(model.graph.output, outputs.values(), strict=True):
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, [None] * axes))
    return model


@pytest.mark.parametrize(
    ("tail", "outputs", "named"),
    [
        ([node("ArgMax", ["logits"], ["y"], axis=1)], {"y": (INT64, 2)}, "ArgMax"),
        (
            [node("Softmax", ["logits"], ["p"]), node("TopK", ["p", "k"], ["v", "i"])],
            {"v": (FLOAT, 2), "i": (INT64, 2)},
            "Softmax, TopK",
        ),
        ([node("Tanh", ["logits"], ["y"])], {"y": (FLOAT, 2)}, "Tanh"),
        (
            [node("Sigmoid", ["logits"], ["s"]), node("Mul", ["logits", "s"], ["y"])],
            {"y": (FLOAT, 2)},
            "Sigmoid, Mul",
        ),
    ],
)
def test_the_host_computes_the_tail(
    tail: Sequence[Any], outputs: Mapping[str, tuple[int, int]], named: str, tmp_path: Path
) -> None:
    model = modelled([*LOGITS, *tail], outputs, CONSTANTS)
    graph = read(model, tmp_path)
    assert graph.output_shape == (5, 1, 1)
    (note,) = graph.notes
    assert f"ends with the tensor logits [1, 5]; what follows it ({named})" in note
    file = load_onnx(tmp_path / "model.onnx")
    host = tail_of(file, graph)
    assert host is not None
    found = host.run({"logits": outputs_of_graph(graph).repeat(3, axis=0)})
    for name, expected in zip(outputs, outputs_of(model, list(outputs)), strict=True):
        assert found[name].shape == (3, *expected.shape[1:])
        np.testing.assert_allclose(found[name], expected.repeat(3, axis=0), atol=1e-5)
    # Without it the file answers as the graph does, and holds no weights that it does not need.
    (alone,) = outputs_of(network_of(file.model, ["logits"]), ["logits"])
    np.testing.assert_allclose(
        graph.held[0].data.unpacked(alone),
        outputs_of_graph(graph),
        atol=1e-5,
    )
    assert {t.name for t in host.model.graph.initializer} <= {"k"}
    assert host.operators == tuple(named.split(", "))


@pytest.mark.parametrize("splits", [True, False])
def test_boxes_are_decoded_by_the_host(splits: bool, tmp_path: Path) -> None:
    """Heads of detectors: split channels, exponentials, anchors that differ from cell to cell."""
    constants = {
        "w": random_weights(RNG, 6, 2, 3, 3),
        "s": np.array([1, 2, 3, 20]),
        "anchors": RNG.random((1, 2, 3, 20)).astype(np.float32),
    }
    nodes = [
        node("Conv", ["x", "w"], ["head"]),
        node("Reshape", ["head", "s"], ["r"]),
        node("Exp", ["r"], ["e"]),
        node("Mul", ["e", "anchors"], ["y"]),
    ]
    if not splits:  # the network could go on after the scale of each cell, but for what follows it
        constants["anchors"] = RNG.random((6, 4, 5)).astype(np.float32)
        nodes[1:] = [node("Mul", ["head", "anchors"], ["m"]), node("Exp", ["m"], ["y"])]
    model = modelled(nodes, {"y": (FLOAT, 4)}, constants)
    graph = read(model, tmp_path)
    assert graph.output_shape == (6, 4, 5)
    host = tail_of(load_onnx(tmp_path / "model.onnx"), graph)
    assert host is not None
    found = host.run({host.held[0].name: outputs_of_graph(graph)})
    np.testing.assert_allclose(found["y"], outputs_of(model, ["y"])[0], rtol=1e-4)


def test_an_output_that_is_channels_last_is_put_in_order_for_the_host(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
        node("ArgMax", ["b"], ["y"], axis=-1),
    ]
    model = modelled(nodes, {"y": (INT64, 4)}, {"w": KERNEL})
    graph = read(model, tmp_path)
    host = tail_of(load_onnx(tmp_path / "model.onnx"), graph)
    assert host is not None
    found = host.run({host.held[0].name: outputs_of_graph(graph)})
    np.testing.assert_array_equal(found["y"], outputs_of(model, ["y"])[0])


def test_a_network_without_a_tail_has_none(tmp_path: Path) -> None:
    graph = read(model_of(LOGITS, (1, 2, 6, 7), CONSTANTS, outputs=["logits"], axes=2), tmp_path)
    assert tail_of(load_onnx(tmp_path / "model.onnx"), graph) is None


def test_what_belongs_to_a_network_is_no_tail(tmp_path: Path) -> None:
    """A pooling that cannot be converted is refused with its remedy, also at the very end."""
    pool = node("AveragePool", ["b"], ["y"], name="p", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    model = model_of([*LOGITS[:2], pool], (1, 2, 6, 7), CONSTANTS)
    refused(model, tmp_path, r"node p \(AveragePool\): its windows at the border count fewer")


def test_a_tail_with_operators_of_another_domain_is_refused(tmp_path: Path) -> None:
    tail = [node("Tanh", ["logits"], ["t"]), node("Acme", ["t"], ["y"], domain="com.acme")]
    model = model_of([*LOGITS, *tail], (1, 2, 6, 7), CONSTANTS, axes=2, domains=["com.acme"])
    refused(model, tmp_path, r"\(Tanh\): this operator cannot be converted")


def tail_in(model: Any, folder: Path) -> tuple[Tail, NDArray[np.float32]]:
    """The tail of ``model``, and the graph's outputs for X and two variations of it."""
    graph = read(model, folder)
    tail = tail_of(load_onnx(folder / "model.onnx"), graph)
    assert tail is not None
    frames = torch.from_numpy(np.concatenate([X, X[:, ::-1].copy(), 0.3 * X]))
    return tail, FloatNetwork(graph)(frames).numpy()


def test_a_file_with_a_fixed_batch_gets_as_many_frames(tmp_path: Path) -> None:
    nodes = [*LOGITS, node("ArgMax", ["logits"], ["y"], axis=1, keepdims=0)]
    model = model_of(nodes, (2, 2, 6, 7), CONSTANTS, outputs=["y"])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", INT64, [2]))
    tail, outputs = tail_in(model, tmp_path)
    found = tail.run({"logits": outputs})["y"]
    np.testing.assert_array_equal(found, outputs[:, :, 0, 0].argmax(axis=1))


def test_frames_may_answer_with_different_numbers_of_values(tmp_path: Path) -> None:
    """As the boxes that a NonMaxSuppression leaves do."""
    nodes = [
        *LOGITS,
        node("Greater", ["logits", "zero"], ["positive"]),
        node("NonZero", ["positive"], ["places"]),
        node("Transpose", ["places"], ["y"]),
    ]
    constants = CONSTANTS | {"zero": np.float32(0)}
    tail, outputs = tail_in(modelled(nodes, {"y": (INT64, 2)}, constants), tmp_path)
    found = tail.run({"logits": outputs})["y"]
    assert found.shape == (3,)
    assert len({len(one) for one in found}) > 1, "nothing to tell apart"
    for places, frame in zip(found, outputs[:, :, 0, 0], strict=True):
        np.testing.assert_array_equal(places[:, 1], np.flatnonzero(frame > 0))


def test_an_output_without_an_axis_of_frames_gets_one(tmp_path: Path) -> None:
    nodes = [*LOGITS, node("Tanh", ["logits"], ["t"]), node("Squeeze", ["t", "first"], ["y"])]
    constants = CONSTANTS | {"first": np.array([0])}
    tail, outputs = tail_in(modelled(nodes, {"y": (FLOAT, 1)}, constants), tmp_path)
    found = tail.run({"logits": outputs})["y"]
    np.testing.assert_allclose(found, np.tanh(outputs[:, :, 0, 0]), atol=1e-6)


def test_a_tail_may_ask_for_the_shape_of_the_input(tmp_path: Path) -> None:
    """torch exports a view of an open batch so; the tail itself has no such input."""
    nodes = [
        *LOGITS,
        node("Tanh", ["logits"], ["t"]),
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["n"]),
        node("Concat", ["n", "rest"], ["target"], axis=0),
        node("Reshape", ["t", "target"], ["y"]),
    ]
    constants = CONSTANTS | {"first": np.array([0]), "rest": np.array([5, 1])}
    tail, outputs = tail_in(modelled(nodes, {"y": (FLOAT, 3)}, constants), tmp_path)
    found = tail.run({"logits": outputs})["y"]
    np.testing.assert_allclose(found, np.tanh(outputs[:, :, :, 0]), atol=1e-6)


def test_a_tail_may_begin_at_several_tensors() -> None:
    nodes = [node("Sigmoid", ["b"], ["s"]), node("Mul", ["a", "s"], ["y"])]
    model = model_of(nodes, (1, 4, 2, 3), {}, outputs=["y"])
    held = tuple(Held(name, Data(1, (4, 2, 3))) for name in "ab")
    value = model.graph.input.pop()
    for one in held:
        value.name = one.name
        model.graph.input.append(value)
    tensors = {name: RNG.standard_normal((3, 4, 2, 3)).astype(np.float32) for name in "ab"}
    found = Tail(model, held).run(tensors)["y"]
    np.testing.assert_allclose(found, tensors["a"] / (1 + np.exp(-tensors["b"])), rtol=1e-5)
