"""Computation of linear operations, pooling and float graphs in torch."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.layers import BaseLayer, Graph, Layer, Weights
from ann2sdnn.graph.planes import Planes, joined
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.frame_check import check_channels, check_frames


def linear(geometry: Geometry, x: Tensor, weight: Tensor) -> Tensor:
    """The linear operation of ``geometry`` on ``x`` [N, C, H, W], without bias."""
    return geometry.linear(x, weight)


def summed(layer: BaseLayer, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """The results of the layer's synapses for ``inputs`` [N, C, H, W] each, added up; no bias."""
    total: Tensor | None = None
    for synapse, x, weight in zip(layer.synapses, inputs, weights, strict=True):
        z = linear(synapse.geometry, x, weight)
        total = z if total is None else total + z
    assert total is not None
    return total


def pool(layer_pool: Pool | None, x: Tensor) -> Tensor:
    """Pooling of ``x`` [N, C, H, W]; None passes ``x`` on."""
    return x if layer_pool is None else layer_pool.apply(x)


def fan_out(geometry: Geometry, weight: Tensor, input_shape: Shape) -> Tensor:
    """Synaptic operations that a message of each input neuron causes: [C, H, W], float32.

    Counts the non-zero weights that a message meets; at the border some taps fall outside. This is
    the derivative of the sum of all outputs by the input, with every non-zero weight set to 1.
    """
    with torch.inference_mode(mode=False), torch.set_grad_enabled(True):
        x = torch.zeros((1, *input_shape), device=weight.device, requires_grad=True)
        mask = (weight.clone() != 0).to(torch.float32)
        (gradient,) = torch.autograd.grad(linear(geometry, x, mask).sum(), x)
    return gradient[0].detach()


class FloatNetwork:
    """The graph with its float weights, on one device."""

    def __init__(self, graph: Graph, device: torch.device | str = "cpu") -> None:
        self.graph = graph
        self.device = torch.device(device)
        # Convolutions on a CPU work with channels last in memory.
        self._weights = [
            [channels_last(_tensor(synapse.weight, self.device)) for synapse in layer.synapses]
            for layer in graph.layers
        ]
        self._biases = [
            None if layer.bias is None else _tensor(layer.bias, self.device)[:, None, None]
            for layer in graph.layers
        ]

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [N, C, H, W] as the graph's input.

        Their size may differ from the graph's where no layer is dense. Raises DataError for frames
        of another type or number of channels.
        """
        check_graph_frames(self.graph, frames)
        return channels_last(centred(self.graph, frames.to(self.device, torch.float32)))

    def preactivation(self, index: int, inputs: Sequence[Tensor]) -> Tensor:
        """Z of layer ``index`` for what its synapses read."""
        z = summed(self.graph.layers[index], inputs, self._weights[index])
        bias = self._biases[index]
        return z if bias is None else z + bias

    def __call__(self, x: Tensor) -> Tensor:
        """The output for the (scaled) input ``x`` [N, C, H, W]; DataError for another shape."""
        channels = self.graph.input_shape[0]
        if x.ndim < 2 or x.shape[1] != channels:
            raise DataError(
                f"an input of shape {list(x.shape)} for a network whose input has {channels}"
                " channels; expected [N, C, H, W]"
            )
        planes = Planes(self.graph, x)
        with torch.inference_mode():
            for index, layer in enumerate(self.graph.layers):
                planes.put(activation(layer, self.preactivation(index, planes.inputs())))
            return joined(planes.outputs)


def check_graph_frames(graph: Graph, frames: Tensor) -> None:
    """Raise DataError for ``frames`` that do not fit ``graph``; convolutions take any size."""
    dtype = graph.preprocessing.dtype
    if any(synapse.geometry.reads_flat for layer in graph.layers for synapse in layer.synapses):
        check_frames(frames, graph.input_shape, dtype)
    else:
        check_channels(frames, graph.input_shape[0], dtype)


def centred(graph: Graph, values: Tensor) -> Tensor:
    """The graph's input for the float32 ``values`` [N, C, H, W] of frames."""
    scaled = values * graph.input_scale
    mean = graph.preprocessing.mean
    return scaled - _by_channel(mean, scaled) if mean else scaled


def file_input(graph: Graph, values: Tensor) -> Tensor:
    """What the network's file takes for the float32 ``values`` [N, C, H, W] of frames."""
    x, std = centred(graph, values), graph.preprocessing.std
    return x / _by_channel(std, x) if std else x


def _by_channel(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]


def channels_last(values: Tensor) -> Tensor:
    """The same values with channels last in memory, where there are spatial axes."""
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values


def activation(layer: Layer, z: Tensor) -> Tensor:
    """The layer's output for its pre-activation: ReLU, then pooling."""
    if layer.relu and layer.pool is not None and layer.pool.kind == "max":
        return F.relu(pool(layer.pool, z))  # the same, of fewer values
    return pool(layer.pool, F.relu(z) if layer.relu else z)


def _tensor(values: Weights, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values, order="C")).to(device)
