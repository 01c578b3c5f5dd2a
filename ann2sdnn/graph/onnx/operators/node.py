"""One ONNX node and the values that arrive there, as functions that read operators see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from ann2sdnn.graph.arrangement import Data
from ann2sdnn.graph.geometry import Pads, Pair
from ann2sdnn.graph.onnx.elements import Element
from ann2sdnn.graph.onnx.file.protos import (
    module_of,
    operator_of,
    where,
    where_named,
)
from ann2sdnn.support.errors import ModelError

FloatArray = NDArray[np.float32]


class NodeError(ModelError):
    """A node that cannot be converted; the message names it."""


# The element that a node stands for (None where it changes no value, several in order), and the
# values after it.
Parsed = tuple[Element | Sequence[Element] | None, Data]


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX node. ``constants``: its inputs, None for the data and for inputs that are left out.
    ``data_index``: the input through which the data arrives. ``n_outputs``: outputs with a name.
    ``module``: the path of the torch module that it comes from, or "".
    """

    name: str
    operator: str
    attributes: Mapping[str, Any]
    constants: tuple[NDArray[Any] | None, ...]
    data_index: int
    n_outputs: int = 1
    module: str = ""

    @classmethod
    def from_proto(
        cls,
        proto: Any,
        data_inputs: Sequence[str],
        constants: Mapping[str, NDArray[Any]],
        uncomputed: Mapping[str, str],
    ) -> "Node":
        """Read a protobuf node whose data arrives through ``data_inputs``."""
        operator = operator_of(proto)
        for source in proto.input:
            if source and source not in data_inputs and source not in constants:
                reason = uncomputed.get(source, "where no data of the network arrives")
                raise ModelError(f"{where(proto)}: it reads {source} from {reason}")
        return cls(
            proto.name,
            operator,
            {a.name: helper.get_attribute_value(a) for a in proto.attribute},
            tuple(constants.get(source) for source in proto.input),
            list(proto.input).index(data_inputs[0]),
            sum(bool(name) for name in proto.output),
            module_of(proto),
        )

    def error(self, what: str) -> "NodeError":
        """A ModelError that names this node."""
        return NodeError(f"{where_named(self.name, self.operator, self.module)}: {what}")

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

    def pair(self, attribute: str, default: int, axes: Sequence[int]) -> Pair:
        """A (height, width) attribute, given for the spatial ``axes`` of the node."""
        values = [int(v) for v in self.attributes.get(attribute, [default] * len(axes))]
        if len(values) != len(axes):
            raise self.error(f"{attribute} = {values}; expected {len(axes)}, one per spatial axis")
        return self.placed(values, axes, default)

    def pads(self, axes: Sequence[int]) -> Pads:
        """The explicit pads (top, left, bottom, right), given for the spatial ``axes``."""
        n = len(axes)
        values = [int(v) for v in self.attributes.get("pads", [0] * 2 * n)]
        if len(values) != 2 * n:
            raise self.error(f"pads = {values}; expected {2 * n}, two per spatial axis")
        begin, end = self.placed(values[:n], axes, 0), self.placed(values[n:], axes, 0)
        return (*begin, *end)

    @staticmethod
    def placed(values: Sequence[int], axes: Sequence[int], default: int) -> Pair:
        """``values`` of the spatial ``axes`` as (height, width); ``default`` for a missing one."""
        by_axis = dict(zip(axes, values, strict=True))
        return (by_axis.get(0, default), by_axis.get(1, default))

    def auto_pad(self) -> str:
        """NOTSET, VALID, SAME_UPPER or SAME_LOWER; ModelError for anything else."""
        value = self.attributes.get("auto_pad", b"NOTSET")
        mode = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
            raise self.error(f"auto_pad = {mode}, which ONNX does not know")
        return mode

    def require_maps(self, data: Data) -> tuple[int, ...]:
        """For each spatial axis that the node sees whether it is H (0) or W (1).

        Raises ModelError unless ``data`` is [N, C, H, W] or [N, C, L].
        """
        axes = data.spatial()
        if axes is not None:
            return axes
        if len(data.axes) <= 2:
            raise self.error(
                f"it reads [N, {data.dims[-1]}], expected [N, C, H, W]: only Gemm can stand after a"
                " Flatten"
            )
        raise self.error(
            f"it reads {list(data.dims)}, whose axes are not batch, channels, rows and columns;"
            " transpose it to [N, C, H, W] before"
        )

    def require_flat(self, data: Data) -> None:
        """ModelError unless ``data`` is [N, K]."""
        if not data.is_flat():
            raise self.error(f"it reads {_listed(data)}, expected [N, K]; put a Flatten before it")


def _listed(data: Data) -> str:
    return "[N, " + ", ".join(str(size) for size in data.dims[1:]) + "]"
