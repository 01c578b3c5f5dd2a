"""Simplifies an ONNX graph before it is read: computes nodes that depend on constants only.

The input's shape is fixed, so `Shape` and everything computed from it are constants too.
Types come from onnx's shape inference, values from onnx's reference implementation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ann2sdnn.graph.onnx.file.protos import (
    array_of,
    domain_of,
    first_line,
    live_nodes,
    opset_of,
    where,
    with_own_names,
)
from ann2sdnn.support.errors import ModelError

Constants = dict[str, NDArray[Any]]

# No attribute that sets a window may be larger, no constant may have more elements.
MAX_ATTRIBUTE, MAX_ELEMENTS = 2**15 - 1, 2**28
# Integer constants up to this size are shown to shape inference (targets of Reshape, axes, ...).
_SMALL = 1024

# fmt: off
_FOLDABLE = frozenset((
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Concat", "Constant",
    "ConstantOfShape", "DequantizeLinear", "Div", "Equal", "Exp", "Expand", "Flatten", "Floor",
    "Gather", "Gemm", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log",
    "MatMul", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "QuantizeLinear",
    "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Round", "Shape", "Sigmoid",
    "Sign", "Size", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
    "Transpose", "Unsqueeze", "Where",
))
# Operators whose outputs' shapes `Shape` may ask for.
_INFERRED = _FOLDABLE | {
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Dropout", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "LeakyRelu", "LogSoftmax", "MaxPool", "PRelu", "Pad", "Resize",
    "Upsample",
}
# fmt: on
# Attributes of windows; shape inference divides by them or multiplies with them.
_LOWEST = {"strides": 1, "dilations": 1, "kernel_shape": 1, "group": 1, "pads": 0}
# Raised inside onnx's reference implementation of an operator with damaged arguments.
_EVALUATION_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, eq=False)
class FoldedGraph:
    """The nodes between input and output, in order, and the constants they read.

    ``uncomputed``: why a tensor without data from the input could not be computed beforehand.
    """

    nodes: tuple[Any, ...]
    constants: Mapping[str, NDArray[Any]]
    outputs: tuple[str, ...]
    opset: int
    uncomputed: Mapping[str, str]


def fold(model: Any, input_name: str, input_dims: Sequence[int]) -> FoldedGraph:
    """Fold the constants of a ``runnable`` model.

    ``input_dims``: the input's shape, nothing open. Raises ModelError for damaged constants and for
    an output that does not depend on the input.
    """
    folding = _Folding(model, input_name, input_dims)
    for node in model.graph.node:
        folding.visit(node)
    outputs = tuple(value.name for value in model.graph.output)
    for output in outputs:
        if output in folding.constants:
            raise ModelError(f"the output {output} does not depend on the input")
    live = live_nodes(model.graph.node, outputs, folding.constants)
    return FoldedGraph(
        tuple(with_own_names(live)), folding.constants, outputs, folding.opset, folding.uncomputed
    )


class _Folding:
    """Types and constants known so far, in topological order."""

    def __init__(self, model: Any, input_name: str, input_dims: Sequence[int]) -> None:
        self.opset = opset_of(model)
        self.constants = {t.name: array_of(t) for t in model.graph.initializer}
        self.uncomputed: dict[str, str] = {
            sparse.values.name: "a sparse initializer, which is not supported"
            for sparse in model.graph.sparse_initializer
        }
        self._types = {name: _type_of(value) for name, value in self.constants.items()}
        self._types[input_name] = helper.make_tensor_type_proto(TensorProto.FLOAT, input_dims)
        self._from_input = {input_name}

    def visit(self, node: Any) -> None:
        """Compute the node if it is constant; otherwise infer the types of its outputs."""
        inputs = [name for name in node.input if name]
        self._types.update(self._inferred(node, inputs))
        known = {name: self.constants[name] for name in inputs if name in self.constants}
        is_shape = node.op_type in ("Shape", "Size") and domain_of(node) == ""
        if is_shape and (dims := self._dims(inputs[0])) is not None:
            # No memory: all elements of the broadcast array are the same one.
            known = {inputs[0]: np.broadcast_to(np.float32(0), dims)}
        if len(known) == len(set(inputs)):
            self._evaluate(node, known)
        elif not self._from_input.isdisjoint(inputs):
            self._from_input.update(node.output)
        else:
            # The first node that could not be computed is the reason for all that follow it.
            reasons = [self.uncomputed[name] for name in inputs if name in self.uncomputed]
            undefined = _not_computed(node, "it reads what the file does not define")
            self.uncomputed.update(dict.fromkeys(node.output, [*reasons, undefined][0]))

    def _evaluate(self, node: Any, known: Mapping[str, NDArray[Any]]) -> None:
        try:
            self._check_foldable(node)
            values = _run(node, known, self.opset)
            types = {name: _type_of(value) for name, value in values.items()}
        except _EVALUATION_ERRORS as error:
            self.uncomputed.update(
                dict.fromkeys(node.output, _not_computed(node, first_line(error)))
            )
        else:
            self.constants.update(values)
            self._types.update(types)

    def _check_foldable(self, node: Any) -> None:
        """Raise ValueError for a node without data that is not computed."""
        if node.op_type not in _FOLDABLE or domain_of(node) != "":
            raise ValueError("this operator is not computed beforehand")
        if any(attribute.name == "sparse_value" for attribute in node.attribute):
            raise ValueError("its value is sparse, which is not supported")
        for name in node.output:
            dims = self._dims(name)
            if node.op_type != "Constant" and dims is None:
                raise ValueError("its shape is not known")
            if dims is not None and prod(dims) > MAX_ELEMENTS:
                raise ValueError(f"it would have the shape {dims}")

    def _inferred(self, node: Any, inputs: Sequence[str]) -> dict[str, Any]:
        """Types of the node's outputs; empty where an input's is unknown or it does not fit."""
        if not all(name in self._types for name in inputs) or not _sound(node):
            return {}
        small = {
            name: numpy_helper.from_array(value, name)
            for name in inputs
            if (value := self.constants.get(name)) is not None
            and value.size <= _SMALL
            and value.dtype in (np.int64, np.int32)
        }
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, domain_of(node))
            types: dict[str, Any] = shape_inference.infer_node_outputs(
                schema,
                node,
                {name: self._types[name] for name in inputs},
                small,
                opset_imports=[helper.make_opsetid("", self.opset)],
            )
        except (
            onnx.defs.SchemaError,
            onnx.checker.ValidationError,
            shape_inference.InferenceError,
            RuntimeError,
            ValueError,
        ):
            # Whoever reads the node says what is wrong with it.
            return {}
        return {name: kind for name, kind in types.items() if kind.HasField("tensor_type")}

    def _dims(self, name: str) -> tuple[int, ...] | None:
        """The tensor's shape if every axis is known."""
        tensor_type = self._types[name].tensor_type if name in self._types else None
        if tensor_type is None or not tensor_type.HasField("shape"):
            return None
        if not all(dim.HasField("dim_value") for dim in tensor_type.shape.dim):
            return None
        if any(dim.dim_value < 0 for dim in tensor_type.shape.dim):
            return None  # a Slice or Expand of a damaged file
        return tuple(dim.dim_value for dim in tensor_type.shape.dim)


def _not_computed(node: Any, reason: str) -> str:
    return f"{where(node)}, which cannot be computed beforehand: {reason}"


# onnx's reference implementation has these from that opset on; what it adds is optional.
_REFERENCE_SINCE = {"DequantizeLinear": 19, "QuantizeLinear": 19}


def _run(node: Any, known: Mapping[str, NDArray[Any]], opset: int) -> Constants:
    """The outputs of one node in onnx's reference implementation."""
    outputs = [name for name in node.output if name]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.domain = ""
    version = max(opset, _REFERENCE_SINCE.get(node.op_type, 1))
    function = helper.make_function(
        "ann2sdnn", "one", list(known), outputs, [copy], [helper.make_opsetid("", version)]
    )
    values = ReferenceEvaluator(function).run(None, dict(known), attributes={})
    return {name: np.asarray(value) for name, value in zip(outputs, values, strict=True)}


def _sound(node: Any) -> bool:
    """Whether C++ code may see the node: no stride of 0 to divide by, no window of 10^9 pixels."""
    if domain_of(node) != "" or node.op_type not in _INFERRED:
        return False
    return all(
        _LOWEST[attribute.name] <= value <= MAX_ATTRIBUTE
        for attribute in node.attribute
        if attribute.name in _LOWEST
        for value in attribute.ints or [attribute.i]
    )


def _type_of(value: NDArray[Any]) -> Any:
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
