"""ONNX operators: functions that read one node each, registered by operator name."""

from ann2sdnn.graph.onnx.operators import channelwise, linear, pooling, shapes
from ann2sdnn.graph.onnx.operators.node import Data, Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import keeps_values, operator, parse_node

__all__ = [
    "Data",
    "Node",
    "Parsed",
    "channelwise",
    "keeps_values",
    "linear",
    "operator",
    "parse_node",
    "pooling",
    "shapes",
]
