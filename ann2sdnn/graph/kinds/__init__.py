"""Linear operations: one module per operation, each registered under its name.

To add one, derive a frozen dataclass from ``Geometry``, register it with ``@kind("name")``, and
read it from ONNX with ``@operator("Name")`` (``graph/onnx/operators``). Nothing else changes;
tests/graph/test_adding_a_kind.py does it from outside the package. Where slayer and netx have no
such block, they refuse the operation by its name.
"""

from ann2sdnn.graph.kinds.convolution import Convolution
from ann2sdnn.graph.kinds.dense import Dense
from ann2sdnn.graph.kinds.kind import AxisTaps, Geometry, NetxRow, kind, kind_named
from ann2sdnn.graph.kinds.transposed_convolution import TransposedConvolution

__all__ = [
    "AxisTaps",
    "Convolution",
    "Dense",
    "Geometry",
    "NetxRow",
    "TransposedConvolution",
    "kind",
    "kind_named",
]
