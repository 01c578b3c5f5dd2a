"""A sigma-delta network in real numbers, from which the torch backends are built.

A spec gives weights, thresholds and messages on its grid. Without a grid nothing is rounded or
wrapped, and a network with thresholds of 0 equals the ANN; tests build such networks.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.spec.grid import UNITS, Grid
from ann2sdnn.sdnn.spec.input_code import InputCode
from ann2sdnn.sdnn.spec.spec import (
    Population,
    SigmaDeltaBase,
    Spec,
    SpecLayer,
)


@dataclass(frozen=True, eq=False)
class SigmaDeltaLayer(Population):
    """A population in units of the scaled activation."""

    weight: Tensor
    bias: Tensor | None
    """[O, 1, 1]."""
    threshold: float
    """Of what is sent."""
    send_gain: float = 1.0
    """What is sent, per pooled activation; a power of two."""


@dataclass(frozen=True, eq=False)
class SigmaDeltaNetwork(SigmaDeltaBase):
    """Layers and their grid."""

    layers: tuple[SigmaDeltaLayer, ...]
    grid: Grid | None
    """None: nothing is rounded, and states do not wrap."""
    input_shape: Shape
    input_step: float
    """What a value of a frame enters as, per 1.0, before an offset."""
    output_scale: Tensor
    """[O, 1, 1]: divides the decoded output."""
    input_is_stateful: bool = True
    input_code: InputCode | None = None
    """None: a uint8 pixel enters times ``input_step``, without rounding."""
    output_names: tuple[str, ...] = ()

    @property
    def input_threshold(self) -> float:
        """Of what the input sends, in units of the scaled activation."""
        if self.input_code is None or self.grid is None:
            return 0.0
        return self.input_code.threshold * self.grid.message_step

    def enter(self, frames: Tensor) -> Tensor:
        """What ``frames`` [..., C, H, W] enter as, float32 in units of the scaled activation.

        Raises DataError for values that no message holds.
        """
        if self.input_code is None or self.grid is None:
            return frames.to(torch.float32) * self.input_step
        return self.input_code.entering(frames, self.grid.message_step)


def network_from_spec(spec: Spec) -> SigmaDeltaNetwork:
    """The network on the spec's grid, in units of the scaled activation."""
    return SigmaDeltaNetwork(
        layers=tuple(_real_layer(layer, spec.grid) for layer in spec.layers),
        grid=spec.grid,
        input_shape=spec.input_shape,
        input_step=spec.input_gain * spec.grid.message_step,
        output_scale=torch.from_numpy(spec.output_scale)[:, None, None].to(torch.float32),
        input_is_stateful=spec.input_is_stateful,
        input_code=spec.input_code,
        output_names=spec.output_names,
    )


def _real_layer(layer: SpecLayer, grid: Grid) -> SigmaDeltaLayer:
    same = {field.name: getattr(layer, field.name) for field in fields(Population)}
    same["weight"] = _real(layer.weight)
    same["joined"] = tuple(
        replace(synapse, weight=_real(synapse.weight)) for synapse in layer.joined
    )
    if layer.bias is not None:
        same["bias"] = torch.from_numpy(layer.bias).to(torch.float32)[:, None, None] / UNITS
    threshold = _rounded_up(layer.threshold * grid.threshold_step)
    return SigmaDeltaLayer(**same, threshold=threshold, send_gain=layer.send_gain)


def _real(weight: NDArray[np.int16]) -> Tensor:
    return torch.from_numpy(weight).to(torch.float32) / UNITS


def _rounded_up(threshold: float) -> float:
    """The smallest float32 that is no less: changes are float32, so the same ones reach it."""
    single = np.float32(threshold)
    return float(single if single >= threshold else np.nextafter(single, np.float32(np.inf)))
