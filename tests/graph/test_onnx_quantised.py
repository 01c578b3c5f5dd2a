"""Quantised files: operators on integers, QONNX, and what stands between quantisers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from onnx_models import model_of, random_weights
from onnx_reading import (
    BIAS,
    KERNEL,
    X,
    assert_same,
    expected_output,
    node,
    output,
    read,
    refused,
)
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from ann2sdnn.graph.onnx.file.session import open_session

RNG = np.random.default_rng(29)
CNN = [
    node("Conv", ["x", "w", "b"], ["c"]),
    node("Relu", ["c"], ["r"]),
    node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
    node("Conv", ["p", "v"], ["d"], pads=[1, 1, 1, 1]),
    node("Relu", ["d"], ["s"]),
    node("GlobalAveragePool", ["s"], ["g"]),
    node("Flatten", ["g"], ["f"]),
    node("Gemm", ["f", "m", "n"], ["y"], transB=1),
]
CONSTANTS: dict[str, NDArray[Any]] = {
    "w": KERNEL,
    "b": BIAS,
    "v": random_weights(RNG, 4, 3, 3, 3),
    "m": random_weights(RNG, 5, 4),
    "n": random_weights(RNG, 5),
}
PLAIN = model_of(CNN, (1, 2, 6, 7), CONSTANTS, axes=2)


class Frames(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
    """Eight random inputs."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.frames = iter([{"x": rng.random((1, 2, 6, 7), np.float32)} for _ in range(8)])

    def get_next(self) -> Any:
        return next(self.frames, None)


@pytest.mark.parametrize("per_channel", [False, True])
def test_operators_on_integers(per_channel: bool, tmp_path: Path) -> None:
    """ONNX Runtime's QOperator format: QLinearConv, QGemm, poolings of integers."""
    onnx.save(PLAIN, str(tmp_path / "plain.onnx"))
    path = tmp_path / "integers.onnx"
    quantize_static(
        str(tmp_path / "plain.onnx"),
        str(path),
        Frames(),
        quant_format=QuantFormat.QOperator,
        per_channel=per_channel,
    )
    model = onnx.load(str(path))
    operators = {one.op_type for one in model.graph.node}
    assert {"QLinearConv", "QLinearGlobalAveragePool", "QGemm"} <= operators
    assert "Relu" not in operators  # its quantiser cuts at 0 instead
    graph = read(model, tmp_path)
    assert [layer.relu for layer in graph.layers] == [True, True, False]
    assert "QLinearConv" in graph.notes[0]
    expected = expected_output(model)
    error = np.abs(output(graph).ravel() - expected.ravel()).max()
    assert error < 0.03 * np.abs(expected).max()


def test_weights_quantised_when_they_run(tmp_path: Path) -> None:
    """ONNX Runtime's dynamic quantisation: ConvInteger, MatMulInteger."""
    onnx.save(PLAIN, str(tmp_path / "plain.onnx"))
    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(str(tmp_path / "plain.onnx"), str(path), weight_type=QuantType.QUInt8)
    model = onnx.load(str(path))
    assert {"ConvInteger", "MatMulInteger"} <= {one.op_type for one in model.graph.node}
    graph = read(model, tmp_path)
    assert len(graph.layers) == 3
    expected = expected_output(model)
    error = np.abs(output(graph).ravel() - expected.ravel()).max()
    assert error < 0.03 * np.abs(expected).max()


SCALES: dict[str, NDArray[Any]] = {
    "xs": np.asarray(1 / 128, np.float32),
    "xz": np.asarray(0, np.uint8),
    "ws": np.array([0.01, 0.02, 0.03], np.float32),
    "wz": np.array([3, 0, -4], np.int8),
    "wq": np.round(KERNEL * 40).astype(np.int8),
    "bq": np.array([100, -200, 300], np.int32),
    "ys": np.asarray(0.02, np.float32),
}


@pytest.mark.parametrize("zero", [0, 128])
def test_a_convolution_of_integers_worked_out(zero: int, tmp_path: Path) -> None:
    """Weights (w - zero) * scale per channel, biases in units of both scales, ReLU at zero 0."""
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("QLinearConv", ["q", "xs", "xz", "wq", "ws", "wz", "ys", "yz", "bq"], ["r"]),
        node("DequantizeLinear", ["r", "ys", "yz"], ["y"]),
    ]
    constants = SCALES | {"yz": np.asarray(zero, np.uint8)}
    (layer,) = read(model_of(nodes, (1, 2, 6, 7), constants), tmp_path).layers
    scale, own = (SCALES[name].reshape(3, 1, 1, 1) for name in ("ws", "wz"))
    expected = (SCALES["wq"].astype(np.float32) - own) * scale
    np.testing.assert_allclose(layer.weight, expected, rtol=1e-6)
    assert layer.bias is not None
    np.testing.assert_allclose(layer.bias, SCALES["bq"] * SCALES["ws"] / 128, rtol=1e-6)
    assert layer.relu == (zero == 0)


@pytest.mark.parametrize(
    ("between", "extra"),
    [
        ([node("Cast", ["q"], ["p"], to=TensorProto.UINT8)], {}),
        ([node("Clip", ["q", "low", "high"], ["p"])], {"low": 0, "high": 200}),
        ([node("MaxPool", ["q"], ["p"], kernel_shape=[1, 1])], {}),
        ([node("Transpose", ["q"], ["p"], perm=[0, 1, 2, 3])], {}),
    ],
)
def test_what_stands_between_quantisers(
    between: Sequence[Any], extra: Mapping[str, int], tmp_path: Path
) -> None:
    """torch's FX quantisation casts there, brevitas clips."""
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("QuantizeLinear", ["c", "s", "z"], ["q"]),
        *between,
        node("DequantizeLinear", ["p", "s", "z"], ["d"]),
        node("Conv", ["d", "v"], ["y"]),
    ]
    constants = {
        **{name: CONSTANTS[name] for name in "wbv"},
        "s": np.asarray(0.02, np.float32),
        "z": np.asarray(0, np.uint8),
        **{name: np.asarray(value, np.uint8) for name, value in extra.items()},
    }
    model = model_of(nodes, (1, 2, 6, 7), constants)
    graph = read(model, tmp_path)
    assert [layer.relu for layer in graph.layers] == [True, False]
    expected = expected_output(model)
    assert np.abs(output(graph) - expected).max() < 0.05


def test_zeros_around_integers_are_zeros(tmp_path: Path) -> None:
    """A Pad of integers pads with the zero point."""
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("QuantizeLinear", ["c", "s", "z"], ["q"]),
        node("Pad", ["q", "pads", "z"], ["p"]),
        node("DequantizeLinear", ["p", "s", "z"], ["d"]),
        node("Conv", ["d", "v"], ["y"]),
    ]
    constants = {
        **{name: CONSTANTS[name] for name in "wbv"},
        "s": np.asarray(0.05, np.float32),
        "z": np.asarray(7, np.int8),
        "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    }
    model = model_of(nodes, (1, 2, 6, 7), constants)
    graph = read(model, tmp_path)
    assert graph.layers[1].geometry.pads == (1, 2, 0, 1)  # type: ignore[attr-defined]
    assert np.abs(output(graph) - expected_output(model)).max() < 0.2


def test_weights_that_are_not_constant_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        node("ConvInteger", ["q", "q"], ["i"], name="n"),
        node("Cast", ["i"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, (1, 2, 6, 7), SCALES)
    refused(model, tmp_path, r"node n \(ConvInteger\): its weight is not a constant")


def test_missing_inputs_are_refused(tmp_path: Path) -> None:
    nodes = [node("QLinearAdd", ["x", "xs", "xz"], ["y"], name="n", domain="com.microsoft")]
    model = model_of(nodes, (1, 2, 6, 7), SCALES, domains=("com.microsoft",))
    refused(model, tmp_path, r"node n \(com.microsoft::QLinearAdd\): it has 3 inputs; expected 7")


def test_another_number_of_scales_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("QLinearConv", ["x", "xs", "xz", "wq", "two", "wz", "ys", "xz"], ["y"], name="n"),
    ]
    constants = SCALES | {"two": np.ones(2, np.float32)}
    sentence = (
        r"node n \(QLinearConv\): 2 scales or zero points for integers of shape \[3, 2, 3, 3\]"
    )
    refused(model_of(nodes, (1, 2, 6, 7), constants), tmp_path, sentence)


QONNX = "qonnx.custom_op.general"


def qonnx(*, domain: str = QONNX, bits: float = 4, zero: float = 0, **attributes: Any) -> Any:
    """A network whose weights have 3 bits and whose activations have ``bits``, as brevitas' are."""
    weights = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
    given = {"signed": 0, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    nodes = [
        node("Quant", ["w", "ws", "zero", "three"], ["wq"], domain=domain, **weights),
        node("Conv", ["x", "wq", "b"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Quant", ["r", "as", "az", "bits"], ["q"], name="n", domain=domain, **given),
        node("BipolarQuant", ["v", "as"], ["vq"], domain=domain),
        node("Conv", ["q", "vq"], ["y"]),
    ]
    constants = {
        **{name: CONSTANTS[name] for name in "wbv"},
        "ws": np.array([0.1, 0.2, 0.05], np.float32).reshape(3, 1, 1, 1),
        "as": np.asarray(0.1, np.float32),
        "zero": np.zeros((), np.float32),
        "az": np.asarray(zero, np.float32),
        "three": np.asarray(3, np.float32),
        "bits": np.asarray(bits, np.float32),
    }
    return model_of(nodes, (1, 2, 6, 7), constants, domains=(domain,))


@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas"])
def test_quantisers_of_qonnx(domain: str, tmp_path: Path) -> None:
    model = qonnx(domain=domain)
    graph = read(model, tmp_path)
    scale = np.array([0.1, 0.2, 0.05], np.float32).reshape(3, 1, 1, 1)
    weight = np.clip(np.round(KERNEL / scale), -3, 3) * scale
    np.testing.assert_allclose(graph.layers[0].weight, weight, rtol=1e-6)
    signs = np.where(CONSTANTS["v"] >= 0, 0.1, -0.1)
    np.testing.assert_allclose(graph.layers[1].weight, signs, rtol=1e-6)
    assert "rounds activations at 1 places" in graph.notes[0]
    # ONNX Runtime runs the file in the form in which it is read, its roundings included.
    (found,) = open_session(model).run(None, {"x": X})
    maps = np.clip(np.round(_convolved(X, weight, BIAS) / np.float32(0.1)), 0, 15) * 0.1
    np.testing.assert_allclose(found, _convolved(maps, signs), atol=1e-4)


def _convolved(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    model = model_of([node("Conv", ["x", "w"], ["y"])], x.shape, {"w": weight.astype(np.float32)})
    out = expected_output(model, x.astype(np.float32))
    return out if bias is None else out + bias.reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bits": 12}, "to levels from 0 to 4095, .*up to 8 bits"),
        ({"rounding_mode": "FLOOR"}, "mode FLOOR; only rounding to the nearest"),
        ({"rounding_mode": "SOME"}, "rounding_mode = SOME; expected one of"),
        ({"zero": 0.5}, "expected one of each, a scale above 0 and a whole zero point"),
        ({"bits": 0}, r"number of bits is \[0.0\]; expected one from 1 to 32"),
    ],
)
def test_other_quantisers_of_qonnx_are_refused(
    changes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    refused(qonnx(**changes), tmp_path, rf"node n \({QONNX}::Quant\): .*{sentence}")


def test_activations_of_one_bit_are_refused(tmp_path: Path) -> None:
    nodes = [node("BipolarQuant", ["x", "s"], ["y"], name="n", domain=QONNX)]
    model = model_of(nodes, (1, 2, 6, 7), {"s": np.ones((), np.float32)}, domains=(QONNX,))
    refused(model, tmp_path, "it gives activations one bit")


def test_an_average_of_rounded_values_gets_no_relu(tmp_path: Path) -> None:
    """A quantiser that cuts at 0 changes nothing where no value is below 0."""
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["g"]),
        node("QuantizeLinear", ["g", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("Conv", ["d", "v"], ["y"]),
    ]
    constants = {
        "w": KERNEL,
        "b": BIAS,
        "v": CONSTANTS["v"][:, :, :1, :1],
        "s": np.asarray(1e-3, np.float32),
        "z": np.asarray(0, np.uint8),
    }
    model = model_of(nodes, (1, 2, 6, 7), constants)
    plain = [*nodes[:3], node("Conv", ["g", "v"], ["y"])]
    layers = assert_same(model_of(plain, (1, 2, 6, 7), constants), tmp_path, 3).layers
    assert len(read(model, tmp_path).layers) == len(layers)
