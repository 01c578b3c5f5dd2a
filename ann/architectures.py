"""The networks that `train-ann` trains, as tables of their layers.

All are bias-free convolutions 3x3, each followed by a ReLU, whose input is one camera's frame and
whose output is a heat map per joint. ``dhp19`` is the network of Calabrese et al., "DHP19: Dynamic
Vision Sensor 3D Human Pose Dataset", CVPR Workshops 2019. Its layers have the names of the
published Keras file, so its weights need no translation table. ``hourglass`` has as many
operations and two skips.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

KERNEL = 3


@dataclass(frozen=True)
class PoseLayer:
    """A convolution of a network, its ReLU, and the 2x2 max pooling that may follow.

    ``transposed`` layers have stride 2 and double the resolution. ``skip``: name of an earlier
    layer whose output, of the same shape, is added before the ReLU, times a weight per channel.
    """

    name: str
    in_channels: int
    out_channels: int
    dilation: int = 1
    stride: int = 1
    transposed: bool = False
    pool: bool = False
    skip: str | None = None

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the kernel in torch's layout: [out, in, 3, 3], transposed [in, out, 3, 3]."""
        if self.transposed:
            return (self.in_channels, self.out_channels, KERNEL, KERNEL)
        return (self.out_channels, self.in_channels, KERNEL, KERNEL)

    @property
    def skip_name(self) -> str:
        """Name of the skip's weights."""
        return f"{self.name}_skip"

    @property
    def skip_shape(self) -> tuple[int, int, int, int]:
        """Shape of the skip's weights in torch's layout: a depthwise kernel 1x1."""
        return (self.out_channels, 1, 1, 1)

    @property
    def fan_in(self) -> float:
        """Products summed for one output value; a transposed stride of 2 leaves a quarter."""
        taps = KERNEL * KERNEL / (4 if self.transposed else 1)
        return self.in_channels * taps

    @property
    def fan_out(self) -> float:
        """Products that one input value takes part in, away from borders; the skip not counted."""
        taps = KERNEL * KERNEL / (1 if self.transposed else self.stride**2)
        return self.out_channels * taps


@dataclass(frozen=True)
class Architecture:
    """A network: its ``name``, and its layers in order. No two have the same names of kernels."""

    name: str
    layers: tuple[PoseLayer, ...]

    @cached_property
    def kernels(self) -> dict[str, tuple[int, int, int, int]]:
        """Shapes of all weights in torch's layout, by name: of the layers, and of their skips."""
        skipping = [layer for layer in self.layers if layer.skip is not None]
        return {
            **{layer.name: layer.weight_shape for layer in self.layers},
            **{layer.skip_name: layer.skip_shape for layer in skipping},
        }

    @cached_property
    def skipped(self) -> frozenset[str]:
        """Names of the layers that a skip reads."""
        return frozenset(layer.skip for layer in self.layers if layer.skip is not None)

    @cached_property
    def fan_outs(self) -> tuple[float, ...]:
        """Operations per value of what each layer reads, away from borders: its own, and one of
        each skip that reads it too.
        """
        before = [None, *(layer.name for layer in self.layers[:-1])]
        skips = [layer.skip for layer in self.layers]
        return tuple(
            layer.fan_out + (0 if name is None else skips.count(name))
            for name, layer in zip(before, self.layers, strict=True)
        )


DHP19 = Architecture(
    "dhp19",
    (
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
    ),
)


# The maps that a skip reads are sent unpooled, so a stride of 2 in the next convolution replaces
# each pooling, for as many operations. With a dilation of 2, conv3a would read only one pixel of
# four.
HOURGLASS = Architecture(
    "hourglass",
    (
        PoseLayer("conv1", 1, 16),
        PoseLayer("conv2a", 16, 32, stride=2),
        PoseLayer("conv2b", 32, 32),
        PoseLayer("conv2d", 32, 32),
        PoseLayer("conv3a", 32, 64, stride=2),
        PoseLayer("conv3b", 64, 64, dilation=2),
        PoseLayer("conv3c", 64, 64, dilation=2),
        PoseLayer("conv3d", 64, 64, dilation=2),
        PoseLayer("conv3_up", 64, 32, transposed=True, skip="conv2d"),
        PoseLayer("conv4a", 32, 32, dilation=2),
        PoseLayer("conv4b", 32, 32, dilation=2),
        PoseLayer("conv4c", 32, 32, dilation=2),
        PoseLayer("conv4d", 32, 32, dilation=2),
        PoseLayer("conv4_up", 32, 16, transposed=True, skip="conv1"),
        PoseLayer("conv5a", 16, 16),
        PoseLayer("conv5d", 16, 16),
        PoseLayer("pred_cube", 16, 13),
    ),
)

ARCHITECTURES = {each.name: each for each in (DHP19, HOURGLASS)}


def architecture_of(names: Iterable[str]) -> Architecture:
    """The architecture with the most kernels of these ``names``; of several, the first."""
    given = set(names)
    return max(ARCHITECTURES.values(), key=lambda each: len(given & set(each.kernels)))
