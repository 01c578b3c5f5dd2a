"""Helpers for ONNX protobuf messages: opset, domain, live nodes, unique names."""

import ast
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from ann2sdnn.support.errors import ModelError

_SCOPES_KEY = "pkg.torch.onnx.name_scopes"


def opset_of(model: Any) -> int:
    """Version of ONNX's own operators that the model uses."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def domain_of(node: Any) -> str:
    """The node's operator domain; "" for ONNX's own operators."""
    return "" if node.domain == "ai.onnx" else str(node.domain)


def operator_of(node: Any) -> str:
    """The node's operator for people: `Relu`, `com.acme::Relu`."""
    domain = domain_of(node)
    return f"{domain}::{node.op_type}" if domain else str(node.op_type)


def module_of(node: Any) -> str:
    """The path of the torch module that the node comes from, such as layer3.0.conv2; "" for none.

    torch's older exporter names nodes /layer3/layer3.0/conv2/Conv, the newer one keeps a list of
    the paths in their metadata.
    """
    for entry in node.metadata_props:
        if entry.key == _SCOPES_KEY:
            try:
                scopes = ast.literal_eval(entry.value)
            except (SyntaxError, ValueError):
                return ""
            # The last one is the operation.
            return str(scopes[-2]) if isinstance(scopes, list) and len(scopes) > 1 else ""
    if not node.name.startswith("/"):
        return ""
    path: list[str] = []
    for scope in node.name.split("/")[1:-1]:
        # A child of a Sequential is named with it: layer3.0 follows layer3.
        if path and scope.startswith(f"{path[-1]}."):
            path.pop()
        path.append(scope)
    return ".".join(path)


def where(node: Any) -> str:
    """The node for messages: its name, operator and torch module."""
    return where_named(node.name or node.output[0], operator_of(node), module_of(node))


def where_named(name: str, operator: str, module: str) -> str:
    """A node for messages; ``module`` is "" where there is none."""
    return f"node {name} ({operator})" + (f" in module {module}" if module else "")


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def array_of(tensor: Any) -> NDArray[Any]:
    """The tensor's values; ModelError where they do not fit its type and shape."""
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except KeyError:
        raise ModelError(
            f"the constant {tensor.name} has the unknown data type {tensor.data_type}; export the"
            " network again"
        ) from None
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the constant {tensor.name} is damaged: {first_line(error)}; export the network again"
        ) from error


def inner_graphs(attribute: Any) -> Iterator[Any]:
    """The graphs in a node's attribute, such as the branches of an If."""
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def live_nodes(
    nodes: Sequence[Any], outputs: Sequence[str], constants: Collection[str]
) -> list[Any]:
    """The ``nodes`` that ``outputs`` need, in order, without those whose outputs are constants."""
    needed, live = set(outputs), []
    for node in reversed(nodes):
        if needed.isdisjoint(node.output) or all(name in constants for name in node.output):
            continue
        live.append(node)
        needed.update(name for name in node.input if name and name not in constants)
    return live[::-1]


def keep_nodes(model: Any, nodes: Sequence[Any]) -> None:
    """Leave only ``nodes`` in ``model``, and the constants that they read."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    read = {name for node in copies for name in node.input}
    read.update(value.name for value in model.graph.output)
    # Files of older versions list their constants among the inputs, too.
    unread = {t.name for t in model.graph.initializer} - read
    inputs = [value for value in model.graph.input if value.name not in unread]
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in inputs]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    tensors = [t for t in model.graph.initializer if t.name in read]
    tensors = [onnx.TensorProto.FromString(t.SerializeToString()) for t in tensors]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)


def with_own_names(nodes: Sequence[Any]) -> Iterator[Any]:
    """Copies of ``nodes`` with unique names; the second "a" becomes "a_2".

    A node without a name gets that of its output. Outputs without a name at the end are dropped.
    """
    given = {node.name for node in nodes if node.name}
    used: set[str] = set()
    for node in nodes:
        wanted = node.name or node.output[0]
        name, number = wanted, 1
        while name in used or (name != node.name and name in given):
            number += 1
            name = f"{wanted}_{number}"
        used.add(name)
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = name
        # An output without a name is one left out; ONNX Runtime reads beyond its arrays there.
        while len(copy.output) > 1 and not copy.output[-1]:
            del copy.output[-1]
        yield copy
