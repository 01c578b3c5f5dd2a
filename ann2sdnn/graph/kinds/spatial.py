"""Base of convolutions and transposed convolutions: stride, pads, dilation and groups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from ann2sdnn.graph.geometry import NO_PADS, Pads, Pair, Shape, check_numbers
from ann2sdnn.graph.kinds.kind import AxisTaps, BlockType, Geometry, NetxRow
from ann2sdnn.support.errors import ModelError

_Spatial = TypeVar("_Spatial", bound="Spatial")


@dataclass(frozen=True)
class Spatial(Geometry):
    """A 2D kernel that moves over maps."""

    netx_type: ClassVar[BlockType]
    transposed: ClassVar[bool]

    stride: Pair = (1, 1)
    pads: Pads = NO_PADS
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        check_numbers("strides", self.stride, 2, 1)
        check_numbers("pads", self.pads, 4, 0)
        check_numbers("dilations", self.dilation, 2, 1)
        check_numbers("group", (self.groups,), 1, 1)

    @property
    def appended(self) -> Pair:
        """Rows and columns that are appended to the result before pads are cropped."""
        return (0, 0)

    def axis_taps(self, axis: int, shape: Shape, weight_shape: Sequence[int]) -> AxisTaps:
        return AxisTaps(
            transposed=self.transposed,
            kernel=weight_shape[2 + axis],
            stride=self.stride[axis],
            pad=self.pads[axis],
            dilation=self.dilation[axis],
            input_size=shape[1 + axis],
            output_size=self.output_shape(shape, tuple(weight_shape))[1 + axis],
        )

    def netx_row(self, shape: Shape, weight_shape: Sequence[int]) -> NetxRow | None:
        """Pads that differ have no block."""
        if self.pads[:2] != self.pads[2:] or any(self.appended):
            return None
        return NetxRow(
            self.netx_type,
            shape[0],
            self.output_shape(shape, tuple(weight_shape))[0],
            (weight_shape[2], weight_shape[3]),
            self.stride,
            self.pads[:2],
            self.dilation,
            self.groups,
        )

    def symmetric(self: "_Spatial") -> tuple["_Spatial", Pads]:
        top, left, bottom, right = self.pads
        more_rows, more_columns = self.appended
        rows, above, below = _shifted(top, bottom - more_rows, self.dilation[0])
        columns, before, after = _shifted(left, right - more_columns, self.dilation[1])
        pads = (rows, columns, rows, columns)
        return replace(self, pads=pads), (above, before, below, after)


def _shifted(begin: int, end: int, spacing: int) -> tuple[int, int, int]:
    """Padding of both ends, and the zero taps to add before and after the kernel.

    Convolution: output i reads input i s - p + d k, so p - begin pixels need that many taps of
    spacing d in front; its size fixes the taps behind. Transposed convolution: tap k of input i
    writes s i + d k - p, with the same result for ``end - output_padding``.
    """
    padding = max(begin, end, 0)
    before, after = padding - begin, padding - end
    if before % spacing or after % spacing:
        raise ModelError(
            f"pads of {begin} and {end} pixels cannot be made equal for a kernel with dilation"
            f" {spacing}; pad the input in a layer of its own"
        )
    return padding, before // spacing, after // spacing


def kernel_axes(weight_shape: tuple[int, ...]) -> tuple[int, ...]:
    """``weight_shape`` [A, B, kh, kw]; ModelError for another number of axes."""
    if len(weight_shape) != 4:
        raise ModelError(f"a 2D kernel has 4 axes, this one {len(weight_shape)}")
    check_numbers("the kernel", weight_shape[2:], 2, 1)
    return weight_shape
