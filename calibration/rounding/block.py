"""Synapses of one layer that are rounded together, as one operation on all their inputs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.rounding.rounded import RoundedLayer, scaled_steps, step_limits
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.integers import narrowed

FloatArray = NDArray[np.float64]


class Block:
    """The synapses ``numbers`` of a layer; several have no groups.

    Weights are rows [groups, O / groups, K], the inputs of the synapses after each other, each in
    multiples of its own weight step. ``step``: the largest of these; inputs of a synapse with a
    smaller one are smaller by the same factor.
    """

    def __init__(self, rounded: RoundedLayer, numbers: Sequence[int]) -> None:
        self.rounded, self.numbers = rounded, numbers
        self._synapses = [rounded.layer.synapses[number] for number in numbers]
        steps = [rounded.plan.weight_step(number) for number in numbers]
        self.step = max(steps)
        self._factors = [step / self.step for step in steps]
        scaled = scaled_steps(rounded.layer, rounded.plan, rounded.arriving)
        parts = [self._rows(number, scaled[number]) for number in numbers]
        self._sizes = [part.shape[2] for part in parts]
        self.weight = torch.cat(parts, dim=2)
        """[groups, O / groups, K] before rounding."""

    def _rows(self, number: int, weight: FloatArray) -> Tensor:
        synapse = self.rounded.layer.synapses[number]
        return synapse.geometry.rows(torch.from_numpy(weight), synapse.input_shape[0])

    @property
    def steps(self) -> Tensor:
        """[groups, O / groups, K] as rounded so far."""
        steps = [self.rounded.steps[number].astype(np.float64) for number in self.numbers]
        parts = [self._rows(*pair) for pair in zip(self.numbers, steps, strict=True)]
        return torch.cat(parts, dim=2)

    @property
    def limits(self) -> tuple[Tensor, Tensor]:
        """[K]: the smallest and the largest legal weight."""
        pairs = [step_limits(self.rounded.layer, self.rounded.plan, n) for n in self.numbers]
        sizes = torch.tensor(self._sizes)
        low, high = (torch.tensor(ends) for ends in zip(*pairs, strict=True))
        return low.repeat_interleave(sizes), high.repeat_interleave(sizes)

    def patches(self, inputs: Sequence[Tensor], every: int, offset: Pair) -> Tensor:
        """[groups, K, P]: what P neurons read of the ``inputs`` of all synapses of the layer, as in
        ``Geometry.patches``.
        """
        columns = []
        for number, synapse, factor in zip(
            self.numbers, self._synapses, self._factors, strict=True
        ):
            own = synapse.geometry.patches(inputs[number], synapse.weight.shape, every, offset)[0]
            columns.append(own if factor == 1 else own * factor)
        return columns[0] if len(columns) == 1 else torch.cat(columns, dim=1)

    def with_steps(self, rows: Tensor) -> RoundedLayer:
        """The layer with whole weights ``rows`` [groups, O / groups, K] of these synapses."""
        steps = list(self.rounded.steps)
        what = f"layer {self.rounded.layer.name}: a rounded weight"
        for number, synapse, own in zip(
            self.numbers, self._synapses, torch.split(rows, self._sizes, dim=2), strict=True
        ):
            whole = synapse.geometry.from_rows(own, synapse.weight.shape, synapse.input_shape[0])
            steps[number] = narrowed(whole.numpy(), np.int64, what, error=ConversionError)
        return replace(self.rounded, steps=tuple(steps))
