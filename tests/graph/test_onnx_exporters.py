"""Idioms of exporters: float types, quantised files, zeros around, repeated pixels, opsets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model_of, random_weights
from onnx_reading import BIAS, KERNEL, X, assert_same, expected_output, node, output, read, refused

from ann2sdnn.eval.bench.networks.int8 import quantised
from ann2sdnn.graph.onnx.file.session import open_session

RNG = np.random.default_rng(13)
HEAD = random_weights(RNG, 4, 3, 3, 3)


def two_layers(between: Sequence[Any], last: str, **attributes: Any) -> list[Any]:
    """Convolution, ReLU to "r", the nodes ``between``, and a convolution of ``last``."""
    return [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("Relu", ["c"], ["r"]),
        *between,
        node("Conv", [last, "v"], ["y"], **attributes),
    ]


@pytest.mark.parametrize(
    ("between", "attributes", "n_layers"),
    [
        ([node("Pad", ["r", "pads"], ["p"])], {}, 2),
        ([node("Pad", ["r", "pads", "zero"], ["p"])], {"pads": [1, 0, 0, 1]}, 2),
        (
            [
                node("Pad", ["r", "pads"], ["q"]),
                node("MaxPool", ["q"], ["p"], kernel_shape=[3, 3], strides=[1, 1]),
            ],
            {},
            2,
        ),
        (
            [
                node("Pad", ["r", "pads"], ["q"]),
                node("AveragePool", ["q"], ["p"], kernel_shape=[3, 3], strides=[1, 1]),
            ],
            {},
            2,
        ),
        (
            [
                node("Pad", ["r", "wide"], ["q"]),
                node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            ],
            {},
            3,
        ),
        (
            [
                node("Add", ["r", "o"], ["q"]),
                node("Pad", ["q", "pads"], ["p"]),
            ],
            {},
            3,
        ),
    ],
)
def test_zeros_around(
    between: Sequence[Any], attributes: Mapping[str, Any], n_layers: int, tmp_path: Path
) -> None:
    constants = {
        "w": KERNEL,
        "b": BIAS,
        "v": random_weights(RNG, 4, 3, 2, 2),
        "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1]),
        "wide": np.array([0, 0, 3, 2, 0, 0, 2, 3]),
        "zero": np.zeros((), np.float32),
        "o": np.array([0.3, -0.2, 0.1], np.float32).reshape(3, 1, 1),
    }
    nodes = two_layers(between, "p", **attributes)
    assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, n_layers)


@pytest.mark.parametrize(
    ("pads", "mode", "sentence"),
    [
        ([0, 1, 0, 0, 0, 0, 0, 0], "constant", "only rows and columns can be padded"),
        ([0, 0, -1, 0, 0, 0, 0, 0], "constant", "only rows and columns can be padded"),
        ([0, 0, 1, 0, 0, 0, 1, 0], "reflect", "mode = reflect; train with zeros"),
    ],
)
def test_other_padding_is_refused(
    pads: Sequence[int], mode: str, sentence: str, tmp_path: Path
) -> None:
    nodes = two_layers([node("Pad", ["r", "p"], ["q"], name="n", mode=mode)], "q")
    constants = {"w": KERNEL, "b": BIAS, "v": HEAD[:, :, :1, :1], "p": np.array(pads)}
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, rf"node n \(Pad\): .*{sentence}")


@pytest.mark.parametrize(
    ("inputs", "attributes"),
    [
        (["", "scales"], {}),
        (
            ["", "", "sizes"],
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        ),
        (["", "scales"], {"coordinate_transformation_mode": "pytorch_half_pixel"}),
    ],
)
def test_repeated_pixels(
    inputs: Sequence[str], attributes: Mapping[str, Any], tmp_path: Path
) -> None:
    nodes = two_layers([node("Resize", ["r", *inputs], ["u"], mode="nearest", **attributes)], "u")
    constants = {
        "w": KERNEL,
        "b": BIAS,
        "v": HEAD,
        "scales": np.array([1, 1, 2, 3], np.float32),
        "sizes": np.array([1, 3, 8, 15]),
    }
    assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 3)


@pytest.mark.parametrize(
    ("scales", "attributes", "sentence"),
    [
        ([1, 1, 2, 1.5], {}, "only rows and columns can be resized, by whole factors"),
        ([1, 2, 1, 1], {}, "only rows and columns can be resized, by whole factors"),
        ([1, 1, 2, 2], {"nearest_mode": "ceil"}, "repeats some pixels more often than others"),
        ([1, 1, 2, 2], {"mode": "linear"}, "mode = linear; only nearest can be converted"),
    ],
)
def test_other_resizing_is_refused(
    scales: Sequence[float], attributes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    given = {"mode": "nearest", **attributes}
    nodes = two_layers([node("Resize", ["r", "", "s"], ["u"], name="n", **given)], "u")
    constants = {"w": KERNEL, "b": BIAS, "v": HEAD, "s": np.array(scales, np.float32)}
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, rf"node n \(Resize\): .*{sentence}")


@pytest.mark.parametrize(("opset", "by_input"), [(8, False), (9, True)])
def test_upsample_of_old_opsets(opset: int, by_input: bool, tmp_path: Path) -> None:
    inputs = ["r", "s"] if by_input else ["r"]
    attributes = {} if by_input else {"scales": [1.0, 1.0, 2.0, 3.0]}
    nodes = two_layers([node("Upsample", inputs, ["u"], **attributes)], "u")
    constants = {"w": KERNEL, "b": BIAS, "v": HEAD, "s": np.array([1, 1, 2, 3], np.float32)}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants, opset=opset), tmp_path, 3)


@pytest.mark.parametrize("opset", [7, 9, 13, 18, 21, 23])
@pytest.mark.parametrize("operator", ["Clip", "LeakyRelu", "PRelu", "Pad", "ReduceMax", "Squeeze"])
def test_operators_whose_form_changed(opset: int, operator: str, tmp_path: Path) -> None:
    """Limits, pads and axes were attributes before they were inputs."""
    constants: dict[str, NDArray[Any]] = {"w": KERNEL, "b": BIAS, "v": HEAD[:, :, :1, :1]}
    attributes: dict[str, Any] = {}
    inputs: dict[str, NDArray[Any]] = {}
    since = {"Clip": 11, "Pad": 11, "ReduceMax": 18, "Squeeze": 13}.get(operator, 99)
    if operator == "Clip":
        inputs = {"low": np.zeros((), np.float32), "high": np.asarray(0.4, np.float32)}
        attributes = {"min": 0.0, "max": 0.4}
    elif operator == "Pad":
        inputs = {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1])}
        attributes = {"pads": [0, 0, 1, 2, 0, 0, 0, 1]}
    elif operator == "ReduceMax":
        inputs, attributes = {"axes": np.array([2, 3])}, {"axes": [2, 3]}
    elif operator == "PRelu":
        constants["slope"] = np.array([0.1, 0.2, 0.3], np.float32).reshape(3, 1, 1)
    between = [node(operator, ["c", *constants.keys() & {"slope"}], ["q"])]
    if operator == "Squeeze":
        inputs, attributes = {"axes": np.array([0])}, {"axes": [0]}
        between[0].input[0] = "p"
        between[0].output[0] = "s"
        between.insert(0, node("GlobalMaxPool", ["c"], ["p"]))
        between.append(node("Reshape", ["s", "shape"], ["q"]))
        constants["shape"] = np.array([1, 3, 1, 1])
    changed = next(one for one in between if one.op_type == operator)
    if opset >= since:
        changed.input.extend(inputs)
        constants |= inputs
    else:
        changed.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
    nodes = [node("Conv", ["x", "w", "b"], ["c"]), *between, node("Conv", ["q", "v"], ["y"])]
    model = model_of(nodes, (1, 2, 6, 7), constants, opset=opset)
    graph = read(model, tmp_path)
    if opset <= 21:  # ONNX Runtime may not know later ones, the reader converts them
        expected = expected_output(model)
        np.testing.assert_allclose(output(graph).reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
@pytest.mark.parametrize("cast_inside", [False, True])
def test_networks_in_another_float_type(kind: Any, cast_inside: bool, tmp_path: Path) -> None:
    """Weights keep their values; the network may begin and end in float32 (keep_io_types)."""
    constants = {name: value.astype(kind) for name, value in {"w": KERNEL, "v": HEAD}.items()}
    constants["c"] = BIAS.reshape(3, 1, 1).astype(kind)
    own = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    nodes = [
        node("Conv", ["i", "w"], ["a"]),
        node("Add", ["a", "c"], ["b"]),
        node("Relu", ["b"], ["d"]),
        node("Conv", ["d", "v"], ["o"]),
    ]
    if cast_inside:
        nodes = [
            node("Cast", ["x"], ["i"], to=own),
            *nodes,
            node("Cast", ["o"], ["y"], to=TensorProto.FLOAT),
        ]
    else:
        nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    model = model_of(nodes, (1, 2, 6, 7), constants)
    if not cast_inside:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.elem_type = own
    graph = read(model, tmp_path)
    hidden = torch.conv2d(torch.from_numpy(X), torch.tensor(constants["w"].astype(np.float32)))
    hidden = (hidden + torch.tensor(constants["c"].astype(np.float32))).relu()
    expected = torch.conv2d(hidden, torch.tensor(constants["v"].astype(np.float32)))
    np.testing.assert_allclose(output(graph), expected.numpy(), atol=1e-5)
    (found,) = open_session(model).run(None, {"x": X})  # as `bench` runs the file
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_pixels_that_the_network_casts_itself(tmp_path: Path) -> None:
    nodes = [node("Cast", ["x"], ["a"], to=TensorProto.FLOAT), node("Conv", ["a", "w"], ["y"])]
    model = model_of(nodes, (1, 2, 6, 7), {"w": KERNEL})
    plain = model_of([node("Conv", ["x", "w"], ["y"])], (1, 2, 6, 7), {"w": KERNEL})
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    np.testing.assert_allclose(output(read(model, tmp_path)), expected_output(plain), atol=1e-5)


def test_a_quantised_file_has_its_weights_and_not_its_rounding(tmp_path: Path) -> None:
    """ONNX Runtime's quantiser drops the ReLUs before a QuantizeLinear that cuts at 0."""
    constants = {"w": KERNEL, "b": BIAS, "v": HEAD}
    plain = model_of(two_layers([], "r"), (1, 2, 6, 7), constants)
    frames = [np.random.default_rng(i).random((1, 2, 6, 7), np.float32) for i in range(8)]
    model = quantised(plain, ({"x": frame} for frame in frames))
    operators = [one.op_type for one in model.graph.node]
    assert "QuantizeLinear" in operators
    graph = read(model, tmp_path)
    assert [layer.relu for layer in graph.layers] == [True, False]
    assert "rounds activations at" in graph.notes[0]
    rounded = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    row = graph.layers[1].weight[0]
    levels = row / np.abs(row).max() * 127
    np.testing.assert_allclose(levels, levels.round(), atol=1e-3)
    assert any(value.dtype == np.int8 for value in rounded.values())
    error = np.abs(output(graph) - expected_output(plain)).max()
    assert error < 0.05 * np.abs(expected_output(plain)).max()


@pytest.mark.parametrize("zero", [0, 128])
def test_a_rounding_that_cuts_at_zero_is_a_relu(zero: int, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Conv", ["d", "v"], ["y"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "w": KERNEL,
        "v": HEAD,
        "s": np.asarray(0.01, np.float32),
        "z": np.asarray(zero, np.uint8),
    }
    model = model_of(nodes, (1, 2, 6, 7), constants)
    assert read(model, tmp_path).layers[0].relu == (zero == 0)


def test_max_pooling_over_a_size_that_does_not_divide(tmp_path: Path) -> None:
    pool = node("MaxPool", ["r"], ["p"], kernel_shape=[3, 2], strides=[2, 3], ceil_mode=1)
    constants = {"w": KERNEL, "b": BIAS, "v": HEAD[:, :, :1, :1]}
    assert_same(model_of(two_layers([pool], "p"), (1, 2, 6, 7), constants), tmp_path, 2)


def test_a_normalisation_of_every_value_before_a_dense_layer(tmp_path: Path) -> None:
    """BatchNorm1d after a Flatten has one mean per pixel."""
    nodes = [
        *two_layers([], "r")[:2],
        node("Flatten", ["r"], ["f"]),
        node("BatchNormalization", ["f", *"smnv"], ["g"]),
        node("Gemm", ["g", "k"], ["y"]),
    ]
    per_value = {name: RNG.random(60, np.float32) + 0.5 for name in "smnv"}
    constants = {"w": KERNEL, "b": BIAS, "k": random_weights(RNG, 60, 4), **per_value}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants, axes=2), tmp_path, 2)


def test_a_scale_of_every_value_before_a_convolution_is_refused(tmp_path: Path) -> None:
    between = [node("Mul", ["r", "f"], ["q"], name="n")]
    constants = {"w": KERNEL, "b": BIAS, "v": HEAD, "f": RNG.random((3, 4, 5), np.float32)}
    model = model_of(two_layers(between, "q"), (1, 2, 6, 7), constants)
    refused(model, tmp_path, r"node n \(Mul\): its constant differs from pixel to pixel")
