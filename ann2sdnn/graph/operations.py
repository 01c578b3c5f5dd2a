"""What a geometry computes, in torch; and the float graph run frame by frame."""

from functools import singledispatch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.graph.geometry import (
    Convolution,
    Dense,
    Geometry,
    Pads,
    Pool,
    Shape,
    TransposedConvolution,
)
from ann2sdnn.graph.layers import Graph, Layer, Weights
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.frame_check import check_channels, check_frames


@singledispatch
def linear(geometry: Geometry, x: Tensor, weight: Tensor) -> Tensor:
    """The linear operation of ``geometry`` on ``x`` [N, C, H, W], without bias."""
    raise TypeError(f"unknown geometry {type(geometry).__name__}")


@linear.register
def _(geometry: Convolution, x: Tensor, weight: Tensor) -> Tensor:
    top, left, bottom, right = geometry.pads
    padding = (top, left)
    if (top, left) != (bottom, right):
        x = F.pad(x, (left, right, top, bottom))
        padding = (0, 0)
    return F.conv2d(x, weight, None, geometry.stride, padding, geometry.dilation, geometry.groups)


@linear.register
def _(geometry: TransposedConvolution, x: Tensor, weight: Tensor) -> Tensor:
    full = F.conv_transpose2d(
        x, weight, None, geometry.stride, 0, 0, geometry.groups, geometry.dilation
    )
    top, left, bottom, right = geometry.pads
    # Appended zeros and cropped rows at the same edge cancel; F.pad takes negative numbers.
    rows, columns = geometry.output_padding
    return F.pad(full, (-left, columns - right, -top, rows - bottom))


@linear.register
def _(geometry: Dense, x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x.flatten(1), weight)[:, :, None, None]


def pool(layer_pool: Pool | None, x: Tensor) -> Tensor:
    """Pooling of ``x`` [N, C, H, W]; None passes ``x`` on. Padding is zeros, right after a ReLU."""
    if layer_pool is None:
        return x
    if any(layer_pool.pads):
        x = F.pad(x, _torch_pads(layer_pool.pads))
    if layer_pool.kind == "max":
        return F.max_pool2d(x, layer_pool.kernel, layer_pool.stride)
    divisor = 1 if layer_pool.kind == "sum" else None
    return F.avg_pool2d(x, layer_pool.kernel, layer_pool.stride, divisor_override=divisor)


def fan_out(geometry: Geometry, weight: Tensor, input_shape: Shape) -> Tensor:
    """Synaptic operations a message of each input neuron causes: [C, H, W], float32.

    Counts the non-zero weights a message meets, fewer at the border where taps fall outside. It is
    the derivative of the sum of all outputs by the input, with every non-zero weight set to 1.
    """
    with torch.inference_mode(mode=False), torch.set_grad_enabled(True):
        x = torch.zeros((1, *input_shape), device=weight.device, requires_grad=True)
        mask = (weight.clone() != 0).to(torch.float32)
        (gradient,) = torch.autograd.grad(linear(geometry, x, mask).sum(), x)
    return gradient[0].detach()


@singledispatch
def sum_by_source(geometry: Geometry, weight: Tensor) -> Tensor:
    """Sum of ``weight`` over all taps and outputs, for each input channel [C] (dense: neuron)."""
    raise TypeError(f"unknown geometry {type(geometry).__name__}")


@sum_by_source.register
def _(geometry: Convolution, weight: Tensor) -> Tensor:
    by_group = weight.reshape(geometry.groups, -1, *weight.shape[1:])
    return by_group.sum(dim=(1, 3, 4)).flatten()


@sum_by_source.register
def _(geometry: TransposedConvolution, weight: Tensor) -> Tensor:
    return weight.sum(dim=(1, 2, 3))


@sum_by_source.register
def _(geometry: Dense, weight: Tensor) -> Tensor:
    return weight.sum(dim=0)


class FloatNetwork:
    """The graph with its float weights, on one device."""

    def __init__(self, graph: Graph, device: torch.device | str = "cpu") -> None:
        self.graph = graph
        self.device = torch.device(device)
        # Channels last in memory: what convolutions on a CPU work in.
        self._weights = [channels_last(_tensor(x.weight, self.device)) for x in graph.layers]
        self._biases = [
            None if layer.bias is None else _tensor(layer.bias, self.device)[:, None, None]
            for layer in graph.layers
        ]

    def encode(self, frames: Tensor) -> Tensor:
        """uint8 frames [N, C, H, W] as the network's input.

        Their size may differ from the graph's where no layer is dense. Raises DataError for frames
        of another type or number of channels.
        """
        check_graph_frames(self.graph, frames)
        scaled = frames.to(self.device, torch.float32) * self.graph.input_scale
        return channels_last(scaled)

    def preactivation(self, index: int, x: Tensor) -> Tensor:
        """Z of layer ``index`` for its input ``x``."""
        z = linear(self.graph.layers[index].geometry, x, self._weights[index])
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
        with torch.inference_mode():
            for index, layer in enumerate(self.graph.layers):
                x = activation(layer, self.preactivation(index, x))
        return x


def check_graph_frames(graph: Graph, frames: Tensor) -> None:
    """Raise DataError for ``frames`` that ``graph`` cannot be shown: convolutions take any size."""
    if any(isinstance(layer.geometry, Dense) for layer in graph.layers):
        check_frames(frames, graph.input_shape)
    else:
        check_channels(frames, graph.input_shape[0])


def channels_last(values: Tensor) -> Tensor:
    """The same values with channels last in memory, where there are spatial axes."""
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == 4 else values


def activation(layer: Layer, z: Tensor) -> Tensor:
    """The layer's output for its pre-activation: ReLU, then pooling."""
    return pool(layer.pool, F.relu(z) if layer.relu else z)


def _tensor(values: Weights, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values, order="C")).to(device)


def _torch_pads(pads: Pads) -> list[int]:
    top, left, bottom, right = pads
    return [left, right, top, bottom]
