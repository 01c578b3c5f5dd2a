"""A network for smaller frames than it was read for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from ann2sdnn.graph.geometry import Connected, Pair, Shape
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.layers import Graph
from ann2sdnn.support.errors import ModelError, UsageError


class Resizable(Connected, Protocol):
    """A layer of the float graph or of the spec."""

    @property
    def geometry(self) -> Geometry:
        """Its linear operation."""


_Layer = TypeVar("_Layer", bound=Resizable)


def resized(layers: Sequence[_Layer], shape: Shape) -> tuple[_Layer, ...]:
    """The same layers for an input of ``shape``; ModelError where one takes another size only."""
    changed: list[_Layer] = []
    for layer in layers:
        if layer.geometry.reads_flat and layer.input_shape != shape:
            raise ModelError(
                f"the {layer.geometry.name} layer {layer.name} takes frames of one size only"
            )
        try:
            changed.append(replace(layer, input_shape=shape))  # type: ignore[type-var]
            shape = changed[-1].output_shape
        except ModelError as error:
            raise ModelError(
                f"an input of shape {shape} does not fit layer {layer.name}: {error}"
            ) from error
    return tuple(changed)


def cropped_layers(layers: Sequence[_Layer], channels: int, size: Pair) -> tuple[_Layer, ...]:
    """The layers for frames of ``size`` (height, width), for a command with the option --crop.

    Raises UsageError where a layer takes one size only.
    """
    try:
        return resized(layers, (channels, *size))
    except ModelError as error:
        raise UsageError(f"--crop {size[0]}x{size[1]}: {error}; leave --crop out") from error


def crop_graph(graph: Graph, size: Pair | None) -> Graph:
    """The same network for frames of ``size`` (height, width); None leaves it as it is.

    The size that a file states is that of the frames it was exported for, and no reason to export
    it again. Raises UsageError where a layer takes one size only.
    """
    if size is None or size == graph.input_shape[1:]:
        return graph
    channels = graph.input_shape[0]
    layers = cropped_layers(graph.layers, channels, size)
    return replace(graph, input_shape=(channels, *size), layers=layers)
