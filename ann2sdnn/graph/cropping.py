"""A network for smaller frames than it was read for."""

from dataclasses import replace

from ann2sdnn.graph.geometry import Dense, Pair, Shape
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.support.errors import ModelError, UsageError


def crop_graph(graph: Graph, size: Pair | None) -> Graph:
    """The same network for frames of ``size`` (height, width); None leaves it as it is.

    The size that a file states is that of the frames it was exported for, and no reason to export
    it again. Raises UsageError where a layer takes one size only.
    """
    if size is None or size == graph.input_shape[1:]:
        return graph
    shape: Shape = (graph.input_shape[0], *size)
    input_shape = shape
    layers: list[Layer] = []
    for layer in graph.layers:
        if isinstance(layer.geometry, Dense) and layer.input_shape != shape:
            raise _one_size(layer, size)
        try:
            layers.append(replace(layer, input_shape=shape))
        except ModelError as error:
            raise _one_size(layer, size) from error
        shape = layers[-1].output_shape
    return replace(graph, input_shape=input_shape, layers=tuple(layers))


def _one_size(layer: Layer, size: Pair) -> UsageError:
    return UsageError(
        f"--crop {size[0]}x{size[1]}: the {layer.op} {layer.name} takes frames of one size only;"
        " leave --crop out"
    )
