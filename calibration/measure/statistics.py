"""Measures every layer of the float network over all calibration frames.

Memory does not grow with the number of frames: only maxima and histograms are kept.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.calibration.measure.observer import LayerObserver
from ann2sdnn.data.sources.frames import FrameArray, Frames
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork, activation, centred
from ann2sdnn.graph.planes import Planes
from ann2sdnn.sdnn.engine.threads import follow_torch
from ann2sdnn.support.errors import ConversionError, DataError
from ann2sdnn.support.frame_check import check_frames
from ann2sdnn.support.progress import SILENT, Reporter

TASK_NAME = "Activation statistics"

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
    """Statistics of every layer over ``n_frames`` frames in ``n_runs`` sequences.

    ``input_peak``: the largest magnitude of the network's input, not divided by a standard
    deviation; 0 for uint8 frames, whose largest pixel is 255.
    """

    layers: tuple[LayerStatistics, ...]
    n_frames: int
    n_runs: int
    input_peak: float = 0.0


def measure(
    graph: Graph,
    runs: Iterable[Frames],
    reporter: Reporter = SILENT,
    *,
    may_be_silent: bool = False,
    waiting: Sequence[LayerObserver] | None = None,
) -> Statistics:
    """Run the float network over ``runs`` and collect its statistics.

    ``waiting``: what ``observed_start`` returned for ``graph``; None calls it here. Raises
    DataError for frames of another shape or type. Raises ConversionError when there is no frame,
    when a layer's values overflow float32 or cannot be squared in it, or when a layer is silent on
    all frames, unless it ``may_be_silent``.
    """
    waiting = observed_start(graph, reporter) if waiting is None else waiting
    seen = observe_here(graph, list(runs), waiting, reporter)
    return statistics_of(graph, seen, may_be_silent=may_be_silent)


def observe_here(
    graph: Graph,
    runs: Sequence[Frames],
    waiting: Sequence[LayerObserver],
    reporter: Reporter = SILENT,
) -> "Seen":
    """What the layers do on ``runs``; arguments and errors as of ``measure``."""
    seen = Seen([observer.again() for observer in waiting])
    if runs:
        with reporter.task(TASK_NAME, sum(run.n_frames for run in runs), "frames") as task:
            observe(graph, runs, seen, task.advance)
    return seen


@torch.inference_mode()
def observe(
    graph: Graph, runs: Iterable[Frames], seen: "Seen", advance: Callable[[int], None]
) -> None:
    """Run the float network over ``runs`` and add what its layers do to ``seen``.

    ``advance`` is called with the number of frames that are done. Raises what ``measure`` raises
    for frames.
    """
    follow_torch()
    network, is_float = FloatNetwork(graph), graph.preprocessing.dtype != "uint8"
    for run in runs:
        seen.n_runs += 1
        for observer in seen.observers:
            observer.start_run()
        for chunk in run.chunks():
            check_frames(torch.from_numpy(chunk), graph.input_shape, graph.preprocessing.dtype)
            if is_float:
                seen.input_peak = max(seen.input_peak, _input_peak(graph, chunk, run.name))
            for frame in torch.from_numpy(chunk):
                _observe(network, seen.observers, frame[None])
                seen.n_frames += 1
                advance(1)


def statistics_of(graph: Graph, seen: "Seen", *, may_be_silent: bool = False) -> Statistics:
    """The statistics of what was ``seen``; arguments and errors as of ``measure``."""
    if seen.n_frames == 0:
        raise ConversionError("the calibration set is empty; give it sequences with frames")
    layers = tuple(map(_result, seen.observers))
    statistics = Statistics(layers, seen.n_frames, seen.n_runs, seen.input_peak)
    _refuse_overflow(graph, statistics)
    if not may_be_silent:
        _refuse_silence(graph, statistics)
        _refuse_extremes(graph, statistics)
    return statistics


@dataclass(eq=False)
class Seen:
    """What ``observers`` [L] have seen of ``n_frames`` frames in ``n_runs`` sequences."""

    observers: Sequence[LayerObserver]
    n_frames: int = 0
    n_runs: int = 0
    input_peak: float = 0.0

    def merge(self, later: "Seen") -> None:
        """Add what ``later`` has seen, in other sequences."""
        for mine, theirs in zip(self.observers, later.observers, strict=True):
            mine.merge(theirs)
        self.n_frames += later.n_frames
        self.n_runs += later.n_runs
        self.input_peak = max(self.input_peak, later.input_peak)


def _input_peak(graph: Graph, chunk: FrameArray, name: str) -> float:
    """The largest magnitude of the input for a ``chunk``; DataError for values without one."""
    peak = float(centred(graph, torch.from_numpy(chunk)).abs().max())
    if not np.isfinite(peak):
        raise DataError(
            f"{name}: a frame holds values that are not finite, or overflow float32; replace them"
            " before the conversion"
        )
    return peak


@torch.inference_mode()
def observed_start(graph: Graph, reporter: Reporter = SILENT) -> tuple[LayerObserver, ...]:
    """Observers [L] of what biases make the layers send before the first frame reaches them.

    On lava every layer takes a time step: it reads what other layers sent in the step before. So in
    the first step each layer receives nothing, then the effect of the biases of the layers that it
    reads, of those and the layers before them, and in the end of an empty picture. From there the
    first frame is a change. A layer's last step is that of its depth: what it receives stays the
    same after that.
    """
    follow_torch()
    network = FloatNetwork(graph)
    observers = tuple(LayerObserver(layer) for layer in graph.layers)
    if all(layer.bias is None for layer in graph.layers):
        return observers
    sent = [torch.zeros(1, *shape) for shape in graph.plane_shapes]
    with reporter.task("Start of the network", max(graph.depths), "steps") as task:
        for step in range(max(graph.depths)):
            # The last first, so that each receives what was sent a step before.
            for index in reversed(range(len(observers))):
                if graph.depths[index + 1] > step:
                    z = network.preactivation(index, [sent[plane] for plane in graph.reads[index]])
                    sent[index + 1] = activation(graph.layers[index], z)
                    observers[index].wait(z, sent[index + 1])
            task.advance()
    return observers


def _observe(network: FloatNetwork, observers: Sequence[LayerObserver], frame: Tensor) -> None:
    planes = Planes(network.graph, network.encode(frame))
    for index, observer in enumerate(observers):
        z = network.preactivation(index, planes.inputs())
        out = activation(observer.layer, z)
        observer.see(z, out)
        planes.put(out)


def _refuse_overflow(graph: Graph, statistics: Statistics) -> None:
    """Name the first layer whose values overflow."""
    for layer, seen in zip(graph.layers, statistics.layers, strict=True):
        if not (np.isfinite(seen.z_min).all() and np.isfinite(seen.z_max).all()):
            largest = max(np.abs(synapse.weight).max() for synapse in layer.synapses)
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
                " the layers that read it by that, or the output where it is one"
            )


def _refuse_silence(graph: Graph, statistics: Statistics) -> None:
    for layer, seen in zip(graph.layers, statistics.layers, strict=True):
        if seen.values.density == 0:
            raise ConversionError(
                f"layer {layer.name} is silent on all {statistics.n_frames} calibration frames;"
                " the network is dead or the frames do not fit it (check --input-scale)"
            )


def _result(seen: LayerObserver) -> LayerStatistics:
    peaks = (seen.z_min, seen.z_max, seen.a_max, seen.z_step, seen.a_step)
    z_min, z_max, a_max, z_step, a_step = (peak.astype(np.float64) for peak in peaks)
    expected = None if seen.expected is None else LayerPeaks(*seen.expected)
    return LayerStatistics(z_min, z_max, a_max, seen.values, seen.changes, z_step, a_step, expected)
