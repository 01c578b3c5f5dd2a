"""The typed graph that every pass reads and returns: layers with checked shapes.

A layer is one population of neurons: one synapse or more, a bias, an optional ReLU, an optional
pooling. A synapse is a linear operation on the output of a population before it, or on the input,
so the graph is directed and has no circles. Passes never change a graph; they return a new one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

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
LayerType = TypeVar("LayerType", bound="BaseLayer")

# Key of the input scale in the metadata of ONNX files and checkpoints.
INPUT_SCALE_KEY = "ann2sdnn.input_scale"
NO_LAYERS = "the network has no layer with weights, so there is nothing to convert"
# What a synapse names as its source where that is the network's input.
INPUT = "input"


@dataclass(frozen=True, eq=False)
class Synapse:
    """A linear operation on the output of one population, or on the input.

    ``source``: the population's name, or ``INPUT``; None stands for the layer before in the order
    of layers. ``weight``: laid out as the geometry says.
    """

    geometry: Geometry
    weight: Any
    input_shape: Shape
    source: str | None = None

    @property
    def output_shape(self) -> Shape:
        """Shape of the result: one element per neuron that it reaches."""
        return self.geometry.output_shape(self.input_shape, tuple(self.weight.shape))

    @property
    def is_one_to_one(self) -> bool:
        """Whether each neuron reads one value, as for an identity with a factor per channel."""
        channels = self.input_shape[0]
        weight_shape = (channels, *(1 for _ in self.weight.shape[1:]))
        return self.geometry.groups == channels and tuple(self.weight.shape) == weight_shape


@dataclass(frozen=True, eq=False)
class BaseLayer:
    """One population of neurons: z = weight * input + bias; output = pool(relu(z)).

    With further synapses ``joined``, their results are added to z. Base of the layers of the float
    graph and of the spec.
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
    source: str | None = field(default=None, kw_only=True)
    """What the first synapse reads, as in ``Synapse``."""
    joined: tuple[Synapse, ...] = field(default=(), kw_only=True)
    """All synapses but the first, which is in the fields of the layer itself."""

    @property
    def synapses(self) -> tuple[Synapse, ...]:
        """All synapses, one or more."""
        first = Synapse(self.geometry, self.weight, self.input_shape, self.source)
        return (first, *self.joined)

    @property
    def shortcuts(self) -> tuple[int, ...]:
        """Numbers of the synapses that are identities beside others, with a factor per channel."""
        if not self.joined:
            return ()
        return tuple(
            number for number, synapse in enumerate(self.synapses) if synapse.is_one_to_one
        )

    @property
    def preactivation_shape(self) -> Shape:
        """Shape of z, before pooling: one element per neuron."""
        return self.geometry.output_shape(self.input_shape, tuple(self.weight.shape))

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, after pooling."""
        shape = self.preactivation_shape
        return shape if self.pool is None else self.pool.output_shape(shape)

    def check_joined(self) -> None:
        """Raise ModelError unless all synapses reach the same neurons."""
        for synapse in self.joined:
            if synapse.output_shape != self.preactivation_shape:
                raise ModelError(
                    f"a synapse from {synapse.source} with results of shape {synapse.output_shape}"
                    f" for neurons of shape {self.preactivation_shape}"
                )


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
        weights = [("weight", synapse.weight) for synapse in self.synapses]
        for what, values in (*weights, ("bias", self.bias)):
            if values is not None and not np.isfinite(values).all():
                raise ModelError(f"a {what} that is not a finite number")
        self.check_joined()
        _ = self.output_shape


class Network:
    """Layers, each behind all that it reads. Base of the float graph and of networks made from it.

    Its *planes* are what synapses read: plane 0 is the input, plane i + 1 the output of layer i.
    ``output_names``: the populations whose outputs are the network's, in order; () is the last one.
    """

    input_shape: Shape
    layers: tuple[BaseLayer, ...]
    output_names: tuple[str, ...]

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """For each layer the planes that its synapses read.

        Raises ModelError for a source that is no layer before it.
        """
        planes = {INPUT: 0}
        reads = []
        for index, layer in enumerate(self.layers):
            own = []
            for synapse in layer.synapses:
                if synapse.source is not None and synapse.source not in planes:
                    raise ModelError(
                        f"layer {layer.name} reads {synapse.source}, which is no layer before it"
                    )
                own.append(index if synapse.source is None else planes[synapse.source])
            reads.append(tuple(own))
            planes[layer.name] = index + 1
        return tuple(reads)

    @cached_property
    def readers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each plane the synapses that read it, as (layer, number of the synapse)."""
        readers: list[list[tuple[int, int]]] = [[] for _ in range(len(self.layers) + 1)]
        for index, planes in enumerate(self.reads):
            for number, plane in enumerate(planes):
                readers[plane].append((index, number))
        return tuple(map(tuple, readers))

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """For each plane the layers on the longest way from the input, itself included: the time
        steps until it has settled where every layer takes one.
        """
        depths = [0]
        for planes in self.reads:
            depths.append(1 + max(depths[plane] for plane in planes))
        return tuple(depths)

    @cached_property
    def output_planes(self) -> tuple[int, ...]:
        """The planes of the network's outputs, in order; ModelError for an unknown name."""
        if not self.output_names:
            return (len(self.layers),)
        planes = {layer.name: index + 1 for index, layer in enumerate(self.layers)}
        unknown = [name for name in self.output_names if name not in planes]
        if unknown:
            raise ModelError(f"an output {unknown[0]}, which is no layer of the network")
        return tuple(planes[name] for name in self.output_names)

    @cached_property
    def plane_shapes(self) -> tuple[Shape, ...]:
        """Shapes of all planes."""
        return (self.input_shape, *(layer.output_shape for layer in self.layers))

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of all planes: what synapses call them."""
        return (INPUT, *(layer.name for layer in self.layers))

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """Shapes of the outputs, in order."""
        return tuple(self.plane_shapes[plane] for plane in self.output_planes)

    @property
    def output_shape(self) -> Shape:
        """Shape of the output; of several, the values of all after each other: (K, 1, 1)."""
        shapes = self.output_shapes
        return shapes[0] if len(shapes) == 1 else (sum(map(math.prod, shapes)), 1, 1)

    @property
    def is_chain(self) -> bool:
        """Whether each layer reads the one before it only, and the last is the output."""
        follows = all(planes == (index,) for index, planes in enumerate(self.reads))
        return follows and self.output_planes == (len(self.layers),)

    def check_shapes(self) -> None:
        """Raise ModelError unless each synapse receives the shape that it expects, and each layer
        is read or is an output.
        """
        shapes = self.plane_shapes
        for layer, planes in zip(self.layers, self.reads, strict=True):
            for synapse, plane in zip(layer.synapses, planes, strict=True):
                if synapse.input_shape != shapes[plane]:
                    raise ModelError(
                        f"layer {layer.name} expects an input of shape {synapse.input_shape}"
                        f" and receives {shapes[plane]}"
                    )
        for plane, readers in enumerate(self.readers):
            if plane and not readers and plane not in self.output_planes:
                raise ModelError(f"nothing reads the output of layer {self.layers[plane - 1].name}")


@dataclass(frozen=True, eq=False)
class Graph(Network):
    """A feed-forward network in float32.

    Its input is value * ``input_scale`` - mean[c], with the mean of ``preprocessing`` and ``value``
    a uint8 pixel or a float32 value; what that is divided by is part of the first layer's weights
    (``with_std``). ``notes``: sentences for the user about what the graph leaves out of its file.
    ``held``: the tensors of the file that hold the outputs; () for a graph that was not read.
    """

    input_shape: Shape
    layers: tuple[Layer, ...]
    input_scale: float = 1.0
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    held: tuple[Held, ...] = ()
    output_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise ModelError(NO_LAYERS)
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
        if len({INPUT, *names}) != len(names) + 1:
            raise ModelError(f"two layers of the network have the same name, or one is {INPUT}")

    @property
    def n_weights(self) -> int:
        """Number of weights, biases not counted."""
        return sum(synapse.weight.size for layer in self.layers for synapse in layer.synapses)


def with_std(layer: Layer, std: Sequence[float], *, is_first: bool) -> Layer:
    """The layer for an input that was not divided by ``std`` [C], channel by channel.

    ``is_first``: a source of None is the input.
    """
    if not std:
        return layer
    synapses = []
    for synapse in layer.synapses:
        if synapse.source == INPUT or (is_first and synapse.source is None):
            divisor = input_channel_view(synapse, np.array(std, np.float64))
            weight = (synapse.weight.astype(np.float64) / divisor).astype(np.float32)
            synapses.append(replace(synapse, weight=weight))
        else:
            synapses.append(synapse)
    return with_synapses(layer, synapses)


def with_synapses(layer: LayerType, synapses: Sequence[Synapse], **changes: Any) -> LayerType:
    """The same layer with other synapses, one or more, and other fields as in ``replace``."""
    first = synapses[0]
    return replace(
        layer,
        geometry=first.geometry,
        weight=first.weight,
        input_shape=first.input_shape,
        source=first.source,
        joined=tuple(synapses[1:]),
        **changes,
    )


def with_sources(layer: LayerType, names: Mapping[str, str]) -> LayerType:
    """The layer reading ``names[source]`` where a source is named there."""
    if not any(synapse.source in names for synapse in layer.synapses):
        return layer
    return with_synapses(
        layer,
        [
            replace(synapse, source=names.get(synapse.source or "", synapse.source))
            for synapse in layer.synapses
        ],
    )


def with_weight(layer: Layer, weight: Floats, bias: Weights | None) -> Layer:
    """The same layer with another weight of its first synapse, and another bias."""
    return replace(layer, weight=weight.astype(np.float32), bias=bias)


def scale_output_channels(layer: Layer, factor: Floats) -> Layer:
    """The layer with weights and bias multiplied by ``factor`` [O], channel by channel."""
    synapses = [
        replace(
            synapse,
            weight=(synapse.weight * output_channel_view(synapse, factor)).astype(np.float32),
        )
        for synapse in layer.synapses
    ]
    bias = None if layer.bias is None else (layer.bias * factor).astype(np.float32)
    return replace(with_synapses(layer, synapses), bias=bias)


def output_channel_view(synapse: Synapse | BaseLayer, values: Floats) -> Floats:
    """Values [O] shaped so that they broadcast against the (first) synapse's weight."""
    return synapse.geometry.by_output(values, synapse.weight.shape, synapse.input_shape[0])


def input_channel_view(synapse: Synapse | BaseLayer, values: Floats) -> Floats:
    """Values [C] of the input channels shaped so that they broadcast against the weight."""
    return synapse.geometry.by_input(values, synapse.weight.shape, synapse.input_shape[0])
