"""The integer reference: a spec on frames in int64, the yardstick of all backends.

It computes the equations of ``equations.py`` in plain loops, without any rounding, and is slow on
purpose.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.graph.geometry import Integers
from ann2sdnn.graph.kinds import Geometry
from ann2sdnn.sdnn.engine.exact import narrow_if_exact
from ann2sdnn.sdnn.engine.run import (
    BackendResult,
    CountsOf,
    blank_result,
    check_spec_frames,
    input_messages,
    with_messages,
)
from ann2sdnn.sdnn.reference.equations import (
    delta,
    n_operations,
    n_overflows,
    n_oversized,
    wrapped,
)
from ann2sdnn.sdnn.spec.grid import SHIFT, Grid, NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


@dataclass
class Reach:
    """Largest magnitudes so far, in lava's integers and before anything wraps."""

    sum: int = 0
    """Of what arrives in one time step."""
    state: int = 0
    preactivation: int = 0
    """Of state plus bias."""
    message: int = 0

    def see(self, **values: Integers) -> None:
        """Note the magnitudes of ``values``, by field."""
        for name, array in values.items():
            if array.size:
                setattr(self, name, max(getattr(self, name), int(np.abs(array).max())))


class ReferenceLayer:
    """One population of neurons; ``n_overflows`` and ``n_oversized`` are of its last step."""

    def __init__(
        self, layer: SpecLayer, grid: Grid, *, neuron: NeuronModel, receives_changes: bool
    ) -> None:
        self.layer = layer
        self._stock = neuron == "stock"
        self._receives_changes = receives_changes
        self.is_stateful = layer.is_stateful
        self.weights = [synapse.weight.astype(np.int64) for synapse in layer.synapses]
        bias = np.zeros(layer.preactivation_shape[0], np.int64)
        if layer.bias is not None:
            bias = layer.bias.astype(np.int64)
        self._bias = (bias << (SHIFT + grid.spike_exp))[:, None, None]
        self._threshold = layer.state_thresholds(grid)[:, None, None]
        self.reach = Reach()
        self.reset()

    def reset(self) -> None:
        """Forget everything but ``reach``, which is of all frames so far."""
        self.sigma = np.zeros(self.layer.preactivation_shape, np.int64)
        self.sent = np.zeros(self.layer.output_shape, np.int64)
        self.n_overflows = self.n_oversized = 0

    def step(self, arriving: Sequence[Integers]) -> Integers:
        """Messages out [O, H', W'] for the messages ``arriving`` [C, H, W] at each synapse: one
        time step.
        """
        if not self._receives_changes:
            self.sigma[...] = 0
        if not self.is_stateful:
            self.sent[...] = 0
        arrived = np.zeros_like(self.sigma)
        for (geometry, weight), messages in zip(self._wired(), arriving, strict=True):
            arrived += geometry.integer_linear(messages, weight)
        reached = self.sigma + arrived
        self.sigma = wrapped(reached)
        self.n_overflows = n_overflows(reached)
        z = self.sigma + self._bias
        activation = np.maximum(z, 0) if self.layer.relu else z
        if self.layer.pool is not None:
            activation = self.layer.pool.apply_integers(activation)
        messages, self.sent = delta(
            activation,
            self.sent,
            self._threshold,
            self.layer.shift,
            stock=self._stock,
        )
        self.n_oversized = n_oversized(messages)
        self.reach.see(
            sum=arrived, state=reached, preactivation=reached + self._bias, message=messages
        )
        return messages

    def operations(self, arriving: Sequence[Integers]) -> int:
        """Non-zero weights that ``arriving`` messages meet, as ``step`` takes them."""
        return sum(
            n_operations(geometry, weight, messages)
            for (geometry, weight), messages in zip(self._wired(), arriving, strict=True)
        )

    def _wired(self) -> list[tuple[Geometry, Integers]]:
        geometries = [synapse.geometry for synapse in self.layer.synapses]
        return list(zip(geometries, self.weights, strict=True))


class Reference:
    """Runs ``spec`` frame by frame, all layers within a frame, as the engine and slayer do.

    ``memoryless``: every layer is memoryless, whatever the spec says.
    """

    frames_at_once = 8
    counts_of: CountsOf = "converted"

    def __init__(
        self, spec: Spec, *, memoryless: bool = False, neuron: NeuronModel = "corrected"
    ) -> None:
        self.spec = spec
        is_stateful = [spec.input_is_stateful, *(layer.is_stateful for layer in spec.layers)]
        self._is_stateful = [stateful and not memoryless for stateful in is_stateful]
        self.layers = [
            ReferenceLayer(
                layer, spec.grid, neuron=neuron, receives_changes=self._is_stateful[reads[0]]
            )
            for layer, reads in zip(spec.layers, spec.reads, strict=True)
        ]
        for layer, own in zip(self.layers, self._is_stateful[1:], strict=True):
            layer.is_stateful = own
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        self._level = np.zeros(self.spec.input_shape, np.int64)
        self._decoded = np.zeros(self.spec.output_shape, np.int64)
        for layer in self.layers:
            layer.reset()

    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process frames [T, C, H, W], one after another.

        Raises DataError for frames that the network does not take.
        """
        check_spec_frames(self.spec, frames)
        result = blank_result(self.spec, len(frames))
        kept: list[list[Tensor]] = [[] for _ in range(len(self.layers) + 1)]
        for t, level in enumerate(self.spec.input_code.levels(frames).numpy().astype(np.int64)):
            sent = [self._encode(level)]
            for index, (layer, reads) in enumerate(zip(self.layers, self.spec.reads, strict=True)):
                arriving = [sent[plane] for plane in reads]
                result.synops[t, index] = layer.operations(arriving)
                sent.append(layer.step(arriving))
                result.overflows[t, index] = layer.n_overflows
                result.oversized[t, index] = layer.n_oversized
            for plane, messages in enumerate(sent):
                result.events[t, plane] = int(np.count_nonzero(messages))
                if keep_messages:
                    kept[plane].append(self._scaled(messages))
            result.outputs[t] = self._output([sent[plane] for plane in self.spec.output_planes])
        return with_messages(result, self.spec, kept) if keep_messages else result

    def _encode(self, level: Integers) -> Integers:
        before = self._level if self._is_stateful[0] else np.zeros_like(level)
        is_sent = (level != before) & (np.abs(level - before) >= self.spec.input_threshold)
        self._level = np.where(is_sent, level, before)
        return np.asarray(self._level - before, np.int64)

    def _scaled(self, messages: Integers) -> Tensor:
        """In units of the scaled activation, as the other backends give them."""
        return narrow_if_exact(torch.from_numpy(messages).double() * self.spec.grid.message_step)

    def _output(self, sent: Sequence[Integers]) -> Tensor:
        """What the host has summed up of the messages of all outputs, in the original network's
        units.
        """
        messages = np.concatenate([one.ravel() for one in sent]).reshape(self._decoded.shape)
        goes_on = self._is_stateful[self.spec.output_planes[0]]
        self._decoded = messages + (self._decoded if goes_on else 0)
        held = torch.from_numpy(self._decoded).to(torch.float32) * self.spec.grid.message_step
        return held / torch.from_numpy(self.spec.output_scale)[:, None, None].to(torch.float32)


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer of the pipeline in n time steps."""

    messages: NDArray[np.int64]
    """[n, C, H, W] in message units."""
    overflows: NDArray[np.int64]
    """[n]."""


def pipeline(
    spec: Spec, frames: Tensor, *, neuron: NeuronModel = "corrected"
) -> tuple[LayerTrace, ...]:
    """Every layer takes a time step, as on the chip and in lava-nc.

    Layer l (from 0) runs from the first time step on, driven by its bias alone until the first
    frame's messages reach it. It answers frame t in step t + l + 1: n = T + l + 1 steps.

    Raises ValueError for a network that is no chain: its messages would arrive at different times.
    """
    if not spec.is_chain:
        raise ValueError("a pipeline of a network with branches")
    messages = input_messages(spec, frames).astype(np.int64)
    traces = []
    for spec_layer in spec.layers:
        layer = ReferenceLayer(spec_layer, spec.grid, neuron=neuron, receives_changes=True)
        sent, overflows = [], []
        for arriving in (np.zeros(spec_layer.input_shape, np.int64), *messages):
            sent.append(layer.step([arriving]))
            overflows.append(layer.n_overflows)
        messages = np.stack(sent)
        traces.append(LayerTrace(messages, np.array(overflows, np.int64)))
    return tuple(traces)
