"""The pose network as an ONNX file, built node by node from its architecture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ann2sdnn.ann.architectures import KERNEL, Architecture, PoseLayer
from ann2sdnn.ann.network import Weights, check_weights
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.onnx.metadata import metadata_of
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.support.files.writing import atomic_file

OPSET = 17
# Readable by every ONNX Runtime since 1.13; onnx itself would write its newest version.
IR_VERSION = 8
INPUT_NAME = "frames"
OUTPUT_NAME = "heatmaps"


def write_onnx(
    path: Path, weights: Weights, input_scale: float, resize: Pair | None = None
) -> None:
    """Write the network with kernels ``weights`` (torch layout, by name), atomically.

    Input ``frames`` [N, 1, H, W] float32, output ``heatmaps`` [N, 13, H, W]. The metadata key
    ``ann2sdnn.input_scale`` holds the factor from a uint8 pixel to the network's input, and
    ``ann2sdnn.resize`` the size that frames are resized to, if they are. An existing file is
    replaced. Raises ModelError when the weights do not fit the network.
    """
    model = build_onnx(weights, input_scale, resize)
    with atomic_file(path) as temporary:
        onnx.save_model(model, str(temporary))


def build_onnx(weights: Weights, input_scale: float, resize: Pair | None = None) -> Any:
    """Build and check the ``onnx.ModelProto`` that ``write_onnx`` writes."""
    architecture = check_weights(weights, "the weights to export")
    layers = architecture.layers
    nodes = [node for number in range(len(layers)) for node in _nodes(architecture, number)]
    graph = helper.make_graph(
        nodes,
        f"{architecture.name}_pose",
        [_tensor(INPUT_NAME, layers[0].in_channels)],
        [_tensor(OUTPUT_NAME, layers[-1].out_channels)],
        [
            numpy_helper.from_array(
                np.ascontiguousarray(weights[name], np.float32), weight_name(name)
            )
            for name in architecture.kernels
        ],
    )
    model = helper.make_model(
        graph,
        producer_name="ann2sdnn",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, metadata_of(input_scale, Preprocessing(resize=resize)))
    onnx.checker.check_model(model, full_check=True)
    return model


def _nodes(architecture: Architecture, number: int) -> Iterator[Any]:
    """The nodes of layer ``number``: its convolution and ReLU; its skip and its max pooling, where
    it has them.
    """
    layer = architecture.layers[number]
    source = INPUT_NAME if number == 0 else _output(architecture, number - 1)
    relu = f"{layer.name}_relu"
    rectified = f"{relu}_out" if layer.pool else _output(architecture, number)
    linear = f"{layer.name}_out"
    if layer.skip is None:
        yield _convolution(layer, source, linear)
    else:
        names = [each.name for each in architecture.layers]
        skipped = _output(architecture, names.index(layer.skip))
        parts = [f"{layer.name}_conv_out", f"{layer.skip_name}_out"]
        yield _convolution(layer, source, parts[0])
        yield _scaled(layer, skipped, parts[1])
        yield helper.make_node("Add", parts, [linear], name=f"{layer.name}_add")
    yield helper.make_node("Relu", [linear], [rectified], name=relu)
    if layer.pool:
        yield helper.make_node(
            "MaxPool",
            [rectified],
            [_output(architecture, number)],
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
        if layer.stride > 1:
            geometry["strides"] = [layer.stride] * 2
    return helper.make_node(
        operator,
        [source, weight_name(layer.name)],
        [target],
        name=layer.name,
        kernel_shape=[KERNEL, KERNEL],
        **geometry,
    )


def _scaled(layer: PoseLayer, source: str, target: str) -> Any:
    """The skip of ``layer``: a weight per channel, as a depthwise convolution 1x1."""
    return helper.make_node(
        "Conv",
        [source, weight_name(layer.skip_name)],
        [target],
        name=layer.skip_name,
        kernel_shape=[1, 1],
        group=layer.out_channels,
    )


def _output(architecture: Architecture, number: int) -> str:
    """Name of the tensor that leaves a layer's last node."""
    if number == len(architecture.layers) - 1:
        return OUTPUT_NAME
    layer = architecture.layers[number]
    return f"{layer.name}_pool_out" if layer.pool else f"{layer.name}_relu_out"


def weight_name(name: str) -> str:
    """Name in the file of the kernel ``name`` of an architecture."""
    return f"{name}_weight"


def _tensor(name: str, channels: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])
