"""One ONNX node and the values that arrive there, as functions that read operators see them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from ann2sdnn.graph.geometry import NO_PADS, Pads, Pair, Shape
from ann2sdnn.graph.onnx.elements import Element
from ann2sdnn.graph.onnx.file.protos import operator_of
from ann2sdnn.support.errors import ModelError

FloatArray = NDArray[np.float32]


class NodeError(ModelError):
    """A node that cannot be converted; the message names it."""


@dataclass(frozen=True)
class Data:
    """The values between two nodes: maps [N, C, H, W], or flattened to [N, C * H * W].

    ``shape`` keeps (C, H, W) after a flatten, so that the next dense layer knows it.
    """

    batch: int
    shape: Shape
    flat: bool

    @property
    def dims(self) -> tuple[int, ...]:
        """The ONNX tensor's shape."""
        channels, height, width = self.shape
        if self.flat:
            return (self.batch, channels * height * width)
        return (self.batch, channels, height, width)

    def after(self, shape: Shape) -> "Data":
        """The same, with another ``shape``."""
        return replace(self, shape=shape)


Parsed = tuple[Element | None, Data]


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX node. ``constants``: its inputs, None for the data and for inputs that are left out.
    ``data_index``: the input through which the data arrives. ``n_outputs``: outputs with a name.
    """

    name: str
    operator: str
    attributes: Mapping[str, Any]
    constants: tuple[NDArray[Any] | None, ...]
    data_index: int
    n_outputs: int = 1

    @classmethod
    def from_proto(
        cls,
        proto: Any,
        data_input: str,
        constants: Mapping[str, NDArray[Any]],
        uncomputed: Mapping[str, str],
    ) -> "Node":
        """Read a protobuf node whose data arrives through ``data_input``."""
        operator = operator_of(proto)
        for source in proto.input:
            if source not in ("", data_input) and source not in constants:
                reason = uncomputed.get(source, "a second path through the network")
                raise ModelError(f"node {proto.name} ({operator}): it reads {source} from {reason}")
        return cls(
            proto.name,
            operator,
            {a.name: helper.get_attribute_value(a) for a in proto.attribute},
            tuple(constants.get(source) for source in proto.input),
            list(proto.input).index(data_input),
            sum(bool(name) for name in proto.output),
        )

    def error(self, what: str) -> "NodeError":
        """A ModelError that names this node."""
        return NodeError(f"node {self.name} ({self.operator}): {what}")

    def constant(self, index: int, what: str) -> FloatArray:
        """The float32 constant at input ``index``; ModelError for another type, NaN or infinity."""
        value = self.optional(index, what)
        if value is None:
            raise self.error(f"its {what} is not a constant of the file")
        return value

    def optional(self, index: int, what: str) -> FloatArray | None:
        """The float32 constant at input ``index``, or None where it is left out."""
        value = self.constants[index] if index < len(self.constants) else None
        if value is None:
            return None
        if value.dtype != np.float32:
            raise self.error(f"its {what} is of type {value.dtype}; expected float32")
        if not np.isfinite(value).all():
            raise self.error(f"its {what} holds a NaN or an infinite number")
        return value

    def integers(self, index: int, what: str) -> list[int]:
        """The one-dimensional integer constant at input ``index``."""
        value = self.constants[index] if index < len(self.constants) else None
        if value is None:
            raise self.error(f"its {what} is not a constant of the file")
        if value.dtype.kind != "i" or value.ndim != 1:
            raise self.error(
                f"its {what} is of type {value.dtype} with {value.ndim} axes; expected a list of"
                " integers"
            )
        return [int(v) for v in value]

    def flag(self, attribute: str, default: int = 0) -> bool:
        """Whether an integer attribute is not 0."""
        return bool(self.attributes.get(attribute, default))

    def pair(self, attribute: str, default: int) -> Pair:
        """A (height, width) attribute."""
        values = list(self.attributes.get(attribute, (default, default)))
        if len(values) != 2:
            raise self.error(f"{attribute} = {values}; only two spatial axes can be converted")
        return (int(values[0]), int(values[1]))

    def pads(self) -> Pads:
        """The explicit pads, in ONNX's own order: begin of each axis, then end of each axis."""
        values = [int(v) for v in self.attributes.get("pads", NO_PADS)]
        if len(values) != 4:
            raise self.error(f"pads = {values}; expected four numbers")
        return (values[0], values[1], values[2], values[3])

    def auto_pad(self) -> str:
        """NOTSET, VALID, SAME_UPPER or SAME_LOWER; ModelError for anything else."""
        value = self.attributes.get("auto_pad", b"NOTSET")
        mode = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise self.error(f"auto_pad = {mode}, which ONNX does not know")
        return mode

    def require_maps(self, data: Data) -> None:
        """ModelError unless ``data`` is [N, C, H, W]."""
        if data.flat:
            raise self.error(
                f"it reads [N, {data.dims[1]}], expected [N, C, H, W]: only Gemm can stand after a"
                " Flatten"
            )

    def require_flat(self, data: Data) -> None:
        """ModelError unless ``data`` is [N, K]."""
        if not data.flat:
            raise self.error(f"it reads {_listed(data)}, expected [N, K]; put a Flatten before it")


def _listed(data: Data) -> str:
    return "[N, " + ", ".join(str(size) for size in data.shape) + "]"
