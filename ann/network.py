"""The DHP19 pose network: 17 convolutions 3x3 without bias, each followed by a ReLU.

Calabrese et al., "DHP19: Dynamic Vision Sensor 3D Human Pose Dataset", CVPR Workshops 2019. The
layer names are those of the published Keras file, so its weights need no translation table.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.graph.layers import Graph
from ann2sdnn.support.errors import ModelError

Weights = Mapping[str, NDArray[np.float32]]

KERNEL = 3
# Two 2x2 poolings: height and width must be divisible by this.
SIZE_MULTIPLE = 4
LAST_LAYER_GAIN = 0.01
# Factor from a uint8 pixel to the input of networks trained here. Event frames are nearly empty, so
# a bias-free network passes on little power. After 384 steps of 4 synthetic pictures the error
# was 17.0 px with 1/255, 14.4 px with 8/255 and 23.8 px with 32/255.
INPUT_SCALE = 1.0 / 32.0


@dataclass(frozen=True)
class PoseLayer:
    """A convolution of the network, its ReLU, and the 2x2 max pooling that may follow.

    ``transposed`` layers have stride 2 and double the resolution.
    """

    name: str
    in_channels: int
    out_channels: int
    dilation: int = 1
    transposed: bool = False
    pool: bool = False

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the kernel in torch's layout: [out, in, 3, 3], transposed [in, out, 3, 3]."""
        if self.transposed:
            return (self.in_channels, self.out_channels, KERNEL, KERNEL)
        return (self.out_channels, self.in_channels, KERNEL, KERNEL)

    @property
    def fan_in(self) -> float:
        """Products summed for one output value; a stride of 2 leaves a quarter of the taps."""
        taps = KERNEL * KERNEL / (4 if self.transposed else 1)
        return self.in_channels * taps


LAYERS = (
    PoseLayer("conv1", 1, 16, pool=True),
    PoseLayer("conv2a", 16, 32),
    PoseLayer("conv2b", 32, 32),
    PoseLayer("conv2d", 32, 32, pool=True),
    PoseLayer("conv3a", 32, 64, dilation=2),
    PoseLayer("conv3b", 64, 64, dilation=2),
    PoseLayer("conv3c", 64, 64, dilation=2),
    PoseLayer("conv3d", 64, 64, dilation=2),
    PoseLayer("conv3_up", 64, 32, transposed=True),
    PoseLayer("conv4a", 32, 32, dilation=2),
    PoseLayer("conv4b", 32, 32, dilation=2),
    PoseLayer("conv4c", 32, 32, dilation=2),
    PoseLayer("conv4d", 32, 32, dilation=2),
    PoseLayer("conv4_up", 32, 16, transposed=True),
    PoseLayer("conv5a", 16, 16),
    PoseLayer("conv5d", 16, 16),
    PoseLayer("pred_cube", 16, 13),
)


class PoseNet(torch.nn.Module):
    """Heat maps [N, 13, H, W] from scaled frames [N, 1, H, W]; H and W are multiples of 4.

    Weights start He-distributed (Kaiming normal over the fan-in): with a smaller gain each of the
    seventeen bias-free layers shrinks the signal, and the last ReLU has nothing to learn from. Only
    the last layer starts near zero: heat maps are nearly black, and from bright noise a network
    first learns to darken, which silences some joints for long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleDict({layer.name: _module(layer) for layer in LAYERS})
        with torch.no_grad():
            for layer in LAYERS:
                self._weight(layer).normal_(std=math.sqrt(2.0 / layer.fan_in))
            self._weight(LAYERS[-1]).mul_(LAST_LAYER_GAIN)

    def _weight(self, layer: PoseLayer) -> torch.Tensor:
        weight = self.layers[layer.name].weight
        assert isinstance(weight, torch.Tensor)
        return weight

    def forward(
        self,
        frames: torch.Tensor,
        output_slope: float = 0.0,
        reads: Callable[[int, torch.Tensor], None] | None = None,
        sends: Callable[[int, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Compute heat maps [N, 13, H, W]; raises ModelError for a size it cannot pool.

        ``output_slope``: slope of the last ReLU for negative values, used in training: a joint
        whose map is silent everywhere would never get a gradient again. ``reads`` is called with
        every layer's index and what it reads; the layer then reads what ``sends`` makes of it.
        """
        height, width = frames.shape[-2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise ModelError(
                f"the pose network was given frames of {height}x{width} pixels; "
                f"height and width must be multiples of {SIZE_MULTIPLE}"
            )
        x = frames
        for index, layer in enumerate(LAYERS):
            if reads is not None:
                reads(index, x)
            if sends is not None:
                x = sends(index, x)
            x = self.layers[layer.name](x)
            if layer.transposed:
                # Keras' "same" keeps the first 2n of the 2n + 1 rows and columns.
                x = x[..., :-1, :-1]
            x = torch.nn.functional.leaky_relu(x, output_slope) if layer is LAYERS[-1] else x.relu()
            if layer.pool:
                x = torch.nn.functional.max_pool2d(x, 2)
        return x

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Copy the kernels, by layer name, in torch's layout."""
        return {
            layer.name: self._weight(layer).detach().float().cpu().numpy().copy()
            for layer in LAYERS
        }

    @classmethod
    def from_weights(cls, weights: Weights) -> "PoseNet":
        """Build the network with given kernels; raises ModelError when they do not fit it."""
        check_weights(weights, "the weights")
        network = cls()
        with torch.no_grad():
            for layer in LAYERS:
                network._weight(layer).copy_(torch.from_numpy(weights[layer.name]))
        return network


def check_weights(weights: Weights, source: str) -> None:
    """Raise ModelError unless every layer has a finite kernel of its shape; names ``source``."""
    for layer in LAYERS:
        kernel = weights.get(layer.name)
        if kernel is None:
            raise ModelError(
                f"{source}: layer {layer.name} is missing; expected the {len(LAYERS)} layers of "
                "the DHP19 pose network"
            )
        if kernel.shape != layer.weight_shape:
            raise ModelError(
                f"{source}: layer {layer.name} has a kernel of shape {list(kernel.shape)} in torch "
                f"order, expected {list(layer.weight_shape)}"
            )
        if not np.isfinite(kernel).all():
            raise ModelError(
                f"{source}: layer {layer.name} has weights that are not finite numbers; "
                "the file is damaged or its training diverged"
            )


def _module(layer: PoseLayer) -> torch.nn.Conv2d | torch.nn.ConvTranspose2d:
    if layer.transposed:
        return torch.nn.ConvTranspose2d(
            layer.in_channels, layer.out_channels, KERNEL, stride=2, bias=False
        )
    return torch.nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        KERNEL,
        padding=layer.dilation,
        dilation=layer.dilation,
        bias=False,
    )


def is_pose_network(graph: Graph) -> bool:
    """Whether `train-ann --init` takes the file that ``graph`` was read from: its layers have the
    names and kernels of the pose network.
    """
    layers = [(layer.name, layer.weight.shape) for layer in graph.layers]
    return layers == [(layer.name, layer.weight_shape) for layer in LAYERS]
