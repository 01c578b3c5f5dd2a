"""Measures the largest numbers of a lowered network by running it as lava-nc does.

Every layer takes a time step, so the first frame reaches a layer only after the layers before it;
until then biases alone drive the layer, in every run alike, so these steps are taken once.
Everything is in lava's integers: states and synaptic sums in units of 2^-(12 + spike_exp), messages
of 2^-(6 + spike_exp).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.operations import channels_last, fan_out
from ann2sdnn.sdnn.engine.exact import ExactLinear
from ann2sdnn.sdnn.engine.run import check_spec_frames
from ann2sdnn.sdnn.engine.threads import follow_torch
from ann2sdnn.sdnn.lowering.kernels import MESSAGE, step
from ann2sdnn.sdnn.spec.grid import EXACT_SUM, SHIFT, Grid
from ann2sdnn.sdnn.spec.input_code import held
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.progress import SILENT, Reporter


@dataclass(frozen=True)
class LayerRange:
    """Largest magnitudes before wrapping: of a neuron's input in one time step, of its state (with
    and without its bias), and of a message.

    In a network with carried channels also numbers per frame: messages ``sent`` by the layer's own
    neurons, those ``passed`` on by carried ones, and the ``passing_operations`` that these took.
    The first frame of a run sends everything and is left out, unless all runs have only one.
    """

    sum_peak: int
    state_peak: int
    message_peak: int
    sent: float = field(default=0.0, compare=False)
    passed: float = field(default=0.0, compare=False)
    passing_operations: float = field(default=0.0, compare=False)


def measure_ranges(
    spec: Spec, runs: Sequence[Frames], reporter: Reporter = SILENT
) -> tuple[LayerRange, ...]:
    """The range of every layer of the lowered ``spec`` over ``runs``, first frames included.

    States are reset before each run.
    """
    n_frames = sum(run.n_frames for run in runs)
    n_later = n_frames - len(runs)
    pipeline = _Pipeline(spec, counts_first=n_later == 0)
    with reporter.task("Range of network.net", n_frames, "frames") as task:
        for layer in pipeline.before_frames():
            task.advance(0, f"before a frame reaches {layer}")
        for run in runs:
            pipeline.reset()
            for chunk in run.chunks():
                for frame in chunk:
                    pipeline.step(torch.from_numpy(frame))
                    task.advance(1, run.name)
            pipeline.drain()
    return tuple(layer.range(n_later or n_frames) for layer in pipeline.layers)


class _Pipeline:
    """All layers in parallel: in a time step, each gets what the layer before it sent last."""

    def __init__(self, spec: Spec, *, counts_first: bool) -> None:
        self._spec = spec
        self._counts_first = counts_first
        self._level = torch.zeros(spec.input_shape, dtype=torch.int32)
        make = _CarryingPopulation if any(x.n_carried for x in spec.layers) else _Population
        self.layers = [make(layer, spec.grid) for layer in spec.layers]
        self._waiting: list[Tensor | None] = [None] * len(self.layers)
        self._n_reached = 0  # layers that a frame has reached; grows on with the time steps

    def before_frames(self) -> Iterator[str]:
        """Take the steps of each layer in which no frame can have reached it, from step 0 on.

        Yields the name of the layer that the first frame reaches next. A layer keeps its state
        after these steps for ``reset``.
        """
        for layer in self.layers:
            yield layer.name
            self._advance(None, self._n_reached)
            layer.begin_here()
            self._n_reached += 1

    def reset(self) -> None:
        """The first frame follows: every layer is where it is when that reaches it."""
        self._level = torch.zeros_like(self._level)
        self._waiting = [None] * len(self.layers)
        self._n_reached = 0
        for layer in self.layers:
            layer.reset()

    @torch.no_grad()
    def step(self, frame: Tensor) -> None:
        """One time step, in which the input sends the change of ``frame`` [C, H, W].

        Raises DataError for a frame that the network does not take.
        """
        check_spec_frames(self._spec, frame[None])
        code, before = self._spec.input_code, self._level
        self._level = held(code.levels(frame)[None], before, code.threshold)[0]
        change = (self._level - before).to(torch.float32)[None]
        self._advance_reached(change)

    def drain(self) -> None:
        """Time steps without a change, until the last frame has reached the last layer."""
        for _ in self.layers:
            self._advance_reached(None)

    def _advance_reached(self, arriving: Tensor | None) -> None:
        """A time step of the layers that the first frame has reached."""
        self._advance(arriving, 0, self._n_reached)
        n_behind_first = max(0, self._n_reached - 1)
        for layer in self.layers[: self._n_reached if self._counts_first else n_behind_first]:
            layer.count()
        self._n_reached += 1

    @torch.no_grad()
    def _advance(self, arriving: Tensor | None, first: int, end: int | None = None) -> None:
        """A time step of the layers from ``first`` to ``end``; the others send nothing."""
        follow_torch()
        sent: list[Tensor | None] = [None] * len(self.layers)
        for index in range(len(self.layers))[first:end]:
            sent[index] = self.layers[index].step(self._waiting[index])
        self._waiting = [arriving, *sent[:-1]]


class _Population:
    """The synapses and neurons of one layer."""

    def __init__(self, layer: SpecLayer, grid: Grid) -> None:
        self.name = layer.name
        weight = channels_last(torch.from_numpy(layer.weight.astype(np.float32)))
        self._linear = ExactLinear(layer.geometry, weight, layer.input_shape[0], EXACT_SUM)
        channels, height, width = layer.preactivation_shape
        bias = np.zeros(channels, np.int64)
        if layer.bias is not None:
            bias = layer.bias.astype(np.int64)
        self._bias = bias << (SHIFT + grid.spike_exp)
        self._vth, self._shift = layer.state_thresholds(grid), layer.shift
        self._shape: Shape = layer.preactivation_shape
        self._sigma = np.zeros((height, width, channels), np.int32)
        self._sent = np.zeros((height, width, channels), np.int32)
        self._peaks = np.zeros((height, 3), np.int64)
        self._largest = np.zeros(3, np.int64)
        self._begin = (self._sigma.copy(), self._sent.copy())
        self._settled = not self._bias.any()

    def begin_here(self) -> None:
        """Let runs begin in the present state."""
        self._begin = (self._sigma.copy(), self._sent.copy())

    def reset(self) -> None:
        """Go back to where runs begin."""
        self._sigma[:], self._sent[:] = self._begin

    def range(self, n_counted: int) -> LayerRange:
        """Of all time steps so far, resets or not; ``n_counted``: frames of those ``count`` saw."""
        return LayerRange(*(int(peak) for peak in self._largest))

    def count(self) -> None:
        """Count the messages of the last step: in a chain of its own, none is carried."""

    def step(self, arriving: Tensor | None) -> Tensor | None:
        """Messages float32 [1, O, H', W'] for those ``arriving``; None stands for no message."""
        if arriving is None:
            if self._settled:
                return None  # what has not changed is not sent again
            sums = torch.zeros(1, *self._shape)
        else:
            sums = self._linear(arriving)
        self._settled = True
        height, width, channels = self._sigma.shape
        messages = np.empty((height, width, channels), np.float32)
        step(
            sums[0].permute(1, 2, 0).contiguous().numpy(),
            self._bias,
            self._vth,
            self._shift,
            self._sigma,
            self._sent,
            messages,
            self._peaks,
        )
        self._largest = np.maximum(self._largest, self._peaks.max(axis=0))
        if not self._peaks[:, MESSAGE].any():
            return None
        return torch.from_numpy(messages).permute(2, 0, 1)[None]


class _CarryingPopulation(_Population):
    """A layer of a network with carried channels, whose messages are counted."""

    def __init__(self, layer: SpecLayer, grid: Grid) -> None:
        super().__init__(layer, grid)
        self._n_own = layer.preactivation_shape[0] - layer.n_carried
        weight = torch.from_numpy(layer.weight[self._n_own :].astype(np.float32))
        self._fan_out = fan_out(layer.geometry, weight, layer.input_shape) if len(weight) else None
        self._last = (0, 0, 0)  # sent, passed and operations of the last step
        self._counted = (0, 0, 0)

    def range(self, n_counted: int) -> LayerRange:
        """As ``_Population.range``."""
        sent, passed, operations = (count / n_counted for count in self._counted)
        return replace(
            super().range(n_counted), sent=sent, passed=passed, passing_operations=operations
        )

    def count(self) -> None:
        """As ``_Population.count``."""
        sent, passed, operations = map(sum, zip(self._counted, self._last, strict=True))
        self._counted = (sent, passed, operations)

    def step(self, arriving: Tensor | None) -> Tensor | None:
        """As ``_Population.step``."""
        messages = super().step(arriving)
        sent = passed = operations = 0
        if messages is not None:
            sent = int(torch.count_nonzero(messages[:, : self._n_own]))
            passed = int(torch.count_nonzero(messages[:, self._n_own :]))
        if arriving is not None and self._fan_out is not None:
            operations = int(self._fan_out[arriving[0] != 0].sum(dtype=torch.float64))
        self._last = (sent, passed, operations)
        return messages
