"""Writes operators that ONNX Runtime's optimiser fused with ONNX's own (FusedConv, FusedGemm).

A file that ONNX Runtime saved (``optimized_model_filepath``) holds them in the domain
``com.microsoft``: a convolution or product with the activation after it.
Specification: docs/ContribOperators.md of https://github.com/microsoft/onnxruntime.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ann2sdnn.graph.onnx.file.protos import domain_of, where
from ann2sdnn.support.errors import ModelError

_DOMAIN = "com.microsoft"
_FUSED = frozenset(("FusedConv", "FusedGemm", "FusedMatMul"))
# Parameters of activations, in the order of the attribute `activation_params`.
_PARAMETERS = {
    "": (),
    "Clip": ("min", "max"),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Sigmoid": (),
    "Tanh": (),
}
_OF_GEMM = ("activation_alpha", "activation_beta", "activation_gamma")
_BATCHED = ("transBatchA", "transBatchB", "transA")


def without_fusions(model: Any) -> Any:
    """A copy of ``model`` with ONNX's own operators in the place of fused ones.

    The model itself where it has none. Raises ModelError for an activation that is not known, and
    for a product of transposed data.
    """
    if not any(_is_fused(node) for node in model.graph.node):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes: list[Any] = []
    for node in copy.graph.node:
        nodes += _parts(node, copy.graph) if _is_fused(node) else [node]
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _is_fused(node: Any) -> bool:
    return domain_of(node) == _DOMAIN and node.op_type in _FUSED


def _parts(node: Any, graph: Any) -> list[Any]:
    """The nodes that a fused one stands for; new constants are added to ``graph``."""
    if len(node.input) < 2:
        raise ModelError(
            f"{where(node)}: it has {len(node.input)} inputs; expected the data and a weight, so"
            " save the file again"
        )
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "FusedMatMul":
        return _product(node, attributes, graph)
    name = attributes.pop("activation", b"").decode(errors="replace")
    values = [float(v) for v in attributes.pop("activation_params", ())]
    values += [attributes.pop(key) for key in _OF_GEMM if key in attributes]
    if name not in _PARAMETERS or len(values) < len(_PARAMETERS[name]):
        raise ModelError(
            f"{where(node)}: its activation is {name or 'none'} with {len(values)} parameters,"
            " which cannot be converted; give the file from before the optimiser"
        )
    inputs = list(node.input)
    summand = inputs[3:] if node.op_type == "FusedConv" else []
    output = node.output[0]
    make = helper.make_node
    plain = make(
        node.op_type.removeprefix("Fused"),
        inputs[:3] if summand else inputs,
        [output],
        name=node.name,
        **attributes,
    )
    parts = [plain]
    if summand:
        plain.output[0] = f"{output}:product"
        parts.append(make("Add", [plain.output[0], *summand], [output], name=f"{node.name}:sum"))
    if name:
        last = f"{output}:linear"
        parts[-1].output[0] = last
        own = dict(zip(_PARAMETERS[name], values, strict=False))
        limits: list[str] = []
        if name == "Clip":
            limits = [f"{output}:{key}" for key in own]
            graph.initializer.extend(
                numpy_helper.from_array(np.asarray(value, np.float32), f"{output}:{key}")
                for key, value in own.items()
            )
            own = {}
        parts.append(make(name, [last, *limits], [output], name=f"{node.name}:{name}", **own))
    return parts


def _product(node: Any, attributes: dict[str, Any], graph: Any) -> list[Any]:
    """MatMul with its second factor transposed and scaled beforehand."""
    if any(attributes.get(key) for key in _BATCHED):
        raise ModelError(
            f"{where(node)}: it transposes the data; give the file from before the optimiser"
        )
    output, factor = node.output[0], node.input[1]
    parts: list[Any] = []
    if attributes.get("transB"):
        parts.append(helper.make_node("Transpose", [factor], [f"{output}:turned"], perm=[1, 0]))
        factor = f"{output}:turned"
    if attributes.get("alpha", 1.0) != 1:
        alpha = np.asarray(attributes["alpha"], np.float32)
        graph.initializer.append(numpy_helper.from_array(alpha, f"{output}:alpha"))
        parts.append(helper.make_node("Mul", [factor, f"{output}:alpha"], [f"{output}:scaled"]))
        factor = f"{output}:scaled"
    plain = helper.make_node("MatMul", [node.input[0], factor], [output], name=node.name)
    return [*parts, plain]
