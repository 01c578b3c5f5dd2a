"""What the nodes of an ONNX chain mean, one small value a node, before they become layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.convert.geometry import Convolution, Geometry, Pool, Shape
from ann2sdnn.convert.graph import Layer, Weights, scale_output_channels
from ann2sdnn.errors import ModelError


@dataclass(frozen=True, eq=False)
class Linear:
    """A convolution, transposed convolution or dense operation."""

    name: str
    geometry: Geometry
    weight: Weights
    bias: Weights | None


@dataclass(frozen=True, eq=False)
class Affine:
    """y = factor * x + shift a channel: what batch normalisation is once trained."""

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


@dataclass(frozen=True)
class Flatten:
    """[C, H, W] to one axis; a dense layer does it itself."""

    name: str


Element = Linear | Affine | Rectify | Pooling | Flatten


def assemble(elements: Sequence[Element], input_shape: Shape) -> tuple[Layer, ...]:
    """Group a chain of elements into layers: linear, then ReLU, then pooling.

    An affine element is folded into the linear one before it. What has no linear operation of its
    own (a pooling of the input, a second pooling, a ReLU after an average) gets an identity 1x1
    convolution, which is exact. Raises ModelError where the chain makes no sense.
    """
    layers: list[Layer] = []
    shape = input_shape
    flattened = False
    for element in elements:
        if isinstance(element, Flatten):
            flattened = True
            continue
        is_dense = isinstance(element, Linear) and element.weight.ndim == 2
        if flattened and not is_dense and isinstance(element, Linear | Pooling):
            raise ModelError(f"node {element.name}: only Gemm can stand after a Flatten")
        changed = None if not layers else _absorb(layers[-1], element)
        if changed is not None:
            layers[-1] = changed
        else:
            layers.append(_start(element, shape))
        shape = layers[-1].output_shape
        if is_dense:
            flattened = False
    return tuple(layers)


def _absorb(layer: Layer, element: Element) -> Layer | None:
    """The layer with ``element`` made part of it, or None when it must start a new one."""
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


def _start(element: Element, shape: Shape) -> Layer:
    """A new layer that begins with ``element``."""
    if isinstance(element, Linear):
        return Layer(
            element.name, element.geometry, element.weight, element.bias, False, None, shape
        )
    identity = Convolution(groups=shape[0])
    ones = np.ones(shape[0], np.float32)
    if isinstance(element, Affine):
        return Layer(
            element.name, identity, _diagonal(element.factor), element.shift, False, None, shape
        )
    if isinstance(element, Rectify):
        return Layer(element.name, identity, _diagonal(ones), None, True, None, shape)
    if isinstance(element, Pooling):
        return Layer(element.name, identity, _diagonal(ones), None, False, element.pool, shape)
    raise ModelError(f"node {element.name}: it cannot start a layer")


def _diagonal(values: NDArray[np.float32]) -> Weights:
    return values.reshape(-1, 1, 1, 1)
