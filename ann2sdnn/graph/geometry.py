"""Shapes, pads and windows of maps, and checks of them.

Shapes are (channels, height, width); pairs are (height, width); pads are (top, left, bottom,
right). The size formulas are those of the ONNX operators.
"""

from collections.abc import Sequence
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.support.errors import ModelError

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
Shape = tuple[int, int, int]
Integers = NDArray[np.int64]

NO_PADS: Pads = (0, 0, 0, 0)

# Largest stride, dilation, padding and kernel, and most values of one map (padding included):
# beyond them a file is damaged, and its arrays would fill the memory.
MAX_STEP, MAX_VALUES = 2**15 - 1, 2**28


def windows(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Number of windows along one axis; ModelError when not even one fits."""
    span = size + pad - dilation * (kernel - 1) - 1
    if span < 0:
        raise ModelError(
            f"a kernel of {kernel} with dilation {dilation} does not fit {size} pixels"
            f" and {pad} of padding"
        )
    return span // stride + 1


def pad_sums(pads: Pads) -> Pair:
    """Rows and columns that the pads add."""
    top, left, bottom, right = pads
    return (top + bottom, left + right)


def padded_map(x: Integers, pads: Pads) -> Integers:
    """``x`` [C, H, W] with zeros around it."""
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (top, bottom), (left, right)))


def seen_by_tap(x: Integers, tap: Pair, dilation: Pair, stride: Pair) -> Integers:
    """A view of ``x`` [..., H, W]: the pixel that the ``tap`` of a kernel meets, per window."""
    rows = slice(tap[0] * dilation[0], None, stride[0])
    columns = slice(tap[1] * dilation[1], None, stride[1])
    return x[..., rows, columns]


def check_channels(found: int, expected: int) -> None:
    """Raise ModelError for another number of input channels than the weight's."""
    if found != expected:
        raise ModelError(f"the layer expects {expected} input channels and receives {found}")


def check_numbers(what: str, values: object, length: int, low: int) -> None:
    """Raise ModelError unless ``values`` are ``length`` whole numbers from ``low`` to MAX_STEP."""
    numbers: Sequence[Any] = values if isinstance(values, tuple) else (values,)
    if len(numbers) != length:
        raise ModelError(f"{what} = {list(numbers)}; expected {length} numbers")
    whole = all(isinstance(value, Integral) and not isinstance(value, bool) for value in numbers)
    if not whole or any(not low <= value <= MAX_STEP for value in numbers):
        raise ModelError(f"{what} = {list(numbers)}; expected {low} to {MAX_STEP}, whole numbers")


def check_size(shape: Shape, pads: Pads = NO_PADS) -> Shape:
    """``shape``; ModelError where it is empty or, with ``pads``, too large."""
    if min(shape) < 1:
        raise ModelError(f"the layer's output would have the shape {shape}")
    rows, columns = pad_sums(pads)
    padded = (shape[0], shape[1] + rows, shape[2] + columns)
    if prod(padded) > MAX_VALUES:
        raise ModelError(f"maps of shape {padded}; at most {MAX_VALUES} values can be converted")
    return shape
