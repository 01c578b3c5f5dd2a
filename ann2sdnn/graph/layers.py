"""The typed graph that every pass reads and returns: a chain of layers with checked shapes.

A layer is one population of neurons: a linear operation, a bias, an optional ReLU, an optional
pooling. Passes never change a graph; they return a new one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.support.errors import ModelError

Weights = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]

# Key of the input scale in the metadata of ONNX files and checkpoints.
INPUT_SCALE_KEY = "ann2sdnn.input_scale"


@dataclass(frozen=True, eq=False)
class BaseLayer:
    """One population of neurons: z = weight * input + bias; output = pool(relu(z)).

    Base of the layers of the float graph and of the spec.
    """

    name: str
    geometry: Geometry
    weight: Any
    """Laid out as the geometry says."""
    bias: Any
    """One value per output channel, or None."""
    relu: bool
    pool: Pool | None
    input_shape: Shape

    @property
    def preactivation_shape(self) -> Shape:
        """Shape of z, before pooling: one element per neuron."""
        return self.geometry.output_shape(self.input_shape, tuple(self.weight.shape))

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, after pooling."""
        shape = self.preactivation_shape
        return shape if self.pool is None else self.pool.output_shape(shape)


@dataclass(frozen=True, eq=False)
class Layer(BaseLayer):
    """A population in float32. Raises ModelError, naming the layer, where its fields do not fit."""

    weight: Weights
    bias: Weights | None
    copies: int = 1
    """Channels that hold each channel of the file's network: two of a ReLU6, whose value is their
    difference. Operations of the original network are counted once."""

    def __post_init__(self) -> None:
        try:
            self._check()
        except ModelError as error:
            raise ModelError(f"layer {self.name}: {error}") from error

    def _check(self) -> None:
        n_channels = self.preactivation_shape[0]
        if self.bias is not None and self.bias.shape != (n_channels,):
            raise ModelError(f"a bias of shape {self.bias.shape} for {n_channels} channels")
        is_padded = self.pool is not None and self.pool.kind == "max" and any(self.pool.pads)
        if is_padded and not self.relu:
            raise ModelError("padded max pooling without a ReLU before it")
        for what, values in (("weight", self.weight), ("bias", self.bias)):
            if values is not None and not np.isfinite(values).all():
                raise ModelError(f"a {what} that is not a finite number")
        _ = self.output_shape


class Chain:
    """Layers that follow each other. Base of the float graph and of networks made from it."""

    input_shape: Shape
    layers: tuple[BaseLayer, ...]

    @property
    def output_shape(self) -> Shape:
        """Shape of the output."""
        return self.layers[-1].output_shape

    def check_shapes(self) -> None:
        """Raise ModelError unless each layer receives the shape that it expects."""
        shape = self.input_shape
        for layer in self.layers:
            if layer.input_shape != shape:
                raise ModelError(
                    f"layer {layer.name} expects an input of shape {layer.input_shape}"
                    f" and receives {shape}"
                )
            shape = layer.output_shape


@dataclass(frozen=True, eq=False)
class Graph(Chain):
    """A feed-forward chain.

    Its input is value * ``input_scale`` - mean[c], with the mean of ``preprocessing`` and ``value``
    a uint8 pixel or a float32 value; what that is divided by is part of the first layer's weights
    (``with_std``). ``notes``: sentences for the user about what the graph leaves out of its file.
    ``held``: the tensor of the file that holds the output; None for a graph that was not read.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    input_scale: float = 1.0
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    held: Held | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError(
                "the network has no layer with weights, so there is nothing to convert"
            )
        if not (math.isfinite(self.input_scale) and self.input_scale > 0):
            raise ModelError(
                f"an input scale of {self.input_scale}; expected a finite number above 0"
            )
        if len(self.preprocessing.mean) not in (0, self.input_shape[0]):
            raise ModelError(
                f"{len(self.preprocessing.mean)} input means; expected one for each of"
                f" {self.input_shape[0]} channels"
            )
        self.check_shapes()
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ModelError("two layers of the network have the same name")

    @property
    def n_weights(self) -> int:
        """Number of weights, biases not counted."""
        return sum(layer.weight.size for layer in self.layers)


def with_std(layer: Layer, std: Sequence[float]) -> Layer:
    """The layer for an input that was not divided by ``std`` [C], channel by channel."""
    if not std:
        return layer
    divisor = input_channel_view(layer, np.array(std, np.float64))
    return with_weight(layer, layer.weight.astype(np.float64) / divisor, layer.bias)


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
