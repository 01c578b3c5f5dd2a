"""The graph computes what ONNX Runtime computes, operator by operator; the rest is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import FloatArray, ModelBuilder, random_weights, run_onnx

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import ModelError


def assert_same_as_onnx_runtime(path: Path, x: FloatArray) -> Graph:
    """Read, run and compare; relative to the largest output, which must not be zero."""
    graph = read_onnx(path)
    expected = run_onnx(path, x)
    found = FloatNetwork(graph)(torch.from_numpy(x)).numpy()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(
        found.reshape(expected.shape), expected, atol=1e-5 * np.abs(expected).max()
    )
    return graph


def check(builder: ModelBuilder, folder: Path, rng: np.random.Generator) -> Graph:
    shape = tuple(int(d) for d in builder.input_shape)
    x = rng.random(shape, np.float32)
    return assert_same_as_onnx_runtime(builder.save(folder / "model.onnx"), x)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_convolution(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    groups = data.draw(st.sampled_from([1, 2]))
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    pads = data.draw(st.tuples(*[st.integers(0, 3)] * 4))
    bias = random_weights(rng, 6) if data.draw(st.booleans()) else None
    constants = [random_weights(rng, 6, 4 // groups, *kernel)] + ([] if bias is None else [bias])
    builder = ModelBuilder((2, 4, 11, 12)).add(
        "Conv",
        *constants,
        group=groups,
        pads=pads,
        strides=data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        dilations=data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
    )
    check(builder, tmp_path_factory.mktemp("conv"), rng)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_transposed_convolution(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    groups = data.draw(st.sampled_from([1, 2]))
    stride = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    output_padding = tuple(data.draw(st.integers(0, s - 1)) for s in stride)
    builder = ModelBuilder((2, 4, 5, 6)).add(
        "ConvTranspose",
        random_weights(rng, 4, 3, *data.draw(st.tuples(st.integers(2, 4), st.integers(2, 4)))),
        random_weights(rng, 3 * groups),
        group=groups,
        strides=stride,
        pads=data.draw(st.tuples(*[st.integers(0, 2)] * 4)),
        output_padding=output_padding,
    )
    check(builder, tmp_path_factory.mktemp("convt"), rng)


def test_keras_same_transposed_convolution_crops_the_end(tmp_path: Path) -> None:
    """By hand: a single 1 at (1, 1) of a 3x3 input writes its kernel at rows and columns 2..4."""
    kernel = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
    builder = ModelBuilder((1, 1, 3, 3)).add(
        "ConvTranspose", kernel, strides=(2, 2), pads=(0, 0, 1, 1)
    )
    graph = read_onnx(builder.save(tmp_path / "m.onnx"))
    x = torch.zeros(1, 1, 3, 3)
    x[0, 0, 1, 1] = 1
    out = FloatNetwork(graph)(x)[0, 0].numpy()
    assert out.shape == (6, 6)
    expected = np.zeros((6, 6), np.float32)
    expected[2:5, 2:5] = kernel[0, 0]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 3), (2, 2), (1, 1, 1, 1)),
        ((2, 3), (1, 2), (0, 1, 1, 0)),
    ],
)
def test_pooling_after_relu_joins_its_layer(
    tmp_path: Path,
    op_type: str,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    pads: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(0)
    extra = {"count_include_pad": 1} if op_type == "AveragePool" else {}
    builder = (
        ModelBuilder((1, 2, 9, 11))
        .add("Conv", random_weights(rng, 3, 2, 3, 3))
        .add("Relu")
        .add(op_type, kernel_shape=kernel, strides=stride, pads=pads, **extra)
        .add("Conv", random_weights(rng, 2, 3, 1, 1))
    )
    graph = check(builder, tmp_path, rng)
    assert len(graph.layers) == 2


def test_max_pooling_before_relu_commutes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    builder = (
        ModelBuilder((1, 2, 8, 8))
        .add("Conv", random_weights(rng, 3, 2, 3, 3))
        .add("MaxPool", kernel_shape=(2, 2), strides=(2, 2))
        .add("Relu")
    )
    assert len(check(builder, tmp_path, rng).layers) == 1


def test_average_pooling_before_relu_does_not_commute(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    builder = (
        ModelBuilder((1, 2, 8, 8))
        .add("Conv", random_weights(rng, 3, 2, 3, 3))
        .add("AveragePool", kernel_shape=(2, 2), strides=(2, 2))
        .add("Relu")
    )
    assert len(check(builder, tmp_path, rng).layers) == 2


@pytest.mark.parametrize("first", ["Conv", "ConvTranspose", "Gemm"])
def test_batch_normalisation_is_folded(tmp_path: Path, first: str) -> None:
    rng = np.random.default_rng(3)
    if first == "Gemm":
        builder = ModelBuilder((2, 5)).add("Gemm", random_weights(rng, 5, 3))
    else:
        shape = (3, 2, 3, 3) if first == "Conv" else (2, 3, 3, 3)
        builder = ModelBuilder((2, 2, 6, 6)).add(first, random_weights(rng, *shape))
    scale, shift, mean = (rng.standard_normal(3).astype(np.float32) for _ in range(3))
    variance = rng.random(3, np.float32) + 0.1
    builder.add("BatchNormalization", scale, shift, mean, variance, epsilon=1e-3).add("Relu")
    assert len(check(builder, tmp_path, rng).layers) == 1


def test_batch_normalisation_after_relu_becomes_a_layer(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    scale, shift, mean = (rng.standard_normal(3).astype(np.float32) for _ in range(3))
    builder = (
        ModelBuilder((1, 2, 6, 6))
        .add("Conv", random_weights(rng, 3, 2, 3, 3))
        .add("Relu")
        .add("BatchNormalization", scale, shift, mean, rng.random(3, np.float32) + 0.1)
        .add("Conv", random_weights(rng, 2, 3, 3, 3), pads=(1, 1, 1, 1))
    )
    assert len(check(builder, tmp_path, rng).layers) == 3


@pytest.mark.parametrize("flatten", ["Flatten", "Reshape"])
@pytest.mark.parametrize("transposed", [0, 1])
def test_dense_layers(tmp_path: Path, flatten: str, transposed: int) -> None:
    rng = np.random.default_rng(5)
    builder = ModelBuilder((2, 2, 6, 6)).add("Conv", random_weights(rng, 3, 2, 3, 3)).add("Relu")
    builder.add("Dropout").add("Identity")
    if flatten == "Flatten":
        builder.add("Flatten")
    else:
        builder.add("Reshape", np.array([0, -1], np.int64))
    weight = random_weights(rng, 7, 48)
    builder.add(
        "Gemm",
        weight if transposed else weight.T.copy(),
        random_weights(rng, 7),
        transB=transposed,
        alpha=0.5,
        beta=2.0,
    ).add("Relu").add("Gemm", random_weights(rng, 7, 4))
    assert [layer.geometry.name for layer in check(builder, tmp_path, rng).layers] == [
        "conv",
        "dense",
        "dense",
    ]


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_auto_pad(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(6)
    builder = ModelBuilder((1, 2, 9, 10)).add(
        "Conv", random_weights(rng, 3, 2, 4, 3), strides=(2, 2), auto_pad=mode
    )
    check(builder, tmp_path, rng)


def test_pooling_of_the_input_gets_an_identity_layer(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    builder = ModelBuilder((1, 2, 8, 8)).add("MaxPool", kernel_shape=(2, 2), strides=(2, 2))
    builder.add("Conv", random_weights(rng, 3, 2, 3, 3)).add("GlobalAveragePool")
    assert len(check(builder, tmp_path, rng).layers) == 2


def test_open_size_is_filled_in_and_a_wrong_one_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    weight = random_weights(rng, 3, 1, 3, 3)
    open_size = ModelBuilder(("N", 1, "H", "W")).add("Conv", weight).save(tmp_path / "open.onnx")
    assert read_onnx(open_size, input_size=(20, 24)).input_shape == (1, 20, 24)
    with pytest.raises(ModelError, match="leaves the size of its input open"):
        read_onnx(open_size)
    fixed = ModelBuilder((1, 1, 8, 8)).add("Conv", weight).save(tmp_path / "fixed.onnx")
    with pytest.raises(ModelError, match="takes inputs of 8x8, the recordings have 20x24"):
        read_onnx(fixed, input_size=(20, 24))


def test_input_scale_comes_from_the_file_and_can_be_overridden(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 1, 4, 4)).add("Conv", np.ones((1, 1, 1, 1), np.float32))
    assert read_onnx(builder.save(tmp_path / "a.onnx")).input_scale == 1.0
    builder.metadata["ann2sdnn.input_scale"] = "0.25"
    path = builder.save(tmp_path / "b.onnx")
    assert read_onnx(path).input_scale == 0.25
    assert read_onnx(path, input_scale=2.0).input_scale == 2.0
    builder.metadata["ann2sdnn.input_scale"] = "a quarter"
    with pytest.raises(ModelError, match="'a quarter', not a number"):
        read_onnx(builder.save(tmp_path / "c.onnx"))


@pytest.mark.parametrize(
    ("builder", "sentence"),
    [
        (ModelBuilder((1, 2, 4, 4)).add("Sigmoid"), r"n0_Sigmoid \(Sigmoid\).*cannot be converted"),
        (
            ModelBuilder((1, 2, 5, 5)).add(
                "AveragePool", kernel_shape=(2, 2), strides=(2, 2), ceil_mode=1
            ),
            r"n0_AveragePool \(AveragePool\): its windows at the border count fewer",
        ),
        (
            ModelBuilder((1, 2, 4, 4)).add(
                "AveragePool", kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1)
            ),
            "its windows at the border count fewer",
        ),
        (
            ModelBuilder((1, 2, 4, 4)).add("Conv", np.full((2, 2, 1, 1), np.nan, np.float32)),
            "weight holds a NaN",
        ),
        (ModelBuilder((1, 2, 4, 4)).add("Flatten", axis=2), "axis = 2"),
        (ModelBuilder((1, 2, 4, 4)).add("Identity"), "no layer with weights"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    tmp_path: Path, builder: ModelBuilder, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        read_onnx(builder.save(tmp_path / "model.onnx"))


def test_only_a_dense_layer_can_follow_a_flatten(tmp_path: Path) -> None:
    builder = ModelBuilder((1, 2, 4, 4)).add("Flatten")
    builder.add("Conv", np.ones((1, 2, 1, 1), np.float32))
    with pytest.raises(ModelError, match=r"n1_Conv.*only Gemm can stand after a Flatten"):
        read_onnx(builder.save(tmp_path / "model.onnx"))


def test_a_network_of_additions_only_is_read(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, 4, 4])
    out = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 1, 4, 4])
    nodes = [
        helper.make_node("Relu", ["input"], ["a"], name="first"),
        helper.make_node("Add", ["input", "a"], ["sum"], name="skip"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [value], [out]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, str(tmp_path / "m.onnx"))
    graph = read_onnx(tmp_path / "m.onnx")
    assert [layer.name for layer in graph.layers] == ["first", "skip"]
    assert graph.reads == ((0,), (0, 1))


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        read_onnx(tmp_path / "missing.onnx")
    for name in ("text.onnx", "text.json", "text.textproto"):
        text = tmp_path / name
        text.write_text('{"not": "a network"}')
        with pytest.raises(ModelError, match="is not a"):
            read_onnx(text)
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="is not a"):
        read_onnx(tmp_path / "empty.onnx")
    whole = ModelBuilder((1, 1, 4, 4)).add("Conv", np.ones((1, 1, 3, 3), np.float32))
    path = whole.save(tmp_path / "whole.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="is not a"):
        read_onnx(path)


def test_the_whole_pose_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_onnx(tmp_path / "model.onnx", PoseNet().weights(), 1.0)
    x = np.random.default_rng(0).random((1, 1, 64, 80), np.float32)
    graph = read_onnx(tmp_path / "model.onnx", input_size=(64, 80))
    expected = run_onnx(tmp_path / "model.onnx", x)
    found = FloatNetwork(graph)(torch.from_numpy(x)).numpy()
    assert graph.n_weights == 218_592
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-5 * expected.max())
