"""What waits for the next linear operation of a chain, and how that operation takes it.

A Clip becomes two ReLUs per channel, and the next layer reads both (``assemble``); a
batch normalisation after a ReLU, and zeros around the maps, wait for the next layer too.
"""

from dataclasses import dataclass, replace

import numpy as np

from ann2sdnn.graph.arrangement import Held
from ann2sdnn.graph.geometry import NO_PADS, Pads, Shape
from ann2sdnn.graph.kinds import Convolution, Geometry
from ann2sdnn.graph.onnx.elements import Bend, Floats64, Linear


@dataclass(frozen=True, eq=False)
class Mix:
    """The values that follow a layer, whose output holds K channels for each of theirs.

        y[c] = shift[c] + sum over k of coefficients[k, c] * output[c * K + k]

    and then ``pads`` zeros around y. ``coefficients`` is [K, C, 1, 1] and ``shift`` [C, 1, 1], with
    H and W where pixels differ. ``commutes``: maximum pooling of the output and of y agree.
    ``name``: of the last element in it. ``tensor``, ``padded``: hold y, and y with its pads.
    """

    coefficients: Floats64
    shift: Floats64
    commutes: bool = True
    name: str = ""
    tensor: Held | None = None
    pads: Pads = NO_PADS
    padded: Held | None = None

    @property
    def is_sum(self) -> bool:
        """Whether y differs from the output."""
        return len(self.coefficients) > 1 or bool((self.coefficients != 1).any()) or self.shifts

    @property
    def shifts(self) -> bool:
        """Whether y has an offset, which zeros around it have not."""
        return bool(self.shift.any())

    @property
    def waits(self) -> bool:
        """Whether there is anything for the next operation to take."""
        return self.is_sum or any(self.pads)

    @property
    def is_per_channel(self) -> bool:
        """Whether all pixels of a channel are treated alike."""
        return self.coefficients.shape[2:] == self.shift.shape[1:] == (1, 1)

    def scaled(self, factor: Floats64, shift: Floats64) -> "Mix":
        """With factor * y + shift in the place of y."""
        positive = factor.shape[1:] == (1, 1) and bool((factor > 0).all())
        return replace(
            self,
            coefficients=self.coefficients * factor,
            shift=self.shift * factor + shift,
            commutes=self.commutes and positive,
        )


def nothing(channels: int) -> Mix:
    """The output itself."""
    return Mix(np.ones((1, channels, 1, 1)), np.zeros((channels, 1, 1)))


def mix_of(bend: Bend, name: str, tensor: Held | None) -> Mix:
    """The sum that ``bend`` leaves to the next operation."""
    return Mix(
        bend.coefficients[:, :, None, None],
        bend.shift[:, None, None],
        bend.commutes,
        name,
        tensor,
    )


def added_pads(first: Pads, second: Pads) -> Pads:
    """Both pads, one around the other."""
    top, left, bottom, right = (one + other for one, other in zip(first, second, strict=True))
    return (top, left, bottom, right)


def identity(name: str, channels: int) -> Linear:
    """A 1x1 convolution that changes nothing."""
    weight = np.ones((channels, 1, 1, 1), np.float32)
    return Linear(name, Convolution(groups=channels), weight, None)


def absorbed(element: Linear, mix: Mix, shape: Shape) -> Linear | None:
    """``element``, which reads y of ``shape``, as an operation on the layer's output.

    None where that is not exact: an offset inside zeros, pixels that differ, pads around what is no
    convolution.
    """
    geometry, weight, channels = element.geometry, element.weight, shape[0]
    if any(mix.pads):
        if not isinstance(geometry, Convolution):
            return None
        geometry = replace(geometry, pads=added_pads(mix.pads, geometry.pads))
    if not mix.is_sum:
        return replace(element, geometry=geometry)
    if not geometry.reads_flat and not (mix.is_per_channel and _meets_all_taps(geometry, mix)):
        return None
    exact = weight.astype(np.float64)
    bias = element.bias
    if mix.shifts:
        offset = _response(geometry, exact, mix.shift, shape)
        bias = (offset if bias is None else bias + offset).astype(np.float32)
    parts = [
        (exact * _per_input(geometry, one, exact.shape, shape)).astype(np.float32)
        for one in mix.coefficients
    ]
    return Linear(element.name, geometry, geometry.interleaved_inputs(parts, channels), bias)


def _meets_all_taps(geometry: Geometry, mix: Mix) -> bool:
    """Whether every output reads all taps of its kernel, so that an offset adds the same to all."""
    return not mix.shifts or (isinstance(geometry, Convolution) and not any(geometry.pads))


def _per_input(
    geometry: Geometry, values: Floats64, weight_shape: tuple[int, ...], shape: Shape
) -> Floats64:
    """``values`` of the inputs, [C, 1, 1] or [C, H, W], so that they broadcast to the weight."""
    if values.shape[1:] == (1, 1):
        return np.asarray(geometry.by_input(values[:, 0, 0], weight_shape, shape[0]), np.float64)
    return np.asarray(np.broadcast_to(values, shape).reshape(1, -1))


def _response(geometry: Geometry, weight: Floats64, shift: Floats64, shape: Shape) -> Floats64:
    """The output [O] for an input that is ``shift`` everywhere."""
    if geometry.reads_flat:
        return np.asarray(weight @ np.broadcast_to(shift, shape).ravel(), np.float64)
    taps = geometry.split(weight, shape[0]).sum(axis=3)
    return np.asarray(np.einsum("goi,gi->go", taps, shift.reshape(len(taps), -1)).ravel())
