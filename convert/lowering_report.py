"""What lowering costs: layers, neurons, weights and operations against the original."""

import math
from collections.abc import Sequence

import numpy as np
import pydantic
import torch

from ann2sdnn.convert.functional import fan_out
from ann2sdnn.convert.lowering import LoweredSpec
from ann2sdnn.sdnn.spec import Spec, SpecLayer


class NetworkSize(pydantic.BaseModel):
    """``macs``: multiplications by non-zero weights of one dense frame, border-correct."""

    layers: int
    neurons: int
    nonzero_weights: int
    macs: int


class LoweringReport(pydantic.BaseModel):
    """``original`` counts a weight of a convolution once, and so does ``lowered``, where a finer
    grid in channels holds it once for every position. ``differences`` says what rounds otherwise.
    """

    original: NetworkSize
    lowered: NetworkSize
    packing: tuple[int, int]
    differences: list[str]

    @property
    def growth(self) -> dict[str, float]:
        """Lowered over original, for each count."""
        before, after = self.original.model_dump(), self.lowered.model_dump()
        return {name: after[name] / before[name] for name in before}


def lowering_report(spec: Spec, lowered: LoweredSpec) -> LoweringReport:
    """Counts of both networks."""
    return LoweringReport(
        original=network_size(spec.layers),
        lowered=network_size(lowered.spec.layers),
        packing=lowered.unpacking.packing,
        differences=list(lowered.differences),
    )


def network_size(layers: Sequence[SpecLayer]) -> NetworkSize:
    """Counts of one chain of layers."""
    return NetworkSize(
        layers=len(layers),
        neurons=sum(math.prod(layer.preactivation_shape) for layer in layers),
        nonzero_weights=sum(int(np.count_nonzero(layer.weight)) for layer in layers),
        macs=sum(_macs(layer) for layer in layers),
    )


def _macs(layer: SpecLayer) -> int:
    weight = torch.from_numpy(layer.weight).to(torch.float32)
    return int(fan_out(layer.geometry, weight, layer.input_shape).sum(dtype=torch.float64))
