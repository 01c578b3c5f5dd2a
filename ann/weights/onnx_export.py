"""The pose network as an ONNX file, built node by node from its layer table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ann2sdnn.ann.network import (
    KERNEL,
    LAYERS,
    PoseLayer,
    Weights,
    check_weights,
)
from ann2sdnn.graph.layers import INPUT_SCALE_KEY
from ann2sdnn.support.files.writing import atomic_file

OPSET = 17
# Readable by every ONNX Runtime since 1.13; onnx itself would write its newest version.
IR_VERSION = 8
INPUT_NAME = "frames"
OUTPUT_NAME = "heatmaps"


def write_onnx(path: Path, weights: Weights, input_scale: float) -> None:
    """Write the network with kernels ``weights`` (torch layout, by layer name), atomically.

    Input ``frames`` [N, 1, H, W] float32, output ``heatmaps`` [N, 13, H, W]. The metadata key
    ``ann2sdnn.input_scale`` holds the factor from a uint8 pixel to the network's input. An existing
    file is replaced. Raises ModelError when the weights do not fit the network.
    """
    model = build_onnx(weights, input_scale)
    with atomic_file(path) as temporary:
        onnx.save_model(model, str(temporary))


def build_onnx(weights: Weights, input_scale: float) -> Any:
    """Build and check the ``onnx.ModelProto`` that ``write_onnx`` writes."""
    check_weights(weights, "the weights to export")
    nodes = [node for number in range(len(LAYERS)) for node in _nodes(number)]
    graph = helper.make_graph(
        nodes,
        "dhp19_pose",
        [_tensor(INPUT_NAME, LAYERS[0].in_channels)],
        [_tensor(OUTPUT_NAME, LAYERS[-1].out_channels)],
        [
            numpy_helper.from_array(
                np.ascontiguousarray(weights[layer.name], np.float32), weight_name(layer)
            )
            for layer in LAYERS
        ],
    )
    model = helper.make_model(
        graph,
        producer_name="ann2sdnn",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {INPUT_SCALE_KEY: repr(float(input_scale))})
    onnx.checker.check_model(model, full_check=True)
    return model


def _nodes(number: int) -> Iterator[Any]:
    """Convolution, ReLU and max pooling (where the layer has it) of layer ``number``."""
    layer = LAYERS[number]
    source = INPUT_NAME if number == 0 else _output(number - 1)
    relu = f"{layer.name}_relu"
    rectified = f"{relu}_out" if layer.pool else _output(number)
    yield _convolution(layer, source, f"{layer.name}_out")
    yield helper.make_node("Relu", [f"{layer.name}_out"], [rectified], name=relu)
    if layer.pool:
        yield helper.make_node(
            "MaxPool",
            [rectified],
            [_output(number)],
            name=f"{layer.name}_pool",
            kernel_shape=[2, 2],
            strides=[2, 2],
        )


def _convolution(layer: PoseLayer, source: str, target: str) -> Any:
    if layer.transposed:
        # Keras' "same": the last of the 2n + 1 rows and columns is cropped, not the first.
        operator, geometry = "ConvTranspose", {"strides": [2, 2], "pads": [0, 0, 1, 1]}
    else:
        operator = "Conv"
        geometry = {"dilations": [layer.dilation] * 2, "pads": [layer.dilation] * 4}
    return helper.make_node(
        operator,
        [source, weight_name(layer)],
        [target],
        name=layer.name,
        kernel_shape=[KERNEL, KERNEL],
        **geometry,
    )


def _output(number: int) -> str:
    """Name of the tensor that leaves a layer's last node."""
    if number == len(LAYERS) - 1:
        return OUTPUT_NAME
    layer = LAYERS[number]
    return f"{layer.name}_pool_out" if layer.pool else f"{layer.name}_relu_out"


def weight_name(layer: PoseLayer) -> str:
    """Name of the layer's kernel in the file."""
    return f"{layer.name}_weight"


def _tensor(name: str, channels: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])
