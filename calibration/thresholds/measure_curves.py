r"""Measures the curves of all layers: operations and output error per threshold, layer by layer.

A layer at threshold :math:`\vartheta` sends fewer messages and leaves an error in the sums of its
receivers. Two kinds of layer are followed over the calibration frames, for a ladder of thresholds
at once:

- a stateful layer keeps what it sent: the error is the change not sent yet,
  :math:`|e| < \vartheta`, and lasts until the change has grown;
- a memoryless layer sends every value of at least :math:`\vartheta` in every frame: smaller values
  are lost, :math:`e = -a`.

Their messages are counted. In some frames the errors themselves are sent through the rest of the
network, so the correlations of the error (it drifts, it is one-sided) are part of the measurement.

The first frame of a run sends everything and is left out, unless it is the only one.
"""

from collections.abc import Sequence

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.thresholds.curves import (
    LayerCurve,
    error_gain,
    threshold_ladder,
)
from ann2sdnn.data.sources.frames import Frames, counted_chunks
from ann2sdnn.graph.operations import channels_last, fan_out, linear, pool
from ann2sdnn.sdnn.engine.kernels import delta
from ann2sdnn.sdnn.engine.run import check_spec_frames
from ann2sdnn.sdnn.engine.threads import follow_torch
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]

_PROBED = (0.1, 0.4, 1.2)  # thresholds whose error is sent on, times the layer's rms activation
_EVENTS, _OPERATIONS, _ERROR = 0, 1, 2
# A constant for the compiler, and not an integer, with which ``delta`` would compute in float64.
_ZERO = np.float32(0)


@torch.inference_mode()
def measure_curves(
    spec: Spec, runs: Sequence[Frames], reporter: Reporter = SILENT, *, probes: int = 12
) -> tuple[LayerCurve, ...]:
    """The curves [L] of the input and of all layers but the last, whose messages cost nothing.

    Thresholds of ``spec`` are ignored. Errors are sent through the rest of the network in about
    ``probes`` evenly spaced frames. The input has no threshold but 0.
    """
    follow_torch()
    n_frames = sum(run.n_frames for run in runs)
    probe_every = max(1, n_frames // probes)
    reference = _Reference(spec)
    rms = _rms_activations(reference, runs)
    rms[0] = 0.0
    followers = [
        _Follower(reference, index, spec.grid, value) for index, value in enumerate(rms[:-1])
    ]
    n_counted = n_probed = 0
    with reporter.task("Threshold curves", n_frames, "frames") as task:
        for run in runs:
            for follower in followers:
                follower.start_run()
            for chunk, first_counted in counted_chunks(run):
                for index, frame in enumerate(chunk):
                    sent = reference.sent(frame)
                    counts = index >= first_counted
                    for follower, values in zip(followers, sent, strict=False):
                        follower.see(values, counts)
                    if counts:
                        if n_counted % probe_every == 0:
                            for follower, values in zip(followers, sent, strict=False):
                                follower.probe(reference, values, sent[-1], n_probed)
                            n_probed += 1
                        n_counted += 1
                    task.advance()
    return tuple(follower.curve(n_counted) for follower in followers)


def _rms_activations(reference: "_Reference", runs: Sequence[Frames]) -> list[float]:
    """[L + 1]: rms of what is sent where it is not zero, over the first frame of every run."""
    energy, count = np.zeros(reference.n_layers + 1), np.zeros(reference.n_layers + 1)
    for run in runs:
        first = torch.from_numpy(next(iter(run.chunks()))[0])
        for index, values in enumerate(reference.sent(first)):
            energy[index] += float(values.square().sum(dtype=torch.float64))
            count[index] += int(torch.count_nonzero(values))
    return [float(value) for value in np.sqrt(energy / np.maximum(count, 1))]


class _Reference:
    """The network without thresholds and state: what every layer sends for one frame alone.

    In message units: they and the gains are powers of two, so they are part of the weights.
    """

    def __init__(self, spec: Spec) -> None:
        network, self.unit = network_from_spec(spec), spec.grid.message_step
        self.network = network
        self.n_layers = len(network.layers)
        self._weights = [channels_last(layer.weight * layer.send_gain) for layer in network.layers]
        self._biases = [
            None if layer.bias is None else layer.bias * (layer.send_gain / self.unit)
            for layer in network.layers
        ]

    def sent(self, frame: Tensor) -> list[Tensor]:
        """[1, C, H, W] of the input and every layer for a frame [C, H, W]."""
        check_spec_frames(self.network, frame[None])
        values = [channels_last(self.network.enter(frame[None]) / self.unit)]
        for index in range(self.n_layers):
            values.append(self._layer(index, values[-1]))
        return values

    def output(self, index: int, values: Tensor) -> Tensor:
        """What the last layer sends when layer ``index`` receives ``values`` [N, C, H, W]."""
        for following in range(index, self.n_layers):
            values = self._layer(following, values)
        return values

    def _layer(self, index: int, x: Tensor) -> Tensor:
        layer, bias = self.network.layers[index], self._biases[index]
        z = linear(layer.geometry, x, self._weights[index])
        if bias is not None:
            z += bias
        return pool(layer.pool, z.relu_() if layer.relu else z).trunc_()


class _Follower:
    """Sums up the curves of the sender to layer ``index``, frame by frame.

    ``rms``: of what it sends; that and all values are in message units.
    """

    def __init__(self, reference: _Reference, index: int, grid: Grid, rms: float) -> None:
        receiver = reference.network.layers[index]
        self.index = index
        self._unit = reference.unit
        self.thresholds = threshold_ladder(rms * self._unit / grid.threshold_step)
        levels = self.thresholds * (grid.threshold_step / self._unit)
        self.levels = levels.astype(np.float32)
        parts = _PROBED if len(levels) > 1 else ()
        nearest = {int(np.abs(levels[1:] - part * rms).argmin()) + 1 for part in parts}
        self.probed = sorted(nearest)
        self._fan_out = _pixels(
            fan_out(receiver.geometry, receiver.weight, receiver.input_shape)[None]
        )
        self._scale = reference.network.output_scale / self._unit
        height, width, channels = self._fan_out.shape
        self._sent = np.empty((height, width, channels, len(levels)), np.float32)
        self._touched = np.zeros((height, width, channels), np.bool_)
        self._totals = np.zeros((2, len(levels), 3))
        self._rows = np.zeros((height, 2, len(levels), 3))
        self._output_error = np.zeros((2, len(self.probed)))
        self._injected = np.zeros((2, len(self.probed)))

    def start_run(self) -> None:
        """Nothing has been sent yet."""
        self._touched.fill(False)

    def see(self, values: Tensor, counts: bool) -> None:
        """Add one frame of values [1, C, H, W]; its messages and errors count if ``counts``."""
        _follow(_pixels(values), self._sent, self._touched, self.levels, self._fan_out, self._rows)
        if counts:
            self._totals += self._rows.sum(axis=0)

    def probe(self, reference: _Reference, values: Tensor, output: Tensor, turn: int) -> None:
        """Send the error as it stands through the network; the probed thresholds take turns."""
        if not self.probed:
            return
        position = turn % len(self.probed)
        k = self.probed[position]
        sent = np.where(self._touched, self._sent[..., k], np.float32(0))
        stateful = torch.from_numpy(sent).permute(2, 0, 1)[None]
        kept = torch.where(values.abs() >= float(self.levels[k]), values, torch.zeros(()))
        pair = channels_last(torch.cat([stateful, kept]))
        self._injected[:, position] += _energies(pair - values)
        moved = (reference.output(self.index, pair) - output) / self._scale
        self._output_error[:, position] += _energies(moved)

    def curve(self, n_frames: int) -> LayerCurve:
        """The sums over ``n_frames`` frames, per frame."""
        totals = self._totals / max(n_frames, 1)
        energy = self._unit**2
        error = totals[:, :, _ERROR] * energy
        pairs = zip(self._output_error, self._injected * energy, strict=True)
        # Stateful, memoryless.
        gain = np.stack([error_gain(self.thresholds, self.probed, *pair) for pair in pairs])
        return LayerCurve(
            thresholds=self.thresholds,
            events=totals[:, :, _EVENTS],
            operations=totals[:, :, _OPERATIONS],
            error=error,
            output_error=np.multiply(error, gain, where=error > 0, out=np.zeros_like(error)),
        )


def _energies(values: Tensor) -> FloatArray:
    """Sums of squares of each of [N, ...]."""
    sums: FloatArray = values.square().sum(dim=(1, 2, 3), dtype=torch.float64).numpy()
    return sums


def _pixels(values: Tensor) -> NDArray[np.float32]:
    """[1, C, H, W] as [H, W, C]."""
    array: NDArray[np.float32] = values[0].permute(1, 2, 0).contiguous().numpy()
    return array


@numba.njit(parallel=True, cache=True)
def _follow(values, sent, touched, levels, fan_out, rows):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Follow one frame of ``values`` [H, W, C]; ``sent`` [H, W, C, K]: references at K ``levels``.

    ``rows`` [H, 2, K, 3]: messages, operations and the energy of the remaining error, of a stateful
    and of a memoryless layer. ``touched``: values that were ever not zero; the references of the
    others, most of them, are 0 and neither read nor written.
    """
    height, width, channels = values.shape
    n_levels = len(levels)
    for row in numba.prange(height):
        rows[row] = 0
        for column in range(width):
            for c in range(channels):
                value = values[row, column, c]
                if not touched[row, column, c]:
                    if value == 0:
                        continue
                    touched[row, column, c] = True
                    sent[row, column, c, :] = 0
                operations = fan_out[row, column, c]
                for k in range(n_levels):
                    message, after = delta(value, sent[row, column, c, k], levels[k], _ZERO, True)
                    if message != 0:
                        sent[row, column, c, k] = after
                        rows[row, 0, k, 0] += 1
                        rows[row, 0, k, 1] += operations
                    else:
                        missing = value - after
                        rows[row, 0, k, 2] += missing * missing
                    if value != 0:
                        message, _ = delta(value, _ZERO, levels[k], _ZERO, True)
                        if message != 0:
                            rows[row, 1, k, 0] += 1
                            rows[row, 1, k, 1] += operations
                        else:
                            rows[row, 1, k, 2] += value * value
