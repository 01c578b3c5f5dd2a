"""The pose network as a torch module, for every architecture."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.ann.architectures import (
    ARCHITECTURES,
    DHP19,
    KERNEL,
    Architecture,
    PoseLayer,
    architecture_of,
)
from ann2sdnn.graph.layers import Graph
from ann2sdnn.support.errors import ModelError

Weights = Mapping[str, NDArray[np.float32]]

# Resolution is halved twice: height and width must be divisible by this.
SIZE_MULTIPLE = 4
LAST_LAYER_GAIN = 0.01
# Factor from a uint8 pixel to the input of networks trained here. Event frames are nearly empty, so
# a bias-free network passes on little power. After 384 steps of 4 synthetic pictures the error
# was 17.0 px with 1/255, 14.4 px with 8/255 and 23.8 px with 32/255.
INPUT_SCALE = 1.0 / 32.0


class PoseNet(torch.nn.Module):
    """Heat maps [N, 13, H, W] from scaled frames [N, 1, H, W]; H and W are multiples of 4.

    Weights start He-distributed (Kaiming normal over the fan-in): with a smaller gain each of the
    seventeen bias-free layers shrinks the signal, and the last ReLU has nothing to learn from. Only
    the last layer starts near zero: heat maps are nearly black, and from bright noise a network
    first learns to darken, which silences some joints for long. Skips start as identities.
    """

    def __init__(self, architecture: Architecture = DHP19) -> None:
        super().__init__()
        self.architecture = architecture
        layers = architecture.layers
        self.layers = torch.nn.ModuleDict({layer.name: _module(layer) for layer in layers})
        self.skips = torch.nn.ParameterDict(
            {
                layer.skip_name: torch.nn.Parameter(torch.ones(layer.skip_shape))
                for layer in layers
                if layer.skip is not None
            }
        )
        with torch.no_grad():
            for layer in layers:
                self._weight(layer.name).normal_(std=math.sqrt(2.0 / layer.fan_in))
            self._weight(layers[-1].name).mul_(LAST_LAYER_GAIN)

    def _weight(self, name: str) -> torch.Tensor:
        weight = self.skips[name] if name in self.skips else self.layers[name].weight
        assert isinstance(weight, torch.Tensor)
        return weight

    def forward(
        self,
        frames: torch.Tensor,
        output_slope: float = 0.0,
        reads: Callable[[int, torch.Tensor], None] | None = None,
        sends: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Compute heat maps [N, 13, H, W]; raises ModelError for a size it cannot halve twice.

        ``output_slope``: slope of the last ReLU for negative values, used in training: a joint
        whose map is silent everywhere would never get a gradient again. ``reads`` is called with
        every layer's index and what it reads; the layer, and the skips that read the same, then
        read what ``sends`` makes of it.
        """
        height, width = frames.shape[-2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise ModelError(
                f"the pose network was given frames of {height}x{width} pixels; "
                f"height and width must be multiples of {SIZE_MULTIPLE}"
            )
        layers, skipped = self.architecture.layers, self.architecture.skipped
        kept: dict[str, torch.Tensor] = {}
        x = frames
        for index, layer in enumerate(layers):
            if reads is not None:
                reads(index, x)
            if sends is not None:
                x = sends(index, x)
            if index and layers[index - 1].name in skipped:
                kept[layers[index - 1].name] = x
            x = self.layers[layer.name](x)
            if layer.transposed:
                # Keras' "same" keeps the first 2n of the 2n + 1 rows and columns.
                x = x[..., :-1, :-1]
            if layer.skip is not None:
                x = x + self.skips[layer.skip_name][:, 0] * kept.pop(layer.skip)
            x = torch.nn.functional.leaky_relu(x, output_slope) if layer is layers[-1] else x.relu()
            if layer.pool:
                x = torch.nn.functional.max_pool2d(x, 2)
        return x

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy the kernels, by name, in torch's layout."""
        return {
            name: self._weight(name).detach().float().cpu().numpy().copy()
            for name in self.architecture.kernels
        }

    @classmethod
    def from_weights(cls, weights: Weights) -> "PoseNet":
        """Build the network with given kernels; raises ModelError when they do not fit it."""
        network = cls(check_weights(weights, "the weights"))
        with torch.no_grad():
            for name in network.architecture.kernels:
                network._weight(name).copy_(torch.from_numpy(weights[name]))
        return network


def check_weights(weights: Weights, source: str) -> Architecture:
    """The architecture that ``weights`` are of, known by their names.

    Raises ModelError unless it has a finite kernel of the right shape for every layer and skip;
    names ``source``.
    """
    architecture = architecture_of(weights)
    for name, shape in architecture.kernels.items():
        kernel = weights.get(name)
        if kernel is None:
            raise ModelError(
                f"{source}: layer {name} is missing; expected the {len(architecture.layers)} layers"
                f" of the {_title(architecture)}"
            )
        if kernel.shape != shape:
            raise ModelError(
                f"{source}: layer {name} has a kernel of shape {list(kernel.shape)} in torch "
                f"order, expected {list(shape)}"
            )
        if not np.isfinite(kernel).all():
            raise ModelError(
                f"{source}: layer {name} has weights that are not finite numbers; "
                "the file is damaged or its training diverged"
            )
    return architecture


def _title(architecture: Architecture) -> str:
    return "DHP19 pose network" if architecture is DHP19 else f"{architecture.name} pose network"


def _module(layer: PoseLayer) -> torch.nn.Conv2d | torch.nn.ConvTranspose2d:
    if layer.transposed:
        return torch.nn.ConvTranspose2d(
            layer.in_channels, layer.out_channels, KERNEL, stride=2, bias=False
        )
    return torch.nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        KERNEL,
        stride=layer.stride,
        padding=layer.dilation,
        dilation=layer.dilation,
        bias=False,
    )


def is_pose_network(graph: Graph) -> bool:
    """Whether `train-ann --init` takes the file that ``graph`` was read from: its layers have the
    names and kernels of an architecture's.
    """
    layers = [
        (layer.name, *(synapse.weight.shape for synapse in layer.synapses))
        for layer in graph.layers
    ]
    return any(layers == _shapes(architecture) for architecture in ARCHITECTURES.values())


def _shapes(architecture: Architecture) -> list[tuple[object, ...]]:
    """Of each layer the name and the shapes of its kernel and its skip's."""
    return [
        (
            layer.name,
            layer.weight_shape,
            *(() if layer.skip is None else (layer.skip_shape,)),
        )
        for layer in architecture.layers
    ]
