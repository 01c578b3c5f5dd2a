"""Elements of an ONNX chain, one per node, and their assembly into layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Geometry
from ann2sdnn.graph.layers import Layer, Weights, scale_output_channels
from ann2sdnn.graph.pooling import Pool


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear operation with its weight and bias."""

    name: str
    geometry: Geometry
    weight: Weights
    bias: Weights | None


@dataclass(frozen=True, eq=False)
class Affine:
    """y = factor * x + shift per channel, such as a trained batch normalisation."""

    name: str
    factor: Weights
    shift: Weights


@dataclass(frozen=True)
class Rectify:
    """A ReLU."""

    name: str


@dataclass(frozen=True)
class Pooling:
    """Max or average pooling."""

    name: str
    pool: Pool


Element = Linear | Affine | Rectify | Pooling


@dataclass(frozen=True, eq=False)
class Step:
    """An element, and the name of the ONNX tensor that holds the values after it.

    ``tensor``: None where the file holds no such tensor.
    """

    element: Element
    tensor: str | None


def assemble(
    steps: Sequence[Step], input_shape: Shape, *, nonnegative: bool = True
) -> tuple[tuple[Layer, ...], tuple[str | None, ...]]:
    """Group a chain of steps into layers: linear, then ReLU, then pooling.

    ``nonnegative``: the input holds no value below 0, as pixels do not. Also returns the ONNX
    tensor that holds each layer's output, None where the file has none.

    An affine element is folded into the linear element before it. An element that needs a linear
    operation before it and has none (a pooling of the input, a second pooling, a ReLU after an
    average) gets an identity 1x1 convolution, which is exact. Raises ModelError where shapes do not
    fit.
    """
    layers: list[Layer] = []
    tensors: list[str | None] = []
    shape = input_shape
    for step in _rectified_before_padding(steps):
        changed = None if not layers else _absorb(layers[-1], step.element)
        if changed is not None:
            layers[-1], tensors[-1] = changed, step.tensor
        else:
            # What follows a ReLU is not negative.
            arriving = layers[-1].relu if layers else nonnegative
            layers.append(_start(step.element, shape, nonnegative=arriving))
            tensors.append(step.tensor)
        shape = layers[-1].output_shape
    return tuple(layers), tuple(tensors)


def _rectified_before_padding(steps: Sequence[Step]) -> list[Step]:
    """The steps with each ReLU moved before the padded max poolings that it follows.

    Maximum and ReLU commute, and after a ReLU padding with zeros is padding with minus infinity.
    """
    ordered: list[Step] = []
    for step in steps:
        start = len(ordered)
        if isinstance(step.element, Rectify):
            while start and _is_max_pooling(ordered[start - 1].element):
                start -= 1
        moved = ordered[start:]
        if not any(isinstance(m.element, Pooling) and any(m.element.pool.pads) for m in moved):
            ordered.append(step)
            continue
        # Only the output of the last step is the same as before.
        ordered[start:] = [replace(other, tensor=None) for other in (step, *moved)]
        ordered[-1] = replace(ordered[-1], tensor=step.tensor)
    return ordered


def _is_max_pooling(element: Element) -> bool:
    return isinstance(element, Pooling) and element.pool.kind == "max"


def _absorb(layer: Layer, element: Element) -> Layer | None:
    """The layer with ``element`` made part of it, or None when the element starts a new layer."""
    if isinstance(element, Affine) and not layer.relu and layer.pool is None:
        scaled = scale_output_channels(layer, element.factor)
        bias = element.shift if scaled.bias is None else scaled.bias + element.shift
        return replace(scaled, bias=bias.astype(np.float32))
    if isinstance(element, Rectify):
        # max and ReLU commute; a second ReLU changes nothing; average and ReLU do not commute.
        if layer.relu or layer.pool is None or layer.pool.kind == "max":
            return replace(layer, relu=True)
        return None
    if isinstance(element, Pooling) and layer.pool is None:
        return replace(layer, pool=element.pool)
    return None


def _start(element: Element, shape: Shape, *, nonnegative: bool) -> Layer:
    """A new layer that begins with ``element``, with inputs that are ``nonnegative`` or any."""
    if isinstance(element, Linear):
        return Layer(
            element.name, element.geometry, element.weight, element.bias, False, None, shape
        )
    factor, shift, pool = np.ones(shape[0], np.float32), None, None
    relu = isinstance(element, Rectify)
    if isinstance(element, Affine):
        factor, shift = element.factor, element.shift
    elif isinstance(element, Pooling):
        pool = element.pool
        # Values that are not negative may pass a ReLU, so padding with zeros changes no maximum.
        relu = nonnegative and _is_max_pooling(element) and any(pool.pads)
    weight = factor.reshape(-1, 1, 1, 1)
    return Layer(element.name, Convolution(groups=shape[0]), weight, shift, relu, pool, shape)
