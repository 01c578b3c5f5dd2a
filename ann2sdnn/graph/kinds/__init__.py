"""Linear operations: one module per operation, each registered under its name."""

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
