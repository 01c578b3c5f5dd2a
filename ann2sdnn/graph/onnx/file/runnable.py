"""Converts a model into a form that ONNX Runtime and the reader accept.

Functions of the file are inlined, and opsets outside 7 to 21 converted, both with onnx's own tools.
Quantisers of QONNX and fused operators of ONNX Runtime are written with ONNX's own operators.
Other float types become float32, an input with channels last gets channels first, and values
[N, K] that are reshaped at once enter in their shape.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper, shape_inference, version_converter

from ann2sdnn.graph.onnx.file.channels import channels_first
from ann2sdnn.graph.onnx.file.float32 import in_float32
from ann2sdnn.graph.onnx.file.fused import without_fusions
from ann2sdnn.graph.onnx.file.protos import array_of, domain_of, first_line, opset_of
from ann2sdnn.graph.onnx.file.qonnx import without_quant
from ann2sdnn.support.errors import ModelError

# ONNX Runtime 1.18 runs these; below 7 operators broadcast by other rules.
OLDEST_OPSET, NEWEST_OPSET = 7, 21

_CONVERSION_ERRORS = (
    RuntimeError,
    ValueError,
    shape_inference.InferenceError,
    version_converter.ConvertError,
)


def runnable(model: Any) -> Any:
    """The model in float32 without functions of its own, in an opset that ONNX Runtime runs.

    Raises ModelError where onnx's own tools cannot do it.
    """
    if model.functions:
        try:
            model = inliner.inline_local_functions(model, convert_version=True)
        except _CONVERSION_ERRORS as error:
            raise ModelError(
                f"the functions of the network cannot be inlined ({first_line(error)}); export it"
                " without functions"
            ) from error
    model = without_fusions(without_quant(model))
    return channels_first(_in_known_opset(in_float32(_with_plain_casts(model))))


def _in_known_opset(model: Any) -> Any:
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        try:
            return _upgraded(_aligned(model), opset)
        except _CONVERSION_ERRORS as error:
            raise ModelError(
                f"opset {opset} cannot be converted to opset {OLDEST_OPSET}"
                f" ({first_line(error)}); export the network with opset 13 or later"
            ) from error
    if opset > NEWEST_OPSET:
        try:
            return _with_metadata_of(model, version_converter.convert_version(model, NEWEST_OPSET))
        except _CONVERSION_ERRORS:
            # Left as it is: the ONNX Runtime installed may know this opset, or else says so.
            return model
    return model


def _with_metadata_of(original: Any, model: Any) -> Any:
    """``model`` with metadata of nodes, such as torch's modules, that onnx's converter drops."""
    given = {node.output[0]: node.metadata_props for node in original.graph.node if node.output}
    for node in model.graph.node:
        if not node.metadata_props:
            node.metadata_props.extend(given.get(node.output[0], ()))
    return model


def _upgraded(model: Any, opset: int) -> Any:
    """The model in opset 7, converted version by version.

    Each step of onnx's converter needs shapes that the step before may have dropped.
    """
    for version in range(opset + 1, OLDEST_OPSET + 1):
        model = version_converter.convert_version(_with_shapes(model), version)
    return model


def _with_plain_casts(model: Any) -> Any:
    """The model with `Cast` where a `CastLike` says the same.

    ONNX Runtime (1.23) aborts the process when it optimises a `CastLike` of a constant.
    """
    if all(node.op_type != "CastLike" or domain_of(node) for node in model.graph.node):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*copy.graph.input, *_with_shapes(copy).graph.value_info)
    }
    types.update({tensor.name: tensor.data_type for tensor in copy.graph.initializer})
    for node in copy.graph.node:
        if node.op_type == "CastLike" and not domain_of(node) and types.get(node.input[1]):
            node.op_type = "Cast"
            node.attribute.append(helper.make_attribute("to", types[node.input[1]]))
            del node.input[1]
    return copy


def _with_shapes(model: Any) -> Any:
    """The model with inferred shapes, or the model itself where inference fails."""
    try:
        return shape_inference.infer_shapes(model)
    except _CONVERSION_ERRORS:
        # Whoever reads the node says what is wrong with it.
        return model


def _aligned(model: Any) -> Any:
    """A copy whose initializers need no `axis` to be broadcast, as before opset 7.

    onnx's converter (1.23) gives such an operand one axis too many: [C] with axis 1 of four
    becomes [C, 1, 1, 1] instead of [C, 1, 1].
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*copy.graph.input, *shape_inference.infer_shapes(copy).graph.value_info)
    }
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    for node in copy.graph.node:
        axes = [a for a in node.attribute if a.name == "axis"]
        broadcasts = any(a.name == "broadcast" and a.i for a in node.attribute)
        if not (axes and broadcasts and node.input[0] in ranks and node.input[1] in constants):
            continue
        value = array_of(constants[node.input[1]])
        missing = ranks[node.input[0]] - axes[0].i - value.ndim
        if axes[0].i < 0 or missing < 0:
            continue
        value = np.ascontiguousarray(value.reshape(*value.shape, *[1] * missing))
        node.input[1] = f"{node.input[1]}_of_{node.output[0]}"
        copy.graph.initializer.append(numpy_helper.from_array(value, node.input[1]))
        node.attribute.remove(axes[0])
    return copy
