"""A tensor of the network as the layers so far hold it."""

from dataclasses import dataclass, replace

import numpy as np

from ann2sdnn.graph.geometry import NO_PADS, Pads, Shape
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import INPUT, Floats
from ann2sdnn.graph.onnx.assembly.mix import Mix, absorbed, nothing
from ann2sdnn.graph.onnx.elements import Linear


@dataclass(frozen=True, eq=False)
class Part:
    """Channels of a tensor: the ``mix`` of the output of a layer, which has ``shape``.

    ``source``: the layer's name, or ``INPUT``.
    """

    source: str
    shape: Shape
    mix: Mix

    @property
    def channels(self) -> int:
        """Channels of the tensor."""
        return self.mix.coefficients.shape[1]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor: its channels in ``parts``, one after another."""

    parts: tuple[Part, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is made of the output of one layer."""
        return len(self.parts) == 1

    @property
    def whole(self) -> Part:
        """The only part."""
        (part,) = self.parts
        return part

    @property
    def mix(self) -> Mix:
        """The mix of the only part."""
        return self.whole.mix

    @property
    def shape(self) -> Shape:
        """C, H, W without pads."""
        return (sum(part.channels for part in self.parts), *self.parts[0].shape[1:])

    @property
    def waits(self) -> bool:
        """Whether it differs from the output of a layer."""
        return not self.is_whole or self.mix.waits

    @property
    def pads(self) -> Pads:
        """Zeros around the maps, of all parts alike."""
        return self.parts[0].mix.pads

    @property
    def shifts(self) -> bool:
        """Whether it has an offset, which zeros around it have not."""
        return any(part.mix.shifts for part in self.parts)

    def with_mixes(self, mixes: "list[Mix]") -> "Value":
        """The same parts, mixed again."""
        pairs = zip(self.parts, mixes, strict=True)
        return Value(tuple(replace(part, mix=mix) for part, mix in pairs))

    def sliced(self, values: Floats) -> list[Floats]:
        """``values`` [C, ...] of all channels, for each part."""
        ends = np.cumsum([part.channels for part in self.parts])[:-1]
        return np.split(values, ends)


def value_of(source: str, shape: Shape) -> Value:
    """The output of a layer itself."""
    return Value((Part(source, shape, nothing(shape[0])),))


def entering(shape: Shape) -> Value:
    """The network's input."""
    return value_of(INPUT, shape)


def pieces_of(element: Linear, value: Value) -> list[Linear] | None:
    """``element``, which reads ``value``, as one operation on each part's layer; the bias is in the
    first. None where that is not exact.
    """
    split = [element] if value.is_whole else _split(element, value)
    if split is None:
        return None
    pieces = []
    for piece, part in zip(split, value.parts, strict=True):
        taken = absorbed(piece, part.mix, (part.channels, *part.shape[1:]))
        if taken is None:
            return None
        pieces.append(taken)
    return pieces


def placed(name: str, value: Value) -> list[Linear]:
    """1x1 convolutions of each part that add up to ``value``, without its pads."""
    total = value.shape[0]
    eyes = value.sliced(np.eye(total))
    pieces = []
    for part, eye in zip(value.parts, eyes, strict=True):
        weight = np.ascontiguousarray(eye.T, np.float32)[:, :, None, None]
        mix = replace(part.mix, pads=NO_PADS)
        shape = (part.channels, *part.shape[1:])
        taken = absorbed(Linear(name, Convolution(), weight, None), mix, shape)
        assert taken is not None
        pieces.append(taken)
    return pieces


def _split(element: Linear, value: Value) -> list[Linear] | None:
    """The weight's inputs by part; None for groups, which may reach across."""
    geometry, weight = element.geometry, element.weight
    if geometry.groups > 1:
        return None
    if geometry.reads_flat:
        pixels = value.shape[1] * value.shape[2]
        ends = np.cumsum([part.channels * pixels for part in value.parts])[:-1]
        weights = np.split(weight, ends, axis=1)
    else:
        parts = geometry.split(weight, value.shape[0])
        ends = np.cumsum([part.channels for part in value.parts])[:-1]
        weights = [geometry.merge(one, weight.shape[2:]) for one in np.split(parts, ends, axis=2)]
    biases = [element.bias, *(None for _ in weights[1:])]
    return [
        Linear(element.name, geometry, np.ascontiguousarray(one), bias)
        for one, bias in zip(weights, biases, strict=True)
    ]
