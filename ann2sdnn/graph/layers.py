"""The typed graph that every pass reads and returns: a chain of layers with checked shapes.

A layer is one population of neurons: a linear operation, a bias, an optional ReLU, an optional
pooling. Passes never change a graph; they return a new one.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape, check_chain
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.support.errors import ModelError

Weights = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Layer:
    """z = weight * input + bias; output = pool(relu(z)).

    ``weight`` is laid out as its geometry says, ``bias`` is [O] or None.
    """

    name: str
    geometry: Geometry
    weight: Weights
    bias: Weights | None
    relu: bool
    pool: Pool | None
    input_shape: Shape

    def __post_init__(self) -> None:
        shape = self.preactivation_shape
        if self.bias is not None and self.bias.shape != shape[:1]:
            raise self._error(f"a bias of shape {self.bias.shape} for {shape[0]} channels")
        if self.pool is not None and not self.relu and self._pads_change_maximum(self.pool):
            raise self._error("padded max pooling without a ReLU before it")
        if not np.isfinite(self.weight).all():
            raise self._error("a weight that is not a finite number")
        if self.bias is not None and not np.isfinite(self.bias).all():
            raise self._error("a bias that is not a finite number")
        _ = self.output_shape

    @property
    def preactivation_shape(self) -> Shape:
        """Shape of z, before pooling: one element per neuron."""
        try:
            return self.geometry.output_shape(self.input_shape, self.weight.shape)
        except ModelError as error:
            raise self._error(str(error)) from error

    @property
    def output_shape(self) -> Shape:
        """Shape of the layer's output, after pooling."""
        if self.pool is None:
            return self.preactivation_shape
        try:
            return self.pool.output_shape(self.preactivation_shape)
        except ModelError as error:
            raise self._error(str(error)) from error

    @staticmethod
    def _pads_change_maximum(pool: Pool) -> bool:
        return pool.kind == "max" and any(pool.pads)

    def _error(self, what: str) -> ModelError:
        return ModelError(f"layer {self.name}: {what}")


@dataclass(frozen=True, eq=False)
class Graph:
    """A feed-forward chain; a uint8 pixel times ``input_scale`` is the network's input.

    ``notes``: sentences for the user about what the graph leaves out of its file.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    input_scale: float = 1.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError(
                "the network has no layer with weights, so there is nothing to convert"
            )
        if not (math.isfinite(self.input_scale) and self.input_scale > 0):
            raise ModelError(
                f"an input scale of {self.input_scale}; expected a finite number above 0"
            )
        check_chain(self.input_shape, self.layers)
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ModelError("two layers of the network have the same name")

    @property
    def output_shape(self) -> Shape:
        """Shape of the network's output."""
        return self.layers[-1].output_shape

    @property
    def n_weights(self) -> int:
        """Number of weights, biases not counted."""
        return sum(layer.weight.size for layer in self.layers)


def with_weight(layer: Layer, weight: Floats, bias: Weights | None) -> Layer:
    """The same layer with another weight and bias."""
    return replace(layer, weight=weight.astype(np.float32), bias=bias)


def scale_output_channels(layer: Layer, factor: Floats) -> Layer:
    """The layer with its weight and bias multiplied by ``factor`` [O], channel by channel."""
    weight = layer.weight * output_channel_view(layer, factor)
    bias = None if layer.bias is None else (layer.bias * factor).astype(np.float32)
    return with_weight(layer, weight, bias)


def output_channel_view(layer: Layer, values: Floats) -> Floats:
    """Values [O] shaped so that they broadcast against the layer's weight."""
    return layer.geometry.by_output(values, layer.weight.shape, layer.input_shape[0])


def input_channel_view(layer: Layer, values: Floats) -> Floats:
    """Values [C] of the input channels shaped so that they broadcast against the weight."""
    return layer.geometry.by_input(values, layer.weight.shape, layer.input_shape[0])
