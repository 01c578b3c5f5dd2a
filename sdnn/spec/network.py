"""Sigma-delta layers in real numbers: what the torch backends are built from.

A spec gives weights, thresholds and messages on its grid. A float graph gives the same network
without any rounding and with thresholds of 0, which must equal the ANN: that is how the
semantics are tested apart from quantisation.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.spec import UNITS, WEIGHT_STEP, Spec
from ann2sdnn.support.errors import ModelError


@dataclass(frozen=True)
class Arithmetic:
    """How numbers are rounded: not at all (None), or on the grid of a spec.

    ``message_step``: messages are floored to its multiples. ``state_limit``: states wrap round
    there. ``message_limit``: the largest message. ``exact_limit``: float32 holds every sum of
    products below it exactly.
    """

    message_step: float | None = None
    state_limit: float | None = None
    message_limit: float | None = None
    exact_limit: float | None = None


@dataclass(frozen=True, eq=False)
class SigmaDeltaLayer:
    """One layer: weight as its geometry says, bias [O, 1, 1] or None, ``threshold`` in what is
    sent, which is ``send_gain`` (a power of two) times the pooled activation. A layer that does not
    ``remember`` sends its activations anew in every frame.
    """

    name: str
    geometry: Geometry
    weight: Tensor
    bias: Tensor | None
    relu: bool
    pool: Pool | None
    threshold: float
    input_shape: Shape
    preactivation_shape: Shape
    output_shape: Shape
    send_gain: float = 1.0
    is_stateful: bool = True
    is_relay: bool = False

    def __post_init__(self) -> None:
        expected = (self.preactivation_shape[0], 1, 1)
        if self.bias is not None and tuple(self.bias.shape) != expected:
            raise ModelError(
                f"layer {self.name}: a bias of shape {list(self.bias.shape)}; expected"
                f" {list(expected)}"
            )


@dataclass(frozen=True, eq=False)
class SigmaDeltaNetwork:
    """Layers and their arithmetic. A uint8 pixel enters as ``input_step`` a count;
    ``output_scale`` [O, 1, 1] divides the decoded output.
    """

    layers: tuple[SigmaDeltaLayer, ...]
    arithmetic: Arithmetic
    input_shape: Shape
    input_step: float
    output_scale: Tensor
    input_is_stateful: bool = True

    @property
    def memoryless_layers(self) -> tuple[str, ...]:
        """Names of what does not remember, the input first."""
        names = () if self.input_is_stateful else ("input",)
        return names + tuple(layer.name for layer in self.layers if not layer.is_stateful)


def network_from_spec(spec: Spec) -> SigmaDeltaNetwork:
    """The network on the spec's grid, in units of the scaled activation."""
    layers = tuple(
        SigmaDeltaLayer(
            name=layer.name,
            geometry=layer.geometry,
            weight=torch.from_numpy(layer.weight).to(torch.float32) / UNITS,
            bias=None
            if layer.bias is None
            else torch.from_numpy(layer.bias).to(torch.float32)[:, None, None] / UNITS,
            relu=layer.relu,
            pool=layer.pool,
            threshold=_rounded_up(layer.threshold * spec.grid.threshold_step),
            input_shape=layer.input_shape,
            preactivation_shape=layer.preactivation_shape,
            output_shape=layer.output_shape,
            send_gain=layer.send_gain,
            is_stateful=layer.is_stateful,
            is_relay=layer.is_relay,
        )
        for layer in spec.layers
    )
    # Weights are even, so a product is a multiple of (2 / 64) * message_step, and float32 adds
    # such multiples exactly while they stay below 2^24 of them.
    exact_limit = 2.0**24 * (WEIGHT_STEP / UNITS) * spec.grid.message_step
    return SigmaDeltaNetwork(
        layers=layers,
        arithmetic=Arithmetic(
            message_step=spec.grid.message_step,
            state_limit=spec.grid.state_limit,
            message_limit=spec.grid.message_limit,
            exact_limit=exact_limit,
        ),
        input_shape=spec.input_shape,
        input_step=spec.input_gain * spec.grid.message_step,
        output_scale=torch.from_numpy(spec.output_scale)[:, None, None].to(torch.float32),
        input_is_stateful=spec.input_is_stateful,
    )


def _rounded_up(threshold: float) -> float:
    """The smallest float32 that is no less: changes are float32, so the same ones reach it."""
    single = np.float32(threshold)
    return float(single if single >= threshold else np.nextafter(single, np.float32(np.inf)))


def network_from_graph(graph: Graph) -> SigmaDeltaNetwork:
    """The float network as sigma-delta layers: no rounding, thresholds of 0."""
    layers = tuple(
        SigmaDeltaLayer(
            name=layer.name,
            geometry=layer.geometry,
            weight=torch.from_numpy(layer.weight.copy()),
            bias=None if layer.bias is None else torch.from_numpy(layer.bias.copy())[:, None, None],
            relu=layer.relu,
            pool=layer.pool,
            threshold=0.0,
            input_shape=layer.input_shape,
            preactivation_shape=layer.preactivation_shape,
            output_shape=layer.output_shape,
        )
        for layer in graph.layers
    )
    return SigmaDeltaNetwork(
        layers=layers,
        arithmetic=Arithmetic(),
        input_shape=graph.input_shape,
        input_step=graph.input_scale,
        output_scale=torch.ones(graph.output_shape[0], 1, 1),
    )
