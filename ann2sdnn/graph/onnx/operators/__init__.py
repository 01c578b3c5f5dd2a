"""ONNX operators: functions that read one node each, registered by operator name."""

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.onnx.operators import (
    activations,
    channelwise,
    cropping,
    linear,
    merging,
    pooling,
    resizing,
    shapes,
)
from ann2sdnn.graph.onnx.operators.merging import parse_merge
from ann2sdnn.graph.onnx.operators.node import Node, NodeError, Parsed
from ann2sdnn.graph.onnx.operators.registry import (
    Support,
    belongs,
    keeps_values,
    operator,
    parse_node,
    supported,
)

__all__ = [
    "Data",
    "Node",
    "NodeError",
    "Parsed",
    "Support",
    "activations",
    "belongs",
    "channelwise",
    "cropping",
    "keeps_values",
    "linear",
    "merging",
    "operator",
    "parse_merge",
    "parse_node",
    "pooling",
    "resizing",
    "shapes",
    "supported",
]
