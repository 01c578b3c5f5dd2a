"""Where the weights of a layer connect: convolutions, transposed convolutions, dense, pooling.

A geometry holds no weights, so the float network, the integer spec and the cost count share it.
Shapes are (channels, height, width); pairs are (height, width); pads are (top, left, bottom,
right). The size formulas are those of the ONNX operators of the same names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from numbers import Integral
from typing import Any, Literal, Protocol

from ann2sdnn.support.errors import ModelError

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
Shape = tuple[int, int, int]
PoolKind = Literal["max", "average", "sum"]

NO_PADS: Pads = (0, 0, 0, 0)

# Largest stride, dilation, padding and kernel, and most values of one map (padding included):
# beyond them a file is damaged, and its arrays would fill the memory.
MAX_STEP, MAX_VALUES = 2**15 - 1, 2**28


@dataclass(frozen=True)
class Convolution:
    """A 2D convolution; weight [O, I / groups, kh, kw]."""

    stride: Pair = (1, 1)
    pads: Pads = NO_PADS
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        _check_steps(self.stride, self.pads, self.dilation, self.groups)

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        """Shape of the result; ModelError when the weight does not fit the input ``shape``."""
        out_channels, in_channels_a_group, *kernel = _four(weight_shape)
        _check_channels(shape[0], in_channels_a_group * self.groups)
        if out_channels % self.groups:
            raise ModelError(
                f"{out_channels} output channels do not divide into {self.groups} groups"
            )
        height, width = (
            _windows(shape[1 + axis], kernel[axis], self.stride[axis], self.dilation[axis], pad)
            for axis, pad in enumerate(_pad_sums(self.pads))
        )
        _check_size(_padded(shape, self.pads))
        return _check_size((out_channels, height, width))


@dataclass(frozen=True)
class TransposedConvolution:
    """A 2D transposed convolution; weight [I, O / groups, kh, kw].

    The full result has stride (n - 1) + dilation (k - 1) + 1 rows; ``output_padding`` zeros are
    appended, then ``pads`` rows and columns are cropped. (0, 0, 1, 1) with stride 2 and a 3x3
    kernel is Keras' 'same'.
    """

    stride: Pair = (1, 1)
    pads: Pads = NO_PADS
    dilation: Pair = (1, 1)
    groups: int = 1
    output_padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        _check_steps(self.stride, self.pads, self.dilation, self.groups)
        _check_range("output_padding", self.output_padding, 0)
        if any(rows >= step for rows, step in zip(self.output_padding, self.stride, strict=True)):
            raise ModelError(
                f"output_padding = {list(self.output_padding)} with strides ="
                f" {list(self.stride)}; expected less than the stride"
            )

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        """Shape of the result; ModelError when the weight does not fit the input ``shape``."""
        in_channels, out_channels_a_group, *kernel = _four(weight_shape)
        _check_channels(shape[0], in_channels)
        if in_channels % self.groups:
            raise ModelError(
                f"{in_channels} input channels do not divide into {self.groups} groups"
            )
        height, width = (
            self.stride[axis] * (shape[1 + axis] - 1)
            + self.dilation[axis] * (kernel[axis] - 1)
            + 1
            + self.output_padding[axis]
            - pad
            for axis, pad in enumerate(_pad_sums(self.pads))
        )
        output = (out_channels_a_group * self.groups, height, width)
        _check_size(_padded(output, self.pads))
        return _check_size(output)


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; weight [O, C * H * W], its input flattened in C, H, W order."""

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        """(O, 1, 1); ModelError when the weight does not fit the input ``shape``."""
        if len(weight_shape) != 2:
            raise ModelError(f"a dense weight has 2 axes, this one {len(weight_shape)}")
        _check_channels(shape[0] * shape[1] * shape[2], weight_shape[1])
        return _check_size((weight_shape[0], 1, 1))


Geometry = Convolution | TransposedConvolution | Dense


@dataclass(frozen=True)
class Pool:
    """Pooling over windows. ``average`` divides by the kernel's size (padding counts as zeros);
    ``sum`` does not divide, so that it stays on an integer grid.
    """

    kind: PoolKind
    kernel: Pair
    stride: Pair
    pads: Pads = NO_PADS

    def __post_init__(self) -> None:
        _check_range("kernel_shape", self.kernel, 1)
        _check_range("strides", self.stride, 1)
        _check_range("pads", self.pads, 0)
        if any(pad >= size for pad, size in zip(self.pads, self.kernel * 2, strict=True)):
            raise ModelError(
                f"pads = {list(self.pads)} with kernel_shape = {list(self.kernel)}; expected less"
                " than the kernel"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """Shape after pooling; ModelError when a window does not fit."""
        height, width = (
            _windows(shape[1 + axis], self.kernel[axis], self.stride[axis], 1, pad)
            for axis, pad in enumerate(_pad_sums(self.pads))
        )
        _check_size(_padded(shape, self.pads))
        return _check_size((shape[0], height, width))

    @property
    def window(self) -> int:
        """Number of pixels in a window."""
        return self.kernel[0] * self.kernel[1]


class Connected(Protocol):
    """A layer of a chain, of the float graph or of the spec."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def input_shape(self) -> Shape:
        """What it expects."""

    @property
    def output_shape(self) -> Shape:
        """What it sends on."""


def check_chain(input_shape: Shape, layers: Sequence[Connected]) -> None:
    """Raise ModelError unless each layer receives the shape that it expects."""
    shape = input_shape
    for layer in layers:
        if layer.input_shape != shape:
            raise ModelError(
                f"layer {layer.name} expects an input of shape {layer.input_shape}"
                f" and receives {shape}"
            )
        shape = layer.output_shape


def _windows(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    span = size + pad - dilation * (kernel - 1) - 1
    if span < 0:
        raise ModelError(
            f"a kernel of {kernel} with dilation {dilation} does not fit {size} pixels"
            f" and {pad} of padding"
        )
    return span // stride + 1


def _pad_sums(pads: Pads) -> Pair:
    top, left, bottom, right = pads
    return (top + bottom, left + right)


def _padded(shape: Shape, pads: Pads) -> Shape:
    rows, columns = _pad_sums(pads)
    return (shape[0], shape[1] + rows, shape[2] + columns)


def _four(weight_shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(weight_shape) != 4:
        raise ModelError(f"a 2D kernel has 4 axes, this one {len(weight_shape)}")
    _check_range("the kernel", weight_shape[2:], 1)
    return weight_shape


def _check_channels(found: int, expected: int) -> None:
    if found != expected:
        raise ModelError(f"the layer expects {expected} input channels and receives {found}")


def _check_steps(stride: Pair, pads: Pads, dilation: Pair, groups: int) -> None:
    _check_range("strides", stride, 1)
    _check_range("pads", pads, 0)
    _check_range("dilations", dilation, 1)
    _check_range("group", (groups,), 1)


def _check_range(what: str, values: Sequence[Any], low: int) -> None:
    whole = all(isinstance(value, Integral) and not isinstance(value, bool) for value in values)
    if not whole or any(not low <= value <= MAX_STEP for value in values):
        raise ModelError(f"{what} = {list(values)}; expected {low} to {MAX_STEP}, whole numbers")


def _check_size(shape: Shape) -> Shape:
    if min(shape) < 1:
        raise ModelError(f"the layer's output would have the shape {shape}")
    if prod(shape) > MAX_VALUES:
        raise ModelError(f"maps of shape {shape}; at most {MAX_VALUES} values can be converted")
    return shape
