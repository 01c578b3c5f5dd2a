"""What calibration measures: one pass of the float network over runs of frames.

Memory does not grow with the number of frames: maxima, sums and histograms only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.histogram import Magnitudes
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.operations import FloatNetwork, activation, fan_out
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.frame_check import check_frames
from ann2sdnn.support.progress import SILENT, Reporter

# Largest activations of a layer; squares of gradients and sums of them have to fit float32 as well.
_SQUARABLE = (1e-12, 1e15)


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """A layer of the float network over all calibration frames, in its own units.

    ``z_min``, ``z_max`` [O]: pre-activations a channel; ``a_max`` [O]: activations sent on (after
    pooling). ``z_power``: mean square of the pre-activation. ``input_power``: mean over the neurons
    of the sum of squares of the inputs a neuron reads, so that independent weight errors of
    variance v make an error of variance v * input_power. ``values``: activations of all frames;
    ``changes``: differences of activations between consecutive frames. ``z_step`` [O] and
    ``a_step`` [O]: the largest magnitude of a state, or sum of a single time step, without its
    bias, and of a message (the whole value in a run's first frame, then its change), and what
    biases cause on lava before a run's first frame arrives; None where they were not measured.
    """

    z_min: NDArray[np.float64]
    z_max: NDArray[np.float64]
    a_max: NDArray[np.float64]
    z_power: float
    input_power: float
    a_power: float
    values: Magnitudes
    changes: Magnitudes
    z_step: NDArray[np.float64] | None = None
    a_step: NDArray[np.float64] | None = None

    @property
    def state_peak(self) -> NDArray[np.float64]:
        """[O]: the largest magnitude a state or a step's sum can reach, with the bias or without:
        both have to fit 24 bits.
        """
        peak = np.maximum(np.maximum(self.z_max, -self.z_min), 0)
        # No change can be larger than the whole span.
        step = self.z_max - self.z_min if self.z_step is None else self.z_step
        return np.asarray(np.maximum(peak, step), np.float64)

    @property
    def message_peak(self) -> NDArray[np.float64]:
        """[O]: the largest magnitude of a message."""
        return self.a_max if self.a_step is None else np.maximum(self.a_max, self.a_step)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of every layer over ``n_frames`` frames in ``n_runs`` runs."""

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
    frame, when a layer's values leave what float32 holds or calibration can square, or when a layer
    is silent on all frames, unless it ``may_be_silent``.
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
    statistics = Statistics(tuple(o.result(n_frames) for o in observers), n_frames, len(runs))
    _refuse_overflow(graph, statistics)
    if not may_be_silent:
        _refuse_silence(graph, statistics)
        _refuse_extremes(graph, statistics)
    return statistics


def _observe_start(network: FloatNetwork, observers: list["_Observer"]) -> None:
    """What biases make the layers send before a run's first frame reaches them.

    On lava every layer answers one time step after the one before it. So in the first step each
    hears nothing, then of the bias of the layer before it, of the two before it, and in the end
    of an empty picture; from there the first frame is a change.
    """
    graph = network.graph
    if all(layer.bias is None for layer in graph.layers):
        return
    nothing = torch.zeros(1, *graph.input_shape)
    arriving = [nothing, *(torch.zeros(1, *one.output_shape) for one in graph.layers[:-1])]
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
        out = activation(observer.layer, z)
        observer.see(x, z, out)
        x = out


def _refuse_overflow(graph: Graph, statistics: Statistics) -> None:
    """Name the first layer whose values are no numbers any more."""
    for layer, seen in zip(graph.layers, statistics.layers, strict=True):
        if not (np.isfinite(seen.z_min).all() and np.isfinite(seen.z_max).all()):
            raise ConversionError(
                f"layer {layer.name}: its pre-activations overflow float32 on the calibration"
                " frames, in the network itself (infinite, or not a number); check --input-scale,"
                f" and that the weights (up to {_largest(layer):.3g}) are those that were trained"
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


def _largest(layer: Layer) -> float:
    return float(np.abs(layer.weight).max())


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
        self.z_min = torch.full((n_channels,), torch.inf)
        self.z_max = torch.full((n_channels,), -torch.inf)
        self.a_max = torch.zeros(n_channels)
        self.z_power = self.a_power = self.input_power = 0.0
        self.values = self.changes = Magnitudes.empty()
        self.previous: Tensor | None = None
        self.previous_z: Tensor | None = None
        self.waiting: tuple[Tensor, Tensor] | None = None  # z and output before the first frame
        self.z_step = torch.zeros(n_channels)
        self.a_step = torch.zeros(n_channels)
        bias = layer.bias
        self.bias = None if bias is None else torch.from_numpy(bias.copy())[:, None, None]
        # How many neurons of one output channel read each input.
        all_connected = torch.ones(layer.weight.shape)
        out_channels = layer.preactivation_shape[0]
        self.reads = fan_out(layer.geometry, all_connected, layer.input_shape) / out_channels

    def start_run(self) -> None:
        """Changes are never taken between runs."""
        self.previous = self.previous_z = None

    def wait(self, z: Tensor, out: Tensor) -> None:
        """Add a time step before the first frame: pre-activation and output."""
        self._step(z, out)
        self.waiting = (z, out)

    def _step(self, z: Tensor, out: Tensor) -> None:
        """Add what arrives in one time step after ``waiting``, or after nothing, and its state."""
        if self.waiting is None:
            arrives, sent = (z if self.bias is None else z - self.bias), out
        else:
            arrives, sent = z - self.waiting[0], out - self.waiting[1]
        for one in (z, arrives):
            self.z_step = torch.maximum(self.z_step, _peaks(one))
        for one in (out, sent):
            self.a_step = torch.maximum(self.a_step, _peaks(one))

    def see(self, x: Tensor, z: Tensor, out: Tensor) -> None:
        """Add one frame: the layer's input, pre-activation and output, each [1, C, H, W]."""
        self.z_min = torch.minimum(self.z_min, z.amin(dim=(0, 2, 3)))
        self.z_max = torch.maximum(self.z_max, z.amax(dim=(0, 2, 3)))
        self.a_max = torch.maximum(self.a_max, _peaks(out))
        neurons_a_channel = z[0, 0].numel()
        self.z_power += float(z.square().mean())
        self.a_power += float(out.square().mean())
        self.input_power += float((x[0].square() * self.reads).sum()) / neurons_a_channel
        self.values = self.values.plus(out)
        if self.previous is None and self.waiting is not None:
            self._step(z, out)
        a_change = out
        if self.previous is not None:
            a_change = out - self.previous
            self.changes = self.changes.plus(a_change)
        self.a_step = torch.maximum(self.a_step, _peaks(a_change))
        # The bias is added to the sum that the messages make, it is no part of it.
        state = z if self.bias is None else z - self.bias
        if self.bias is not None:
            self.z_step = torch.maximum(self.z_step, _peaks(state))
        if self.previous_z is not None:
            self.z_step = torch.maximum(self.z_step, _peaks(z - self.previous_z))
        self.previous, self.previous_z = out, z

    def result(self, n_frames: int) -> LayerStatistics:
        """The statistics over all frames seen."""
        return LayerStatistics(
            z_min=self.z_min.numpy().astype(np.float64),
            z_max=self.z_max.numpy().astype(np.float64),
            a_max=self.a_max.numpy().astype(np.float64),
            z_power=self.z_power / n_frames,
            input_power=self.input_power / n_frames,
            a_power=self.a_power / n_frames,
            values=self.values,
            changes=self.changes,
            z_step=self.z_step.numpy().astype(np.float64),
            a_step=self.a_step.numpy().astype(np.float64),
        )


def _peaks(values: Tensor) -> Tensor:
    """[C]: the largest magnitude in each channel of [1, C, H, W]."""
    return torch.maximum(values.amax(dim=(0, 2, 3)), -values.amin(dim=(0, 2, 3)))
