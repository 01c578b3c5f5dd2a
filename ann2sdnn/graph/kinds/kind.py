"""The interface of a linear operation, and the registry of all of them.

A linear operation is a frozen dataclass of what it is set to (strides, pads, ...), without its
weight. The float graph, the integer spec and the counts of operations share it. A module that
defines one registers it under its name with ``@kind("name")``; nothing else has to know of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import MAX_VALUES, NO_PADS, Integers, Pads, Pair, Shape
from ann2sdnn.support.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

BlockType = Literal["conv", "convT", "dense"]
Array = TypeVar("Array", NDArray[Any], "Tensor")
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class NetxRow:
    """slayer's block for an operation, and its fields in a file of netx.

    ``kernel``: None for a block without a window. Pads are the same at both ends of an axis.
    """

    type: BlockType
    n_in: int
    n_out: int
    kernel: Pair | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class AxisTaps:
    """Where the taps of a kernel fall along one axis, on sizes in pixels.

    Transposed: tap k of input i writes output stride * i + dilation * k - pad. Else: output i
    reads input stride * i + dilation * k - pad.
    """

    transposed: bool
    kernel: int
    stride: int
    pad: int
    dilation: int
    input_size: int
    output_size: int


class Geometry(ABC):
    """A linear operation without its weight.

    The first two axes of a weight are channels (of one of ``groups``), those after them the taps of
    a kernel. The layout here is that of a convolution, [O, I / groups, ...]; an operation with
    another one overrides ``split`` and ``merge``, from which all that concerns channels follows.
    """

    name: ClassVar[str]
    groups: int = 1
    # The input is flattened in C, H, W order, so the operation takes one size of frames only.
    reads_flat: ClassVar[bool] = False
    # slayer's name of the block that computes it.
    netx_type: ClassVar[BlockType | None] = None

    @abstractmethod
    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        """Shape of the result; ModelError when the weight does not fit the input ``shape``."""

    @abstractmethod
    def linear(self, x: "Tensor", weight: "Tensor") -> "Tensor":
        """The operation on ``x`` [N, C, H, W], without bias: [N, O, H', W']."""

    @abstractmethod
    def integer_linear(self, x: Integers, weight: Integers) -> Integers:
        """The operation on ``x`` [C, H, W] int64, exact: [O, H', W'].

        This is the reference that ``linear`` and all backends are tested against.
        """

    @abstractmethod
    def patches(
        self, x: "Tensor", weight_shape: Sequence[int], every: int, offset: Pair
    ) -> "Tensor":
        """Inputs [N, groups, K, P] of P neurons: every ``every``-th row and column from ``offset``.

        K counts input channels of a group, then taps, as in ``rows``: the result of a group is its
        rows times its patches.
        """

    def split(self, weight: Array, channels: int) -> Array:
        """``weight`` as [groups, O / groups, I / groups, taps], for ``channels`` of the input."""
        outs = weight.shape[0] // self.groups
        return weight.reshape(self.groups, outs, weight.shape[1], prod(weight.shape[2:]))

    def merge(self, parts: Array, kernel: Sequence[int]) -> Array:
        """The weight of ``parts`` [groups, O / groups, I / groups, taps]; inverse of ``split``.

        ``kernel``: the taps' own axes, all axes of the weight but the first two.
        """
        return parts.reshape(parts.shape[0] * parts.shape[1], parts.shape[2], *kernel)

    def rows(self, weight: "Tensor", channels: int) -> "Tensor":
        """The weight as [groups, O / groups, K]."""
        return self.split(weight, channels).flatten(2)

    def from_rows(self, rows: "Tensor", weight_shape: Sequence[int], channels: int) -> "Tensor":
        """The inverse of ``rows`` for a weight of ``weight_shape``."""
        import torch

        parts = self.split(torch.empty(*weight_shape, device="meta"), channels).shape
        return self.merge(rows.reshape(parts), weight_shape[2:])

    def by_output(self, values: Floats, weight_shape: Sequence[int], channels: int) -> Floats:
        """``values`` [O], so that they broadcast against the weight and its sums over taps."""
        return self._spread(values, (-1, 1), weight_shape, channels)

    def by_input(self, values: Floats, weight_shape: Sequence[int], channels: int) -> Floats:
        """``values`` [I], so that they broadcast against the weight and its sums over taps."""
        return self._spread(values, (1, -1), weight_shape, channels)

    def _spread(
        self, values: Floats, axes: Pair, weight_shape: Sequence[int], channels: int
    ) -> Floats:
        one_tap = (*weight_shape[:2], *(1 for _ in weight_shape[2:]))
        parts = self.split(np.empty(one_tap), channels).shape
        spread = np.broadcast_to(values.reshape(self.groups, *axes, 1), parts)
        return self.merge(spread, one_tap[2:])

    def interleaved_inputs(self, weights: Sequence[NDArray[Any]], channels: int) -> NDArray[Any]:
        """The weight for an input that holds each of ``channels`` once per one of ``weights``."""
        return self._interleaved(weights, channels, axis=2)

    def interleaved_outputs(self, weights: Sequence[NDArray[Any]], channels: int) -> NDArray[Any]:
        """The weight whose output holds each channel once per one of ``weights``."""
        return self._interleaved(weights, channels, axis=1)

    def _interleaved(
        self, weights: Sequence[NDArray[Any]], channels: int, axis: int
    ) -> NDArray[Any]:
        stacked = np.stack([self.split(weight, channels) for weight in weights], axis + 1)
        shape = list(stacked.shape)
        shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
        return self.merge(stacked.reshape(shape), weights[0].shape[2:])

    def sum_by_source(self, weight: "Tensor", channels: int) -> "Tensor":
        """Sum over all outputs and taps for each input channel [C], or neuron if ``reads_flat``."""
        sums = self.split(weight, channels).sum(dim=1).flatten(0, 1)
        return sums.flatten() if self.reads_flat else sums.sum(dim=1)

    def envelope(self, weight: "Tensor") -> "Tensor | None":
        """The largest of ``weight`` over all outputs, as a weight of one output; None in groups."""
        return None if self.groups > 1 else weight.amax(dim=0, keepdim=True)

    def fan_in(self, weight_shape: Sequence[int]) -> float:
        """Inputs that a neuron reads, away from borders, on average."""
        return prod(weight_shape[1:])

    def symmetric(self) -> tuple["Geometry", Pads]:
        """An equal operation with the same pads at both ends, and the zero taps it needs.

        They are added before the first and after the last row and column of the kernel, in the
        order of pads. Raises ModelError where there is none.
        """
        return self, NO_PADS

    def with_symmetric_pads(self, weight: NDArray[Any]) -> tuple["Geometry", NDArray[Any]]:
        """An equal operation with the same pads at both ends, and its weight.

        slayer and netx pad both ends alike, and slayer's transposed convolution has no output
        padding. A zero tap at a kernel's edge shifts where the kernel lies without changing what it
        computes: the 3x3 stride-2 kernel with Keras' cropping becomes a 4x4 kernel with padding 1.
        Raises ModelError where there is none, or where the kernel would have too many taps.
        """
        changed, added = self.symmetric()
        if not any(added):
            return changed, weight
        width = [(0, 0), (0, 0), added[::2], added[1::2]]
        n_taps = prod(n + sum(ends) for n, ends in zip(weight.shape[2:], width[2:], strict=True))
        if weight.shape[0] * weight.shape[1] * n_taps > MAX_VALUES:
            raise ModelError(
                f"its pads would need a kernel of {n_taps} taps to be the same on both sides; use"
                " smaller pads"
            )
        return changed, np.pad(weight, width)

    def axis_taps(self, axis: int, shape: Shape, weight_shape: Sequence[int]) -> AxisTaps | None:
        """The operation along one axis, for lowering; None where it has no such form."""
        return None

    def netx_row(self, shape: Shape, weight_shape: Sequence[int]) -> NetxRow | None:
        """Slayer's block for an input of ``shape``; None where slayer has none."""
        return None

    def pixel_steps(self) -> tuple[Fraction, Fraction]:
        """Rows and columns of the input from one output pixel to the next."""
        return Fraction(1), Fraction(1)


_KINDS: dict[str, type[Geometry]] = {}
_FORMER_NAMES: dict[str, str] = {}
_Kind = TypeVar("_Kind", bound=type[Geometry])


def kind(name: str, *, formerly: str | None = None) -> Callable[[_Kind], _Kind]:
    """Register a linear operation as ``name``, its one spelling in files, reports and messages.

    ``formerly``: what files of earlier versions call it. Raises ValueError for a name that is
    taken.
    """

    def register(cls: _Kind) -> _Kind:
        if name in _KINDS or name in _FORMER_NAMES:
            raise ValueError(f"a linear operation {name} is registered already")
        cls.name = name
        _KINDS[name] = cls
        if formerly is not None:
            _FORMER_NAMES[formerly] = name
        return cls

    return register


def kind_named(name: object) -> type[Geometry]:
    """The operation registered as ``name``; ModelError for an unknown one."""
    known = _FORMER_NAMES.get(str(name), str(name))
    if known not in _KINDS:
        raise ModelError(f"a linear operation {name}; expected one of {', '.join(_KINDS)}")
    return _KINDS[known]
