"""Compares a graph with ONNX Runtime, layer by layer, on a random input and on frames."""

from collections.abc import Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.arrangement import Data, Held
from ann2sdnn.graph.geometry import MAX_VALUES
from ann2sdnn.graph.layers import Graph, Layer, Synapse
from ann2sdnn.graph.onnx.file.protos import first_line
from ann2sdnn.graph.onnx.file.session import RUNTIME_ERRORS, open_session
from ann2sdnn.graph.onnx.tail import network_of
from ann2sdnn.graph.operations import (
    FloatNetwork,
    activation,
    centred,
    file_input,
    linear,
    summed,
)
from ann2sdnn.graph.planes import Planes
from ann2sdnn.support.errors import ModelError

# Rounding of float32 sums, over the sum of absolute products: a global average of 90,000 pixels
# rounds by 1e-5, a wrong pad, stride or axis is seen at 1e-2 and more.
_TOLERANCE = 1e-4
_SEED = 0
_MAX_BATCH = 4096

NO_FRAMES: Mapping[str, NDArray[Any]] = MappingProxyType({})


def compare_with_onnx_runtime(
    model: Any,
    graph: Graph,
    tensors: Sequence[Held | None],
    data: Data,
    frames: Mapping[str, NDArray[Any]] = NO_FRAMES,
) -> None:
    """Run ``graph`` and ``model`` on one random input of shape ``data`` (uint8, preprocessed).

    ``tensors``: for each layer the model's tensor that holds its output, None where there is none.
    ``frames``: more inputs [C, H, W], by what messages call them. Every layer gets ONNX Runtime's
    outputs of what it reads, so that rounding does not add up. Raises ModelError naming the first
    layer whose output differs, or when ONNX Runtime cannot run the model.
    """
    total = data.batch * sum(prod(layer.preactivation_shape) for layer in graph.layers)
    if data.batch > _MAX_BATCH or (data.batch > 1 and total > MAX_VALUES):
        raise ModelError(
            f"the input has a fixed batch of {data.batch}; export the network with a batch of 1"
        )
    rng = np.random.default_rng(_SEED)
    pixels = rng.integers(0, 256, (data.batch, *data.shape)).astype(np.float32)
    if graph.preprocessing.dtype != "uint8":
        pixels = pixels / 128 - 1
    _Comparison(model, graph, tensors, data).run("a random input", pixels)
    if not frames:
        return
    # A tail that fails on some frames is a warning of whoever runs it.
    ends = [held.name for held in graph.held]
    comparison = _Comparison(network_of(model, ends), graph, tensors, data)
    for name, frame in frames.items():
        comparison.run(name, np.repeat(frame[None].astype(np.float32), data.batch, axis=0))


class _Comparison:
    """ONNX Runtime's session of the model, and the layers of the graph."""

    def __init__(
        self, model: Any, graph: Graph, tensors: Sequence[Held | None], data: Data
    ) -> None:
        self._graph, self._data, self._tensors = graph, data, tensors
        self._names = list(dict.fromkeys(tensor.name for tensor in tensors if tensor))
        self._session = open_session(model, outputs=self._names, optimised=False)
        self._network = FloatNetwork(graph)

    def run(self, name: str, pixels: NDArray[np.float32]) -> None:
        """Compare on the input ``pixels`` [N, C, H, W], called ``name``; errors as above."""
        graph = self._graph
        given = file_input(graph, torch.from_numpy(pixels)).numpy()
        expected = self._expected(self._data.packed(given))
        # Each value with what rounding may have changed in it, where the file does not hold it.
        planes = Planes(graph, (centred(graph, torch.from_numpy(pixels)), 0.0))
        with torch.inference_mode():
            for index, (layer, tensor) in enumerate(zip(graph.layers, self._tensors, strict=True)):
                inputs = [x for x, _ in planes.inputs()]
                lost = sum(
                    changed * _gain(synapse)
                    for synapse, (_, changed) in zip(layer.synapses, planes.inputs(), strict=True)
                )
                found = activation(layer, self._network.preactivation(index, inputs))
                if tensor is None:
                    planes.put((found, lost + _TOLERANCE * _magnitude(layer, inputs)))
                    continue
                held = _unpacked(expected[tensor.name], tensor, found)
                same = _same(graph, index, inputs, found, held, lost=lost, name=name)
                planes.put((same, 0.0))

    def _expected(self, x: Any) -> dict[str, Tensor]:
        """ONNX Runtime's values for the input ``x``, by name of the tensor."""
        try:
            values = self._session.run(self._names, {self._session.get_inputs()[0].name: x})
        except RUNTIME_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot run the network: {first_line(error)}") from error
        return {name: torch.from_numpy(v) for name, v in zip(self._names, values, strict=True)}


def _unpacked(values: Tensor, tensor: Held, found: Tensor) -> Tensor:
    """``values`` of ``tensor`` as maps, like ``found``, where there are as many."""
    if values.numel() != found.numel():
        return values
    return torch.from_numpy(np.ascontiguousarray(tensor.data.unpacked(values.numpy())))


def _magnitude(layer: Layer, inputs: Sequence[Tensor]) -> float:
    """The largest sum of absolute products of a layer, which float32 rounding is relative to."""
    weights = [torch.from_numpy(np.abs(synapse.weight)) for synapse in layer.synapses]
    total = float(summed(layer, [x.abs() for x in inputs], weights).max())
    return total if layer.bias is None else total + float(np.abs(layer.bias).max())


def _gain(synapse: Synapse) -> float:
    """How often a synapse's largest result may hold a change of all that it reads."""
    ones = torch.ones(1, *synapse.input_shape)
    return float(linear(synapse.geometry, ones, torch.from_numpy(np.abs(synapse.weight))).max())


def _same(
    graph: Graph,
    index: int,
    inputs: Sequence[Tensor],
    found: Tensor,
    expected: Tensor,
    *,
    lost: float,
    name: str,
) -> Tensor:
    """``expected`` in the layer's shape; ModelError where ``found``, made from ``inputs``, differs
    by more than rounding does, and than what they ``lost`` before. ``name``: of the network's
    input.
    """
    layer = graph.layers[index]
    where = f"layer {layer.name} ({layer.geometry.name})"
    if found.numel() != expected.numel():
        raise ModelError(
            f"{where} has the shape {tuple(found.shape)} as it was read, in ONNX Runtime"
            f" {tuple(expected.shape)}; it cannot be converted, please report this network"
        )
    expected = expected.reshape(found.shape)
    if not torch.isfinite(expected).all():
        raise ModelError(
            f"{where} is not finite for {name} ({graph.preprocessing.dtype} times input scale"
            f" {graph.input_scale:g}); check its weights and --input-scale"
        )
    difference = float((found - expected).abs().max())
    largest = float(expected.abs().max())
    # Products are summed only where they may have cancelled.
    if not (
        difference <= _TOLERANCE * largest + lost
        or difference <= _TOLERANCE * _magnitude(layer, inputs) + lost
    ):
        raise ModelError(
            f"{where} computes something else in ONNX Runtime than as it was read: {name} makes a"
            f" difference of {difference:.3g} (largest value {largest:.3g}); it cannot be"
            " converted, please report this network"
        )
    return expected
