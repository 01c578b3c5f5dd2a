r"""Measures the curves of all layers: operations and output error per threshold, layer by layer.

A layer at threshold :math:`\vartheta` sends fewer messages and leaves an error in the sums of its
receivers. Two kinds of layer are followed over the calibration frames, for a ladder of thresholds
at once:

- a stateful layer keeps what it sent: the error is the change not sent yet,
  :math:`|e| < \vartheta`, and lasts until the change has grown;
- a memoryless layer sends every value of at least :math:`\vartheta` in every frame: smaller values
  are lost, :math:`e = -a`.

Their messages are counted. In some frames the errors themselves are sent through all layers that
depend on them, so the correlations of the error (it drifts, it is one-sided) are part of the
measurement. Several outputs are weighted by their own energies (``measure/outputs.py``).

The first frame of a run sends everything and is left out, unless it is the only one.
"""

from collections.abc import Mapping, Sequence

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.calibration.measure.outputs import balancing, by_value, output_energies
from ann2sdnn.calibration.thresholds.curves import (
    LayerCurve,
    error_gain,
    threshold_ladder,
)
from ann2sdnn.data.sources.frames import Frames, counted_chunks
from ann2sdnn.graph.operations import channels_last, fan_out, pool, summed
from ann2sdnn.graph.planes import joined
from ann2sdnn.sdnn.engine.kernels import delta
from ann2sdnn.sdnn.engine.run import check_spec_frames
from ann2sdnn.sdnn.engine.threads import follow_torch
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.input_code import InputCode
from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork, network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]

_PROBED = (0.1, 0.4, 1.2)  # thresholds whose error is sent on, times the layer's rms activation
_EVENTS, _OPERATIONS, _ERROR = 0, 1, 2
# A constant for the compiler, and not an integer, with which ``delta`` would compute in float64.
_ZERO = np.float32(0)


@torch.inference_mode()
def measure_curves(
    spec: Spec,
    runs: Sequence[Frames],
    reporter: Reporter = SILENT,
    *,
    probes: int = 12,
    message_cost: float = 0.0,
) -> tuple[LayerCurve, ...]:
    """The curves [L] of the input and of all layers but the last, or [L + 1] of all of them.

    Thresholds of ``spec`` are ignored. Errors are sent through the rest of the network in about
    ``probes`` evenly spaced frames. ``message_cost``: operations that a message is worth. Without
    it, messages of layers that no other reads cost nothing: they have no threshold but 0, and the
    last layer has no curve.
    """
    follow_torch()
    n_frames = sum(run.n_frames for run in runs)
    probe_every = max(1, n_frames // probes)
    reference = _Reference(spec)
    rms, weights = _first_frames(reference, runs)
    groups = spec.memory_groups
    followers = [
        _Follower(
            reference,
            plane,
            spec.grid,
            rms=rms[plane] if spec.readers[plane] or message_cost else 0.0,
            group=groups[plane],
            weights=weights,
            message_cost=message_cost,
        )
        for plane in range(len(spec.layers) + (1 if message_cost else 0))
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
                            for follower in followers:
                                follower.probe(reference, sent, n_probed)
                            n_probed += 1
                        n_counted += 1
                    task.advance()
    return tuple(follower.curve(n_counted) for follower in followers)


def _first_frames(reference: "_Reference", runs: Sequence[Frames]) -> tuple[list[float], Tensor]:
    """Over the first frame of every run: the rms [L + 1] of what is sent where it is not zero, and
    the weights [K, 1, 1] of the outputs.
    """
    network = reference.network
    energy, count = np.zeros(reference.n_layers + 1), np.zeros(reference.n_layers + 1)
    by_output = np.zeros(len(network.output_planes))
    for run in runs:
        first = torch.from_numpy(next(iter(run.chunks()))[0])
        sent = reference.sent(first)
        for index, values in enumerate(sent):
            energy[index] += float(values.square().sum(dtype=torch.float64))
            count[index] += int(torch.count_nonzero(values))
        by_output += output_energies(reference.output(sent), network.output_shapes)
    weights = by_value(balancing(by_output.tolist()), network.output_shapes)
    return [float(value) for value in np.sqrt(energy / np.maximum(count, 1))], weights


class _Reference:
    """The network without thresholds and state: what every layer sends for one frame alone.

    In message units: they and the gains are powers of two, so they are part of the weights.
    """

    def __init__(self, spec: Spec) -> None:
        network, self.unit = network_from_spec(spec), spec.grid.message_step
        self.network = network
        self.n_layers = len(network.layers)
        self._weights = [
            [channels_last(synapse.weight * layer.send_gain) for synapse in layer.synapses]
            for layer in network.layers
        ]
        self._biases = [
            None if layer.bias is None else layer.bias * (layer.send_gain / self.unit)
            for layer in network.layers
        ]
        self._scale = network.output_scale / self.unit

    def sent(self, frame: Tensor) -> list[Tensor]:
        """[1, C, H, W] of the input and every layer for a frame [C, H, W]."""
        check_spec_frames(self.network, frame[None])
        values = [channels_last(self.network.enter(frame[None]) / self.unit)]
        for index, planes in enumerate(self.network.reads):
            values.append(self._layer(index, [values[plane] for plane in planes]))
        return values

    def moved(self, sent: Sequence[Tensor], plane: int, values: Tensor) -> Tensor:
        """By how much the output changes, in the original network's units, where ``plane`` sends
        ``values`` [N, C, H, W] in a frame for which all planes would send ``sent``.
        """
        changed = {plane: values}
        for index in range(plane, self.n_layers):
            planes = self.network.reads[index]
            if not changed.keys().isdisjoint(planes):
                arriving = [changed.get(each, sent[each]) for each in planes]
                changed[index + 1] = self._layer(index, arriving)
            for each in planes:
                if self.network.readers[each][-1][0] == index and not self._is_output(each):
                    changed.pop(each, None)
        return (self._joined(sent, changed) - self._joined(sent, {})) / self._scale

    def output(self, sent: Sequence[Tensor]) -> Tensor:
        """The joined output in the original network's units, for what all planes send."""
        return self._joined(sent, {}) / self._scale

    def _joined(self, sent: Sequence[Tensor], changed: Mapping[int, Tensor]) -> Tensor:
        values = [changed.get(plane, sent[plane]) for plane in self.network.output_planes]
        n = max(len(each) for each in values)
        return joined([each.expand(n, -1, -1, -1) for each in values])

    def _is_output(self, plane: int) -> bool:
        return plane in self.network.output_planes

    def _layer(self, index: int, arriving: Sequence[Tensor]) -> Tensor:
        layer, bias = self.network.layers[index], self._biases[index]
        z = summed(layer, arriving, self._weights[index])
        if bias is not None:
            z += bias
        return pool(layer.pool, z.relu_() if layer.relu else z).trunc_()


class _Follower:
    """Sums up the curves of ``plane``, frame by frame.

    ``rms``: of what it sends, 0 for no threshold but 0; that and all values are in message units.
    ``weights``: of the outputs. ``group`` and ``message_cost``: as in ``LayerCurve``.
    """

    def __init__(
        self,
        reference: _Reference,
        plane: int,
        grid: Grid,
        *,
        rms: float,
        weights: Tensor,
        group: int,
        message_cost: float,
    ) -> None:
        self._plane, self._group, self._weights = plane, group, weights
        self._message_cost = message_cost
        self._unit = reference.unit
        if plane:
            self.thresholds = threshold_ladder(rms * self._unit / grid.threshold_step)
            levels = self.thresholds * (grid.threshold_step / self._unit)
        else:
            self.thresholds = _input_ladder(rms, reference.network.input_code)
            levels = self.thresholds.astype(np.float64)
        self.levels = levels.astype(np.float32)
        parts = _PROBED if len(levels) > 1 else ()
        nearest = {int(np.abs(levels[1:] - part * rms).argmin()) + 1 for part in parts}
        self.probed = sorted(nearest)
        self._fan_out = _pixels(_fan_out(reference.network, plane)[None])
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

    def probe(self, reference: _Reference, sent: Sequence[Tensor], turn: int) -> None:
        """Send the error as it stands through the network, in a frame for which all planes would
        send ``sent``; the probed thresholds take turns.
        """
        if not self.probed:
            return
        position = turn % len(self.probed)
        k, values = self.probed[position], sent[self._plane]
        decoded = np.where(self._touched, self._sent[..., k], np.float32(0))
        stateful = torch.from_numpy(decoded).permute(2, 0, 1)[None]
        kept = torch.where(values.abs() >= float(self.levels[k]), values, torch.zeros(()))
        pair = channels_last(torch.cat([stateful, kept]))
        self._injected[:, position] += _energies(pair - values)
        moved = reference.moved(sent, self._plane, pair)
        self._output_error[:, position] += _energies(moved * self._weights)

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
            group=self._group,
            message_cost=self._message_cost,
        )


def _input_ladder(rms: float, code: InputCode | None) -> NDArray[np.int64]:
    """Thresholds of the input, in message units: whole counts for uint8 frames."""
    count = 1 if code is None or code.dtype != "uint8" else int(code.gain)
    return threshold_ladder(rms / count) * count


def _fan_out(network: SigmaDeltaNetwork, plane: int) -> Tensor:
    """[C, H, W]: operations that a message of ``plane`` causes in all layers that read it."""
    total = torch.zeros(network.plane_shapes[plane])
    for index, number in network.readers[plane]:
        synapse = network.layers[index].synapses[number]
        total += fan_out(synapse.geometry, synapse.weight, synapse.input_shape)
    return total


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
