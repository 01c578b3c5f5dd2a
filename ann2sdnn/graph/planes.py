"""The values of a network's planes while it is computed, layer by layer."""

from collections.abc import Sequence
from math import prod
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ann2sdnn.graph.geometry import Shape

Value = TypeVar("Value")


class Wiring(Protocol):
    """What reads what, as in ``Network``."""

    @property
    def reads(self) -> Sequence[Sequence[int]]:
        """For each layer the planes that it reads."""

    @property
    def output_planes(self) -> Sequence[int]:
        """The planes of the outputs."""


class Planes(Generic[Value]):
    """What synapses read: the input, and the outputs of the layers so far.

    A value is forgotten as soon as no layer to come reads it, so that a deep network needs the
    memory of a few layers.
    """

    def __init__(self, network: Wiring, entering: Value) -> None:
        self._reads = network.reads
        self._wanted = frozenset(network.output_planes)
        self._outputs = network.output_planes
        self._last = [-1] * (len(self._reads) + 1)  # of each plane's readers
        for index, planes in enumerate(self._reads):
            for plane in planes:
                self._last[plane] = index
        self._values: dict[int, Value] = {0: entering}
        self._n_done = 0

    def inputs(self) -> list[Value]:
        """What the synapses of the next layer read."""
        return [self._values[plane] for plane in self._reads[self._n_done]]

    def put(self, value: Value) -> None:
        """The output of the next layer."""
        index = self._n_done
        for plane in set(self._reads[index]):
            if self._last[plane] <= index and plane not in self._wanted:
                del self._values[plane]
        self._n_done += 1
        if self._last[self._n_done] >= 0 or self._n_done in self._wanted:
            self._values[self._n_done] = value

    @property
    def outputs(self) -> list[Value]:
        """The network's outputs, in order, after the last layer."""
        return [self._values[plane] for plane in self._outputs]


def separated(outputs: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """The inverse of ``joined``: [N, O, H, W] for each of ``shapes``."""
    if len(shapes) == 1:
        return [outputs]
    parts = torch.split(outputs.flatten(1), [prod(shape) for shape in shapes], dim=1)
    return [part.reshape(len(outputs), *shape) for part, shape in zip(parts, shapes, strict=True)]


def joined(outputs: list[Tensor]) -> Tensor:
    """The ``outputs`` [N, O, H, W] of a network as one tensor: several as [N, K, 1, 1]."""
    if len(outputs) == 1:
        return outputs[0]
    return torch.cat([one.flatten(1) for one in outputs], dim=1)[:, :, None, None]
