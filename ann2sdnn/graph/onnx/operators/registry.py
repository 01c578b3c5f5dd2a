"""The ONNX operators that are read, in one table; what a parser does not accept is refused.

Semantics are those of the ONNX operator specification (opset 7 to 21 for the operators here).
"""

from ann2sdnn.graph.onnx.operators.channelwise import CHANNELWISE
from ann2sdnn.graph.onnx.operators.linear import LINEAR
from ann2sdnn.graph.onnx.operators.node import Data, Node, Parsed
from ann2sdnn.graph.onnx.operators.pooling import POOLING
from ann2sdnn.graph.onnx.operators.shapes import SHAPES
from ann2sdnn.support.errors import ModelError

RULES = {**LINEAR, **POOLING, **CHANNELWISE, **SHAPES}


def parse_node(node: Node, data: Data) -> Parsed:
    """The element a node stands for (None when it changes nothing), and the data after it.

    Raises ModelError naming operator, node and reason.
    """
    if node.operator not in RULES:
        known = ", ".join(sorted(RULES))
        raise node.error(f"this operator cannot be converted; supported are {known}")
    rule = RULES[node.operator]
    for attribute in node.attributes:
        if attribute not in rule.attributes.split():
            raise node.error(f"the attribute {attribute} is not supported")
    if node.data_index not in rule.data_inputs:
        raise node.error(f"the data arrives at input {node.data_index + 1}, expected the first")
    try:
        return rule.parse(node, data)
    except ModelError as error:
        if f"node {node.name} " in str(error):
            raise
        raise node.error(str(error)) from error
