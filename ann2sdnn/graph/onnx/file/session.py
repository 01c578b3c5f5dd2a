"""ONNX Runtime sessions of a network."""

from collections.abc import Sequence
from typing import Any

import onnx
import onnxruntime
import torch
from onnx import AttributeProto, TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as _state

from ann2sdnn.graph.onnx.file.protos import (
    first_line,
    inner_graphs,
    where,
    with_own_names,
)
from ann2sdnn.graph.onnx.file.runnable import runnable
from ann2sdnn.support.errors import ModelError

# The file format that ONNX Runtime 1.18 reads; what later ones add does not occur in what is run.
_IR_VERSION = 10
_FATAL_ONLY = 4
# ONNX Runtime divides by a stride: a 0 ends the process. A 0 in the others has no meaning.
_POSITIVE = {"dilations", "group", "kernel_shape", "strides"}

# ONNX Runtime's exceptions have no base class of their own.
RUNTIME_ERRORS: tuple[type[Exception], ...] = tuple(
    value
    for value in vars(_state).values()
    if isinstance(value, type) and issubclass(value, Exception)
)


def open_session(
    model: Any, *, outputs: Sequence[str] = (), optimised: bool = True
) -> onnxruntime.InferenceSession:
    """A session of ``model`` on the CPU with torch's number of threads, which wait asleep.

    ``outputs``: tensors to answer with besides the model's own output. ``optimised``: with
    ONNX Runtime's graph optimisations. Raises ModelError when ONNX Runtime cannot run the model,
    and for windows that would end the process.
    """
    copy = runtime_copy(model)
    for nodes in (copy.graph, *copy.functions):
        _check_windows(nodes)
    # What the file says of its own output stays: ONNX Runtime checks it.
    own = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in outputs
        if name not in own
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Spinning gains nothing on idle cores, and takes cores from others (benchmarks/waiting.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Its messages arrive as exceptions.
    options.log_severity_level = _FATAL_ONLY
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(
            copy.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except RUNTIME_ERRORS as error:
        raise ModelError(f"ONNX Runtime cannot run the network: {first_line(error)}") from error


def runtime_copy(model: Any) -> Any:
    """A copy of ``model`` in the form that ONNX Runtime reads, with unique names of its nodes.

    Raises ModelError where onnx's own tools cannot make it.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(runnable(model))
    copy.ir_version = min(copy.ir_version, _IR_VERSION)
    # Equal names are legal in ONNX, but not in ONNX Runtime.
    nodes = list(with_own_names(copy.graph.node))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _check_windows(graph: Any) -> None:
    """Raise ModelError for a stride or another part of a window below 1 in a graph or function.

    Nodes that the outputs do not need are run, too.
    """
    for node in graph.node:
        for attribute in node.attribute:
            values = list(attribute.ints)
            if attribute.type == AttributeProto.INT:
                values.append(attribute.i)
            if attribute.name in _POSITIVE and any(value < 1 for value in values):
                raise ModelError(f"{where(node)}: {attribute.name} = {values}; expected 1 or more")
            for inner in inner_graphs(attribute):
                _check_windows(inner)
