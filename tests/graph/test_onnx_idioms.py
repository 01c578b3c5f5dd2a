"""What exporters write in their own way: scikit-learn, ONNX Runtime's optimiser, Keras, torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_models import model_of, random_weights
from onnx_reading import BIAS, KERNEL, X, assert_same, expected_output, node, output, read, refused

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


def fused(name: str, inputs: Sequence[str], last: str, **attributes: Any) -> Any:
    return node(name, inputs, [last], name="n", domain="com.microsoft", **attributes)


@pytest.mark.parametrize(
    ("activation", "parameters", "n_layers"),
    [
        ("Relu", [], 2),
        ("LeakyRelu", [0.2], 2),
        ("Clip", [0.1, 0.8], 2),
        ("HardSigmoid", [0.3, 0.5], 2),
    ],
)
def test_convolutions_with_their_activation(
    activation: str, parameters: Sequence[float], n_layers: int, tmp_path: Path
) -> None:
    """FusedConv and FusedGemm, which ONNX Runtime's optimiser writes."""
    given = {"activation_params": parameters} if parameters else {}
    nodes = [
        fused("FusedConv", ["x", "w", "b"], "r", activation=activation, **given),
        node("Conv", ["r", "v"], ["y"]),
    ]
    model = model_of(nodes, (1, 2, 6, 7), CONSTANTS, domains=("com.microsoft",))
    assert_same(model, tmp_path, n_layers)


def test_products_with_their_activation(tmp_path: Path) -> None:
    leaky = {"activation": "LeakyRelu", "activation_alpha": 0.25}
    nodes = [
        node("Flatten", ["x"], ["f"]),
        fused("FusedGemm", ["f", "g", "h"], "r", transB=1, **leaky),
        fused("FusedMatMul", ["r", "m"], "y", transB=1, alpha=0.5),
    ]
    nodes[-1].name = "m"
    constants = {
        "g": random_weights(RNG, 6, 84),
        "h": random_weights(RNG, 6),
        "m": random_weights(RNG, 3, 6),
    }
    model = model_of(nodes, (1, 2, 6, 7), constants, axes=2, domains=("com.microsoft",))
    assert_same(model, tmp_path, 2)


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (fused("FusedConv", ["x", "w"], "y", activation="Gelu"), "activation is Gelu with 0"),
        (fused("FusedConv", ["x", "w"], "y", activation="Clip"), "activation is Clip with 0"),
        (fused("FusedMatMul", ["x", "w"], "y", transA=1), "it transposes the data"),
        (fused("BiasGelu", ["x", "w"], "y"), "train with ReLU"),
        (fused("NhwcMaxPool", ["x"], "y"), "up to ORT_ENABLE_EXTENDED"),
    ],
)
def test_other_fused_operators_are_refused(one: Any, sentence: str, tmp_path: Path) -> None:
    model = model_of([one], (1, 2, 6, 7), {"w": KERNEL}, domains=("com.microsoft",))
    refused(model, tmp_path, rf"node n \(com.microsoft::{one.op_type}\): .*{sentence}")


@pytest.mark.parametrize(
    ("cuts", "kernel", "stride"),
    [
        (([1, 0], [4, 5], [2, 3], [1, 1]), (2, 1), (1, 1)),
        (([1, -4], [-1, 99], [2, 3], [1, 2]), (3, 3), (1, 2)),
        (([0], [3], [3], [1]), (1, 3), (1, 1)),
    ],
)
def test_rows_and_columns_that_are_left_out(
    cuts: Sequence[Sequence[int]],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    tmp_path: Path,
) -> None:
    """Keras' Cropping2D and torch's x[:, :, 1:-1]."""
    names = ["starts", "ends", "axes", "steps"]
    nodes = [*FIRST, node("Slice", ["r", *names], ["s"]), node("Conv", ["s", "k"], ["y"])]
    constants = CONSTANTS | {"k": HEAD[:, :, :1, :1]}
    constants |= {name: np.array(value) for name, value in zip(names, cuts, strict=True)}
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 3)
    layer = graph.layers[1]
    assert layer.weight.shape[2:] == kernel
    assert layer.geometry.stride == stride  # type: ignore[attr-defined]


def test_channels_that_are_left_out(tmp_path: Path) -> None:
    names = {"starts": 1, "ends": 3, "axes": 1}
    nodes = [*FIRST, node("Slice", ["r", *names], ["s"]), node("Conv", ["s", "k"], ["y"])]
    constants = CONSTANTS | {"k": random_weights(RNG, 4, 2, 2, 2)}
    constants |= {name: np.array([value]) for name, value in names.items()}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 3)


@pytest.mark.parametrize(("start", "step"), [(3, -1), (9, 1)])
def test_other_slices_are_refused(start: int, step: int, tmp_path: Path) -> None:
    names = {"starts": start, "ends": 0 if step < 0 else 99, "axes": 2, "steps": step}
    nodes = [*FIRST, node("Slice", ["r", *names], ["s"], name="n"), node("Conv", ["s", "v"], ["y"])]
    constants = CONSTANTS | {name: np.array([value]) for name, value in names.items()}
    sentence = r"node n \(Slice\): .*rows, columns and channels can be cut, forwards"
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, sentence)


def repeated_pixels(operator: str) -> list[Any]:
    """Keras' UpSampling2D of one axis as tf2onnx writes it."""
    return [
        *FIRST,
        node("Unsqueeze", ["r", "axis"], ["u"]),
        node(operator, ["u", "repeats"], ["t"]),
        node("Reshape", ["t", "shape"], ["s"]),
        node("Conv", ["s", "v"], ["y"]),
    ]


@pytest.mark.parametrize("operator", ["Tile", "Expand"])
@pytest.mark.parametrize(("axis", "shape"), [(3, [1, 3, 8, 5]), (4, [1, 3, 4, 10])])
def test_pixels_repeated_along_a_new_axis(
    operator: str, axis: int, shape: Sequence[int], tmp_path: Path
) -> None:
    repeats = [1] * 5
    repeats[axis] = 2
    constants = CONSTANTS | {
        "axis": np.array([axis]),
        "repeats": np.array(repeats),
        "shape": np.array(shape),
    }
    model = model_of(repeated_pixels(operator), (1, 2, 6, 7), constants)
    assert_same(model, tmp_path, 3)


def test_a_map_repeated_as_a_whole_is_refused(tmp_path: Path) -> None:
    constants = CONSTANTS | {"n": np.array([1, 1, 2, 1])}
    nodes = [*FIRST, node("Tile", ["r", "n"], ["t"], name="n"), node("Conv", ["t", "v"], ["y"])]
    sentence = r"node n \(Tile\): .*only single rows and columns can be repeated"
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, sentence)


def test_sums_over_maps(tmp_path: Path) -> None:
    nodes = [
        *FIRST,
        node("ReduceSum", ["r", "axes"], ["s"], keepdims=0),
        node("Gemm", ["s", "m"], ["y"]),
    ]
    constants = CONSTANTS | {"axes": np.array([2, 3]), "m": random_weights(RNG, 3, 4)}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants, axes=2), tmp_path, 3)


POOLS: list[dict[str, Any]] = [
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
]


@pytest.mark.parametrize("pool", POOLS)
def test_averages_that_count_fewer_pixels_at_the_border(
    pool: Mapping[str, Any], tmp_path: Path
) -> None:
    """A dense layer takes their factors; torch's count_include_pad=False, Keras' padding='same'."""
    nodes = [*FIRST, node("AveragePool", ["r"], ["a"], name="n", **pool)]
    dense = [node("Flatten", ["a"], ["f"]), node("Gemm", ["f", "m"], ["y"])]
    after = model_of([*nodes], (1, 2, 6, 7), CONSTANTS, outputs=["a"])
    shape = expected_output(after).shape
    constants = CONSTANTS | {"m": random_weights(RNG, int(np.prod(shape[1:])), 4)}
    assert_same(model_of([*nodes, *dense], (1, 2, 6, 7), constants, axes=2), tmp_path, 2)
    nodes.append(node("Conv", ["a", "k"], ["y"]))
    constants = CONSTANTS | {"k": HEAD[:, :, :1, :1]}
    sentence = r"node n \(AveragePool\): its windows at the border count fewer .*ZeroPadding2D"
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, sentence)


def test_same_padding_that_pads_nothing(tmp_path: Path) -> None:
    pool = node(
        "AveragePool", ["r"], ["a"], kernel_shape=[2, 1], strides=[2, 1], auto_pad="SAME_UPPER"
    )
    nodes = [*FIRST, pool, node("Conv", ["a", "k"], ["y"])]
    constants = CONSTANTS | {"k": HEAD[:, :, :2, :2]}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 2)


@pytest.mark.parametrize("ends", [False, True])
def test_a_normalisation_of_every_value_before_a_relu(ends: bool, tmp_path: Path) -> None:
    """It is a dense layer with a diagonal weight."""
    nodes = [
        *FIRST,
        node("Flatten", ["r"], ["f"]),
        node("BatchNormalization", ["f", *"smnt"], ["y" if ends else "g"]),
        *([] if ends else [node("Relu", ["g"], ["h"]), node("Gemm", ["h", "k"], ["y"])]),
    ]
    per_value = {name: RNG.random(60, np.float32) + 0.5 for name in "smnt"}
    constants = CONSTANTS | {"k": random_weights(RNG, 60, 4), **per_value}
    graph = assert_same(
        model_of(nodes, (1, 2, 6, 7), constants, axes=2), tmp_path, 2 if ends else 3
    )
    assert np.count_nonzero(graph.layers[1].weight) == 60


def test_a_normalisation_of_flattened_channels_is_folded(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("GlobalAveragePool", ["c"], ["a"]),
        node("Flatten", ["a"], ["f"]),
        node("BatchNormalization", ["f", *"smnt"], ["g"]),
        node("Relu", ["g"], ["h"]),
        node("Gemm", ["h", "k"], ["y"]),
    ]
    per_channel = {name: RNG.random(3, np.float32) + 0.5 for name in "smnt"}
    constants = CONSTANTS | {"k": random_weights(RNG, 3, 4), **per_channel}
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), constants, axes=2), tmp_path, 4)
    assert all(layer.weight.shape != (3, 3) for layer in graph.layers)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_prelu_of_tf2onnx(swapped: bool, tmp_path: Path) -> None:
    """relu(x) + a * relu(-x), where a is minus the slope."""
    parts = ["p", "m"][:: -1 if swapped else 1]
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("Relu", ["c"], ["p"]),
        node("Neg", ["c"], ["d"]),
        node("Relu", ["d"], ["e"]),
        node("Mul", ["a", "e"] if swapped else ["e", "a"], ["m"]),
        node("Add", parts, ["r"]),
        node("Conv", ["r", "v"], ["y"]),
    ]
    slopes = np.array([-0.1, 0.2, -0.3], np.float32).reshape(3, 1, 1)
    model = model_of(nodes, (1, 2, 6, 7), CONSTANTS | {"a": slopes})
    graph = assert_same(model, tmp_path, 2)
    assert graph.layers[0].copies == 2


@pytest.mark.parametrize("operator", ["Less", "LessOrEqual"])
def test_a_relu_as_a_comparison(operator: str, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node(operator, ["c", "zero"], ["l"]),
        node("Where", ["l", "zero", "c"], ["r"]),
        node("Conv", ["r", "v"], ["y"]),
    ]
    constants = CONSTANTS | {"zero": np.zeros((), np.float32)}
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 2)
    assert graph.layers[0].relu


def test_another_comparison_is_no_relu(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("Less", ["c", "one"], ["l"]),
        node("Where", ["l", "one", "c"], ["r"]),
        node("Conv", ["r", "v"], ["y"]),
    ]
    constants = CONSTANTS | {"one": np.ones((), np.float32)}
    refused(
        model_of(nodes, (1, 2, 6, 7), constants),
        tmp_path,
        r"node l \(Less\): this operator cannot be converted",
    )


@pytest.mark.parametrize(
    ("shape", "kernel"),
    [([-1, 2, 6, 7], (3, 2, 3, 3)), ([1, 1, 84], (3, 1, 5)), ([0, 2, -1], (3, 2, 5))],
)
def test_values_that_are_maps_or_a_signal(
    shape: Sequence[int], kernel: Sequence[int], tmp_path: Path
) -> None:
    """The input [N, 84] enters in the shape that the network gives it at once."""
    nodes = [
        node("Reshape", ["x", "s"], ["m"]),
        node("Conv", ["m", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Flatten", ["r"], ["y"]),
    ]
    constants = {"w": random_weights(RNG, *kernel), "s": np.array(shape)}
    model = model_of(nodes, ("N", 84), constants, axes=2)
    graph = read(model, tmp_path)
    sizes = [kernel[1], *((6, 7) if len(shape) == 4 else (1, 84 // kernel[1]))]
    assert list(graph.input_shape) == sizes
    x = X.reshape(1, 84)
    expected = expected_output(model, x)
    found = output(graph, x.reshape(1, *sizes)).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_values_unsqueezed_to_a_signal(tmp_path: Path) -> None:
    nodes = [node("Unsqueeze", ["x", "a"], ["m"]), node("Conv", ["m", "w"], ["y"])]
    constants = {"w": random_weights(RNG, 3, 1, 5), "a": np.array([1])}
    model = model_of(nodes, (1, 84), constants, axes=3)
    graph = read(model, tmp_path)
    assert graph.input_shape == (1, 1, 84)
    found = output(graph, X.reshape(1, 1, 1, 84))
    expected = expected_output(model, X.reshape(1, 84))
    np.testing.assert_allclose(found[0, :, 0], expected[0], atol=1e-5)


def test_maps_of_a_dense_layer_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", ["x", "m"], ["g"]),
        node("Reshape", ["g", "s"], ["r"], name="n"),
        node("Conv", ["r", "w"], ["y"]),
    ]
    constants = {"w": KERNEL, "m": random_weights(RNG, 10, 84), "s": np.array([1, 2, 6, 7])}
    sentence = r"node n \(Reshape\): .*write that layer as ConvTranspose2d"
    refused(model_of(nodes, (1, 10), constants), tmp_path, sentence)


@pytest.mark.parametrize("joined", [False, True])
def test_a_dense_layer_over_channels_last(joined: bool, tmp_path: Path) -> None:
    """Keras' Dense on maps; ONNX Runtime and onnxsim join the pixels and write a Gemm."""
    product = (
        [
            node("Reshape", ["t", "flat"], ["j"]),
            node("Gemm", ["j", "m", "n"], ["g"]),
            node("Reshape", ["g", "back"], ["d"]),
        ]
        if joined
        else [node("MatMul", ["t", "m"], ["g"]), node("Add", ["g", "n"], ["d"])]
    )
    nodes = [
        *FIRST,
        node("Transpose", ["r"], ["t"], perm=[0, 2, 3, 1]),
        *product,
        node("Relu", ["d"], ["e"]),
        node("Transpose", ["e"], ["y"], perm=[0, 3, 1, 2]),
    ]
    constants = CONSTANTS | {
        "m": random_weights(RNG, 3, 5),
        "n": np.abs(random_weights(RNG, 5)),  # so that not all outputs are 0
        "flat": np.array([20, 3]),
        "back": np.array([1, 4, 5, 5]),
    }
    graph = assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 2)
    assert graph.layers[1].weight.shape == (5, 3, 1, 1)


def test_a_signal_of_keras(tmp_path: Path) -> None:
    """tf2onnx adds a row, and moves the channels of [N, L, C] before it."""
    nodes = [
        node("Unsqueeze", ["x", "a"], ["u"]),
        node("Transpose", ["u"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["y"]),
    ]
    constants = {"a": np.array([-3]), "w": random_weights(RNG, 3, 2, 1, 5)}
    model = model_of(nodes, ("N", 21, 2), constants)
    graph = read(model, tmp_path)
    assert graph.input_shape == (2, 1, 21)
    x = RNG.random((1, 2, 1, 21), np.float32)
    expected = expected_output(model, np.ascontiguousarray(x[:, :, 0].transpose(0, 2, 1)))
    np.testing.assert_allclose(output(graph, x), expected, atol=1e-5)


def test_a_dense_layer_of_every_step_of_a_signal(tmp_path: Path) -> None:
    """torch's Linear on [N, L, K] is over K, so these are the channels."""
    nodes = [node("MatMul", ["x", "m"], ["d"]), node("Relu", ["d"], ["y"])]
    model = model_of(nodes, (1, 9, 4), {"m": random_weights(RNG, 4, 3)}, axes=3)
    graph = read(model, tmp_path)
    assert graph.input_shape == (4, 1, 9)
    x = RNG.random((1, 4, 1, 9), np.float32)
    expected = expected_output(model, np.ascontiguousarray(x[:, :, 0].transpose(0, 2, 1)))
    np.testing.assert_allclose(output(graph, x)[:, :, 0].transpose(0, 2, 1), expected, atol=1e-5)


def test_constants_that_are_no_inputs_in_an_old_file(tmp_path: Path) -> None:
    """keras2onnx writes version 3 of the format, which would want them as inputs."""
    nodes = [*FIRST, node("Conv", ["r", "v"], ["y"])]
    model = model_of(nodes, (1, 2, 6, 7), CONSTANTS, opset=11)
    expected = expected_output(model)
    model.ir_version = 3
    np.testing.assert_allclose(output(read(model, tmp_path)), expected, atol=1e-5)
