"""Steps, windows, weights and shapes that make no sense are refused where they stand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_models import model_of, random_weights
from onnx_reading import node, one, refused

from ann2sdnn.graph.kinds import Convolution, TransposedConvolution
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.support.errors import ModelError

RNG = np.random.default_rng(0)
KERNEL = random_weights(RNG, 4, 2, 3, 3)
Constants = Mapping[str, NDArray[Any]]


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"strides": [0, 0]}, r"strides = \[0, 0\]; expected 1 to"),
        ({"strides": [-1, 1]}, r"strides = \[-1, 1\]; expected 1 to"),
        ({"strides": [1]}, r"strides = \[1\]; expected 2, one per spatial axis"),
        ({"dilations": [0, 1]}, r"dilations = \[0, 1\]; expected 1 to"),
        ({"dilations": [10**9, 1]}, r"dilations = \[1000000000, 1\]; expected 1 to"),
        ({"group": 0}, r"group = \[0\]; expected 1 to"),
        ({"group": 2}, "the layer expects 4 input channels and receives 2"),
        ({"pads": [-1, 0, 0, 0]}, r"pads = \[-1, 0, 0, 0\]; expected 0 to"),
        ({"pads": [0, 0, 10**9, 0]}, r"pads = \[0, 0, 1000000000, 0\]; expected 0 to"),
        ({"pads": [20000] * 4}, r"maps of shape \(2, 40006, 40007\); at most"),
        ({"pads": [0, 0]}, r"pads = \[0, 0\]; expected 4, two per spatial axis"),
        ({"kernel_shape": [0, 0]}, r"kernel_shape = \(0, 0\), but its weight is \(3, 3\)"),
        ({"auto_pad": "SOME"}, "auto_pad = SOME, which ONNX does not know"),
        ({"auto_pad": "SAME_UPPER", "strides": [0, 0]}, r"strides = \[0, 0\]; expected 1"),
    ],
)
def test_damaged_windows_of_a_convolution(
    attributes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    model = one("Conv", {"w": KERNEL}, **attributes)
    refused(model, tmp_path, rf"model\.onnx: node n \(Conv\): {sentence}")


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        (KERNEL.astype(np.uint8), "its weight is of type uint8; expected float32"),
        (KERNEL[:0], r"the layer's output would have the shape \(0, 4, 5\)"),
        (KERNEL[..., :0], r"the kernel = \[3, 0\]; expected 1 to"),
        (KERNEL[:, :0], "the layer expects 0 input channels and receives 2"),
        (KERNEL[0], "a weight with 3 axes"),
        (KERNEL * np.inf, "holds a NaN or an infinite number"),
    ],
)
def test_damaged_weights(weight: NDArray[Any], sentence: str, tmp_path: Path) -> None:
    refused(one("Conv", {"w": weight}), tmp_path, rf"node n \(Conv\): .*{sentence}")


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"strides": [2, 2], "output_padding": [2, 0]}, r"strides = \[2, 2\]; expected less than"),
        ({"output_padding": [1, 1]}, r"output_padding = \[1, 1\] with strides = \[1, 1\]"),
        ({"output_padding": [-1, 0]}, r"output_padding = \[-1, 0\]; expected 0 to"),
        ({"strides": [30000, 30000]}, r"maps of shape .*; at most"),
        ({"output_shape": [9, 9]}, "the attribute output_shape is not supported"),
    ],
)
def test_damaged_transposed_convolutions(
    attributes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    model = one("ConvTranspose", {"w": KERNEL.transpose(1, 0, 2, 3)}, **attributes)
    refused(model, tmp_path, rf"node n \(ConvTranspose\): .*{sentence}")


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"kernel_shape": [0, 2]}, r"kernel_shape = \[0, 2\]; expected 1 to"),
        ({"kernel_shape": [2, 2], "strides": [0, 1]}, r"strides = \[0, 1\]; expected 1 to"),
        ({"kernel_shape": [2, 2], "pads": [0, 2, 0, 0]}, "expected less than the kernel"),
        ({"kernel_shape": [2, 2], "pads": [0, 0, 0, 3]}, "expected less than the kernel"),
        ({"kernel_shape": [7, 2]}, "a kernel of 7 .* does not fit 6 pixels"),
        ({"kernel_shape": [10**9, 2]}, r"kernel_shape = \[1000000000, 2\]; expected 1 to"),
    ],
)
def test_damaged_poolings(
    operator: str, attributes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    more = {"count_include_pad": 1} if operator == "AveragePool" else {}
    refused(
        one(operator, {}, **attributes, **more), tmp_path, rf"node n \({operator}\): .*{sentence}"
    )


def dense(nodes: Sequence[Any], constants: Constants) -> Any:
    return model_of([node("Flatten", ["x"], ["f"]), *nodes], (1, 2, 6, 7), constants, axes=2)


@pytest.mark.parametrize(
    ("inputs", "attributes", "sentence"),
    [
        (["f", "w", "three"], {}, r"a bias of shape \(3,\) for 5 outputs; expected \(5,\)"),
        (["f", "w", "column"], {}, r"a bias of shape \(5, 1\) for 5 outputs"),
        (["f", "w", "five"], {"transA": 1}, "transA = 1"),
        (["f", "w", "five"], {"transB": 1}, "the layer expects 5 input channels and receives 84"),
        (["f", "three"], {}, r"a weight of shape \(3,\); expected a matrix"),
        (["w", "f"], {}, "the data arrives at input 2, expected the first"),
    ],
)
def test_damaged_dense_layers(
    inputs: Sequence[str], attributes: Mapping[str, Any], sentence: str, tmp_path: Path
) -> None:
    constants = {
        "w": random_weights(RNG, 84, 5),
        "three": np.ones(3, np.float32),
        "five": np.ones(5, np.float32),
        "column": np.ones((5, 1), np.float32),
    }
    gemm = node("Gemm", inputs, ["y"], name="n", **attributes)
    refused(dense([gemm], constants), tmp_path, rf"node n \(Gemm\): {sentence}")


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (np.array(84), "of type int64 with 0 axes; expected a list of integers"),
        (np.array([3.0, 4.0], np.float32), "of type float32"),
        (
            np.array([2, -1]),
            r"it reshapes \[1, 2, 6, 7\] to \[2, 42\]; only a reshape to \[1, 84\]",
        ),
        (np.array([-1, 12]), r"it reshapes \[1, 2, 6, 7\] to \[7, 12\]"),
        (np.array([1, 7, 6, 2]), r"it reshapes \[1, 2, 6, 7\] to \[1, 7, 6, 2\]"),
        (np.array([1, -1, -1]), r"does not fit its target shape \[1, -1, -1\]"),
        (np.array([1, 5, -1]), r"does not fit its target shape \[1, 5, -1\]"),
        (np.array([1, 2, 6, 7, 0]), "copies an axis that its input lacks"),
    ],
)
def test_reshapes_that_do_not_flatten(target: NDArray[Any], sentence: str, tmp_path: Path) -> None:
    refused(one("Reshape", {"s": target}), tmp_path, rf"node n \(Reshape\): .*{sentence}")


def test_geometries_refuse_it_wherever_they_come_from() -> None:
    for make in (
        lambda: Convolution(stride=(0, 1)),
        lambda: Convolution(dilation=(1, -1)),
        lambda: Convolution(groups=0),
        lambda: Convolution(pads=(0, 0, -1, 0)),
        lambda: TransposedConvolution(stride=(2, 2), output_padding=(0, 2)),
        lambda: Pool("max", (2, 2), (1, 1), (0, 0, 2, 0)),
        lambda: Pool("max", (0, 2), (1, 1)),
    ):
        with pytest.raises(ModelError, match="expected"):
            make()


def test_pads_that_would_need_a_huge_kernel() -> None:
    geometry = Convolution(pads=(0, 0, 30000, 30000))
    with pytest.raises(ModelError, match="use smaller pads"):
        geometry.with_symmetric_pads(np.ones((1, 1, 3, 3), np.float32))
