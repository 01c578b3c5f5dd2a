"""Clip, LeakyReLU and their like are exact: two ReLUs per channel that the next layer adds up."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx_models import model_of, random_weights
from onnx_reading import KERNEL, assert_same, node, refused

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import NoThresholds
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.graph.onnx.file.load import parse_onnx
from ann2sdnn.graph.onnx.reader import read_onnx

RNG = np.random.default_rng(7)
NEXT = random_weights(RNG, 4, 3, 3, 3)
Constants = Mapping[str, NDArray[Any]]
After = tuple[str, Sequence[str], Mapping[str, Any]]


def number(value: float) -> NDArray[np.float32]:
    return np.asarray(value, np.float32)


# Operator, its constants, its attributes, and the channels per channel of what it becomes.
BENT = [
    ("Clip", {"l": number(0), "h": number(0.3)}, {}, 2),
    ("Clip", {"l": number(-0.2), "h": number(0.4)}, {}, 2),
    ("Clip", {"l": number(0.1)}, {}, 1),
    ("Max", {"l": number(0)}, {}, 1),
    ("Max", {"l": number(-0.1)}, {}, 1),
    ("Min", {"l": np.full((1, 1, 1), 0.2, np.float32)}, {}, 1),
    ("LeakyRelu", {}, {"alpha": 0.2}, 2),
    ("LeakyRelu", {}, {}, 2),
    ("PRelu", {"s": np.array([0.3, -0.2, 1], np.float32).reshape(3, 1, 1)}, {}, 2),
    ("PRelu", {"s": number(0.25).reshape(1)}, {}, 2),
    ("Abs", {}, {}, 2),
    ("HardSigmoid", {}, {"alpha": 0.6, "beta": 0.4}, 2),
]


def chain(
    operator: str,
    constants: Constants,
    attributes: Mapping[str, Any],
    after: Sequence[After],
    more: Constants,
) -> Any:
    """Convolution, the operator, then nodes (operator, constants, attributes)."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node(operator, ["a", *constants], ["t0"], name="bend", **attributes),
    ]
    for index, (name, inputs, given_attributes) in enumerate(after, 1):
        nodes.append(node(name, [f"t{index - 1}", *inputs], [f"t{index}"], **given_attributes))
    nodes[-1].output[0] = "y"
    return model_of(nodes, (1, 2, 6, 7), {"w": KERNEL, **constants, **more})


@pytest.mark.parametrize(("operator", "constants", "attributes", "copies"), BENT)
def test_the_next_convolution_adds_up_what_an_activation_became(
    operator: str,
    constants: Constants,
    attributes: Mapping[str, Any],
    copies: int,
    tmp_path: Path,
) -> None:
    model = chain(operator, constants, attributes, [("Conv", ["v"], {})], {"v": NEXT})
    graph = assert_same(model, tmp_path, 2)
    assert graph.layers[0].output_shape[0] == 3 * copies


@pytest.mark.parametrize(("operator", "constants", "attributes", "copies"), BENT)
@pytest.mark.parametrize(
    "after",
    [
        [],
        [("Conv", ["v"], {"pads": [1, 1, 1, 1]})],
        [("MaxPool", [], {"kernel_shape": [2, 2]}), ("Conv", ["v"], {})],
        [("AveragePool", [], {"kernel_shape": [2, 2]}), ("Conv", ["v"], {})],
        [("Mul", ["f"], {}), ("Conv", ["v"], {})],
        [("ConvTranspose", ["u"], {"strides": [2, 2], "pads": [1, 1, 0, 0]})],
        [("Conv", ["g"], {"group": 3}), ("Relu", [], {}), ("Conv", ["v"], {})],
        [("Flatten", [], {}), ("Gemm", ["m"], {}), ("Unsqueeze", ["axes"], {})],
    ],
)
def test_whatever_follows_an_activation(
    operator: str,
    constants: Constants,
    attributes: Mapping[str, Any],
    copies: int,
    after: Sequence[After],
    tmp_path: Path,
) -> None:
    # Of its own, so that no order of the tests makes a network whose output is all 0.
    rng = np.random.default_rng(2)
    more = {
        "v": random_weights(rng, 4, 3, 2, 2),
        "u": random_weights(rng, 3, 4, 3, 3),
        "g": random_weights(rng, 3, 1, 2, 2),
        "m": random_weights(rng, 60, 5),
        "f": rng.standard_normal((3, 1, 1)).astype(np.float32),
        "axes": np.array([2, 3]),
    }
    model = chain(operator, constants, attributes, after, more)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert_same(model, tmp_path, len(read_onnx(path).layers))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_chains_of_activations_poolings_and_scales(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any order of what waits for the next layer: clips, slopes, scales, zeros around, poolings."""
    folder = tmp_path_factory.mktemp("chain")
    constants: dict[str, NDArray[Any]] = {"w": KERNEL, "v": NEXT[:, :, :1, :1]}
    nodes = [node("Conv", ["x", "w"], ["t"])]
    choices: dict[str, dict[str, Any]] = {
        "Relu": {},
        "LeakyRelu": {"alpha": 0.3},
        "Clip": {},
        "Mul": {},
        "Add": {},
        "Pad": {},
        "MaxPool": {"kernel_shape": [2, 2]},
        "AveragePool": {"kernel_shape": [2, 1]},
    }
    names = data.draw(st.lists(st.sampled_from(sorted(choices)), min_size=1, max_size=5))
    assume(names.count("MaxPool") + names.count("AveragePool") <= 2)  # else the map is too small
    for index, name in enumerate(names):
        inputs = {
            "Clip": {"l": number(0), "h": number(0.2)},
            "Mul": {"f": np.array([0.5, -2, 1.5], np.float32).reshape(3, 1, 1)},
            "Add": {"f": np.array([0.1, -0.2, 0], np.float32).reshape(3, 1, 1)},
            "Pad": {"p": np.array([0, 0, 1, 0, 0, 0, 0, 1])},
        }.get(name, {})
        given_names = [f"{key}{index}" for key in inputs]
        constants.update(zip(given_names, inputs.values(), strict=True))
        before = nodes[-1].output[0]
        nodes.append(node(name, [before, *given_names], [f"t{index}"], **choices[name]))
    nodes.append(node("Conv", [nodes[-1].output[0], "v"], ["y"], pads=[1, 1, 1, 1]))
    model = model_of(nodes, (1, 2, 6, 7), constants)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert_same(model, folder, len(read_onnx(path).layers))


def test_relu_then_a_limit_is_one_clip(tmp_path: Path) -> None:
    """As TensorFlow writes ReLU6; without the ReLU, the limit would need a layer of its own."""
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Min", ["b", "six"], ["c"]),
        node("Conv", ["c", "v"], ["y"], pads=[1, 1, 1, 1]),
    ]
    constants = {"w": KERNEL, "six": number(0.3), "v": NEXT}
    assert_same(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, 2)


def test_a_padded_max_pooling_of_negative_values_is_refused(tmp_path: Path) -> None:
    after: list[After] = [("MaxPool", [], {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0]})]
    model = chain("LeakyRelu", {}, {}, after, {})
    refused(model, tmp_path, "padded max pooling without a ReLU before it")


@pytest.mark.parametrize(
    ("operator", "constants", "attributes"),
    [
        ("Clip", {"l": number(0), "h": number(0.4)}, {}),
        ("LeakyRelu", {}, {"alpha": 0.2}),
    ],
)
def test_an_sdnn_follows_the_network(
    operator: str, constants: Constants, attributes: Mapping[str, Any]
) -> None:
    """End to end: the engine's output is the float network's within the rounding of its grid."""
    more = {"v": NEXT, "m": random_weights(RNG, 24, 5), "axes": np.array([2, 3])}
    after: list[After] = [
        ("Conv", ["v"], {}),
        ("Relu", [], {}),
        ("Flatten", [], {}),
        ("Gemm", ["m"], {}),
        ("Unsqueeze", ["axes"], {}),
    ]
    model = chain(operator, constants, attributes, after, more)
    file = parse_onnx(model.SerializeToString(), Path("model"))
    frames = np.random.default_rng(3).integers(0, 256, (24, 2, 6, 7)).astype(np.uint8)
    options = ConvertOptions(input_scale=1 / 255, thresholds=NoThresholds())
    sdnn = a2s.to_sdnn(file, frames, options=options)
    rows = sdnn.compare(frames)
    assert rows["sdnn"].relative_error is not None
    assert rows["sdnn"].relative_error < 0.02
