"""Where the weights of a layer connect: convolutions, transposed convolutions, dense, pooling.

A geometry holds no weights, so the float network, the integer spec and the cost count share it.
Shapes are (channels, height, width); pairs are (height, width); pads are (top, left, bottom,
right). The size formulas are those of the ONNX operators of the same names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ann2sdnn.errors import ModelError

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
Shape = tuple[int, int, int]
PoolKind = Literal["max", "average", "sum"]

NO_PADS: Pads = (0, 0, 0, 0)


@dataclass(frozen=True)
class Convolution:
    """A 2D convolution; weight [O, I / groups, kh, kw]."""

    stride: Pair = (1, 1)
    pads: Pads = NO_PADS
    dilation: Pair = (1, 1)
    groups: int = 1

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
        return (out_channels, height, width)


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
        return _positive((out_channels_a_group * self.groups, height, width))


@dataclass(frozen=True)
class Dense:
    """A fully connected layer; weight [O, C * H * W], its input flattened in C, H, W order."""

    def output_shape(self, shape: Shape, weight_shape: tuple[int, ...]) -> Shape:
        """(O, 1, 1); ModelError when the weight does not fit the input ``shape``."""
        if len(weight_shape) != 2:
            raise ModelError(f"a dense weight has 2 axes, this one {len(weight_shape)}")
        _check_channels(shape[0] * shape[1] * shape[2], weight_shape[1])
        return (weight_shape[0], 1, 1)


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

    def output_shape(self, shape: Shape) -> Shape:
        """Shape after pooling; ModelError when a window does not fit."""
        height, width = (
            _windows(shape[1 + axis], self.kernel[axis], self.stride[axis], 1, pad)
            for axis, pad in enumerate(_pad_sums(self.pads))
        )
        return (shape[0], height, width)

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


def _four(weight_shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(weight_shape) != 4:
        raise ModelError(f"a 2D kernel has 4 axes, this one {len(weight_shape)}")
    return weight_shape


def _check_channels(found: int, expected: int) -> None:
    if found != expected:
        raise ModelError(f"the layer expects {expected} input channels and receives {found}")


def _positive(shape: Shape) -> Shape:
    if min(shape) < 1:
        raise ModelError(f"the layer's output would have the shape {shape}")
    return shape
