"""Measures every layer of the float network over all calibration frames.

Memory does not grow with the number of frames: only maxima and histograms are kept.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.extremes import SMALL, FrameExtremes
from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.frame_check import check_frames
from ann2sdnn.support.progress import SILENT, Reporter

# Largest activations of a layer; squares of gradients and sums of them have to fit float32 as well.
_SQUARABLE = (1e-12, 1e15)


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """A layer of the float network over all calibration frames, in its own units.

    ``z_min``, ``z_max`` [O]: pre-activations per channel; ``a_max`` [O]: activations after pooling.
    ``values``: activations of all frames; ``changes``: differences of activations between
    consecutive frames. ``z_step`` [O]: the largest magnitude of a state, or sum of a single time
    step, without its bias; ``a_step`` [O]: of a message (the activation in a sequence's first
    frame, then its change). Both include what biases cause on lava before the first frame arrives.
    ``expected``: what states and messages of a small layer may reach on other frames
    (``extremes.py``); None for layers with many neurons per channel.
    """

    z_min: NDArray[np.float64]
    z_max: NDArray[np.float64]
    a_max: NDArray[np.float64]
    values: Magnitudes
    changes: Magnitudes
    z_step: NDArray[np.float64]
    a_step: NDArray[np.float64]
    expected: "LayerPeaks | None" = None

    @property
    def seen(self) -> "LayerPeaks":
        """The largest state and message of every channel."""
        return LayerPeaks(self.state_peak, self.message_peak)

    @property
    def peaks(self) -> "LayerPeaks":
        """The same, or what is expected on other frames where that is more."""
        return self.seen if self.expected is None else self.seen.larger(self.expected)

    @property
    def state_peak(self) -> NDArray[np.float64]:
        """[O]: the largest magnitude of a state or a step's sum, with the bias or without: both
        have to fit 24 bits.
        """
        peak = np.maximum(np.maximum(self.z_max, -self.z_min), 0)
        return np.asarray(np.maximum(peak, self.z_step), np.float64)

    @property
    def message_peak(self) -> NDArray[np.float64]:
        """[O]: the largest magnitude of a message."""
        return np.asarray(np.maximum(self.a_max, self.a_step), np.float64)


@dataclass(frozen=True, eq=False)
class LayerPeaks:
    """The largest magnitudes [O] of a layer's states and messages."""

    state: NDArray[np.float64]
    message: NDArray[np.float64]

    def larger(self, other: "LayerPeaks") -> "LayerPeaks":
        """The larger of both, channel by channel."""
        return LayerPeaks(
            np.maximum(self.state, other.state), np.maximum(self.message, other.message)
        )


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of every layer over ``n_frames`` frames in ``n_runs`` sequences."""

    layers: tuple[LayerStatistics, ...]
    n_frames: int
    n_runs: int


@torch.inference_mode()
def measure(
    graph: Graph,
    runs: Iterable[Frames],
    reporter: Reporter = SILENT,
    *,
    may_be_silent: bool = False,
) -> Statistics:
    """Run the float network over ``runs`` and collect its statistics.

    Raises DataError for frames of another shape or type. Raises ConversionError when there is no
    frame, when a layer's values overflow float32 or cannot be squared in it, or when a layer is
    silent on all frames, unless it ``may_be_silent``.
    """
    network = FloatNetwork(graph)
    observers = [_Observer(layer) for layer in graph.layers]
    _observe_start(network, observers)
    runs = list(runs)
    n_frames = sum(run.n_frames for run in runs)
    with reporter.task("Activation statistics", n_frames, "frames") as task:
        for run in runs:
            for observer in observers:
                observer.start_run()
            for chunk in run.chunks():
                check_frames(torch.from_numpy(chunk), graph.input_shape)
                for frame in torch.from_numpy(chunk):
                    _observe(network, observers, frame[None])
                    task.advance()
    if n_frames == 0:
        raise ConversionError("the calibration set is empty; give it recordings with frames")
    statistics = Statistics(tuple(o.result() for o in observers), n_frames, len(runs))
    _refuse_overflow(graph, statistics)
    if not may_be_silent:
        _refuse_silence(graph, statistics)
        _refuse_extremes(graph, statistics)
    return statistics


def _observe_start(network: FloatNetwork, observers: list["_Observer"]) -> None:
    """Observe what biases make the layers send before the first frame reaches them.

    On lava every layer answers one time step after the layer before it. So in the first step each
    layer receives nothing, then the effect of the bias of the layer before it, of the two before
    it, and in the end of an empty picture. From there the first frame is a change.
    """
    graph = network.graph
    if all(layer.bias is None for layer in graph.layers):
        return
    nothing = torch.zeros(1, *graph.input_shape)
    arriving = [nothing, *(torch.zeros(1, *layer.output_shape) for layer in graph.layers[:-1])]
    for _ in graph.layers:
        sent = []
        for index, (observer, x) in enumerate(zip(observers, arriving, strict=True)):
            z = network.preactivation(index, x)
            out = activation(observer.layer, z)
            observer.wait(z, out)
            sent.append(out)
        arriving = [nothing, *sent[:-1]]


def _observe(network: FloatNetwork, observers: list["_Observer"], frame: Tensor) -> None:
    x = network.encode(frame)
    for index, observer in enumerate(observers):
        z = network.preactivation(index, x)
        x = activation(observer.layer, z)
        observer.see(z, x)


def _refuse_overflow(graph: Graph, statistics: Statistics) -> None:
    """Name the first layer whose values overflow."""
    for layer, seen in zip(graph.layers, statistics.layers, strict=True):
        if not (np.isfinite(seen.z_min).all() and np.isfinite(seen.z_max).all()):
            largest = np.abs(layer.weight).max()
            raise ConversionError(
                f"layer {layer.name}: its pre-activations overflow float32 on the calibration"
                " frames, in the network itself (infinite, or not a number); check --input-scale,"
                f" and that the weights (up to {largest:.3g}) are those that were trained"
            )


def _refuse_extremes(graph: Graph, statistics: Statistics) -> None:
    """Name the first layer whose activations cannot be squared in float32."""
    low, high = _SQUARABLE
    for layer, seen in zip(graph.layers, statistics.layers, strict=True):
        peak = float(seen.a_max.max())
        if not low <= peak <= high:
            raise ConversionError(
                f"layer {layer.name}: its activations reach {peak:.3g} on the calibration frames,"
                f" and calibration, which squares them in float32, needs {low:g} to {high:g};"
                f" multiply its weights and bias by about {1 / peak:.0e} and divide the weights of"
                " the next layer by that, or the output where it is the last"
            )


def _refuse_silence(graph: Graph, statistics: Statistics) -> None:
    for layer, seen in zip(graph.layers, statistics.layers, strict=True):
        if seen.values.density == 0:
            raise ConversionError(
                f"layer {layer.name} is silent on all {statistics.n_frames} calibration frames;"
                " the network is dead or the recordings do not fit it (check --input-scale)"
            )


class _Observer:
    """Running statistics of one layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        n_channels = layer.preactivation_shape[0]
        self._z_min = torch.full((n_channels,), torch.inf)
        self._z_max = torch.full((n_channels,), -torch.inf)
        self._a_max = torch.zeros(n_channels)
        self._z_step = torch.zeros(n_channels)
        self._a_step = torch.zeros(n_channels)
        self._values = self._changes = Magnitudes.empty()
        # Pre-activation and output of the frame before, and of the step before the first frame.
        self._previous: tuple[Tensor, Tensor] | None = None
        self._waiting: tuple[Tensor, Tensor] | None = None
        bias = layer.bias
        self._bias = None if bias is None else torch.from_numpy(bias.copy())[:, None, None]
        # Of pre-activations and of their changes, in a small layer.
        self._extremes: tuple[FrameExtremes, FrameExtremes] | None = None
        if math.prod(layer.preactivation_shape[1:]) <= SMALL:
            self._extremes = (FrameExtremes(n_channels), FrameExtremes(n_channels))
        self._n_runs = 0

    def start_run(self) -> None:
        """Begin a sequence: changes are never taken between sequences."""
        self._previous = None
        self._n_runs += 1

    def wait(self, z: Tensor, out: Tensor) -> None:
        """Add a time step before the first frame: pre-activation and output."""
        self._first_step(z, out)
        self._waiting = (z, out)

    def see(self, z: Tensor, out: Tensor) -> None:
        """Add one frame: the layer's pre-activation and output, each [1, C, H, W]."""
        self._z_min = torch.minimum(self._z_min, z.amin(dim=(0, 2, 3)))
        self._z_max = torch.maximum(self._z_max, z.amax(dim=(0, 2, 3)))
        self._a_max = torch.maximum(self._a_max, _peaks(out))
        self._values = self._values.plus(out)
        if self._extremes is not None:
            self._extremes[0].add(z)
            if self._previous is not None:
                self._extremes[1].add(z - self._previous[0])
        if self._bias is not None:
            # The bias is added to the sum of the messages and is no part of it.
            self._add_step(z=z - self._bias)
        if self._previous is not None:
            change = out - self._previous[1]
            self._changes = self._changes.plus(change)
            self._add_step(z=z - self._previous[0], a=change)
        else:
            self._add_step(a=out)
            if self._waiting is not None:
                self._first_step(z, out)
        self._previous = (z, out)

    def _first_step(self, z: Tensor, out: Tensor) -> None:
        """Add the state of a time step and what arrives in it after ``_waiting``, or nothing."""
        self._add_step(z=z, a=out)
        if self._waiting is None:
            self._add_step(z=z if self._bias is None else z - self._bias)
        else:
            self._add_step(z=z - self._waiting[0], a=out - self._waiting[1])

    def _add_step(self, z: Tensor | None = None, a: Tensor | None = None) -> None:
        if z is not None:
            self._z_step = torch.maximum(self._z_step, _peaks(z))
        if a is not None:
            self._a_step = torch.maximum(self._a_step, _peaks(a))

    def result(self) -> LayerStatistics:
        """The statistics over all frames seen."""
        peaks = (self._z_min, self._z_max, self._a_max, self._z_step, self._a_step)
        z_min, z_max, a_max, z_step, a_step = (x.numpy().astype(np.float64) for x in peaks)
        return LayerStatistics(
            z_min, z_max, a_max, self._values, self._changes, z_step, a_step, self._expected()
        )

    def _expected(self) -> "LayerPeaks | None":
        """What states and messages may reach on other frames; a message with its ReLU."""
        if self._extremes is None:
            return None
        values, changes = (extremes.levels(self._n_runs) for extremes in self._extremes)
        if values is None:
            return None
        high, low = values
        step = changes or (np.zeros_like(high), np.zeros_like(high))
        bias = 0.0 if self._bias is None else self._bias.numpy()[:, 0, 0].astype(np.float64)
        states = (high, -low, high - bias, bias - low, step[0], -step[1])
        # Where a neuron fires that was silent, it reaches about as far as its values spread.
        spread = (high - low) / 2
        messages = (high, spread) if self.layer.relu else (high, -low, step[0], -step[1])
        nothing = np.zeros_like(high)
        return LayerPeaks(
            np.maximum.reduce([*states, nothing]), np.maximum.reduce([*messages, nothing])
        )


def _peaks(values: Tensor) -> Tensor:
    """[C]: the largest magnitude in each channel of [1, C, H, W]."""
    return torch.maximum(values.amax(dim=(0, 2, 3)), -values.amin(dim=(0, 2, 3)))
