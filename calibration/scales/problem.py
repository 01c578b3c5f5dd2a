r"""Scales a channel: the best use of the weights' 8 bits that states and messages allow.

In a ReLU network channel o of layer l may be multiplied by any s > 0 when the next layer's weights
are divided by it. With u = log s of the neurons and t = log of what they send (u after pooling and
shift), the converted weight is W[o, i] exp(u[o] - t[i]). Rounding it to steps of d and flooring
messages to steps of m makes an error of the output's energy of

.. math::
    E = \sum_{l, o, i} \frac{d_l^2}{12} A_l[o, i] e^{2 (t_{l-1}[i] - u_l[o])}
        + \sum_{l, c} m^2 B_l[c] e^{-2 t_l[c]}
        + \sum_{l, o} \frac{(1/64)^2}{12} C_l[o] e^{-2 u_l[o]}

with the sensitivities A (weights), B (messages) and C (biases) measured by
``calibration.sensitivity``. log E is a log of a sum of exponentials of linear terms and every
limit is linear in u and t, so this is a geometric program: convex, one minimum. Range is spent
once: along the network the gains telescope, and only what the last scale has over the first can be
shared out.

The limits on states and messages are bounds of u; those on weights (and on messages while shifts
are free) are squared hinges with a growing multiplier, so that L-BFGS-B solves it in seconds.

A layer of averages (``convert.averages``) has the same weight W everywhere, and rounding it would
be an error of the whole layer. So its u are no variables: once its weights' number of steps k is
chosen, u = t + log(k d / W), and the weight is exact. k is what the solution without this condition
has, rounded down, and 1 at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ann2sdnn.calibration.measure.sensitivity import Sensitivity
from ann2sdnn.calibration.measure.statistics import Statistics
from ann2sdnn.calibration.scales.plan import (
    LARGEST_GAIN,
    RELAY_DIVISOR,
    LayerPlan,
    PlannedNoise,
    RangePlan,
    pool_gain,
)
from ann2sdnn.calibration.scales.ties import Ties
from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph, Layer, input_channel_view, output_channel_view
from ann2sdnn.sdnn.spec.spec import SHIFT, SHIFT_MAX, UNITS, WEIGHT_MAX, WEIGHT_STEP, Grid
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.options.fields import CheckedOptions, number, numbers

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MULTIPLIERS = (1e1, 1e3, 1e5)
_QUICK_STEPS = 150
_LARGEST_EXPONENT = 200.0  # a line search may try anything
_STEPS = 1500
_NEAR = 0.02  # of a limit, in log units


@dataclass(frozen=True)
class ScaleOptions(CheckedOptions):
    """``headroom``: limits over the largest value seen. ``relays``: layers before which a relay
    stands. ``free_shifts``: each layer has its own right shift.
    """

    limit_error = ConversionError

    # Measured ranges may need more than was asked for, at most the 15 bits of a message.
    headroom: float = number(1.25, at_least=1, at_most=2**15)
    relays: tuple[int, ...] = numbers((), at_least=0, at_most=10**6, distinct=True)
    free_shifts: bool = False


def plan_scales(
    graph: Graph,
    statistics: Statistics,
    sensitivity: Sensitivity,
    grid: Grid,
    options: ScaleOptions,
) -> RangePlan:
    """Choose a scale a channel; states and messages stay below their limits over the headroom.

    Raises ConversionError when a layer's weights are all zero.
    """
    problem = ScaleProblem(graph, statistics, sensitivity, grid, options)
    return problem.plan(problem.best())


class ScaleProblem:
    """The geometric program in x = (log input gain, u of every channel, shifts of every layer)."""

    def __init__(
        self,
        graph: Graph,
        statistics: Statistics,
        sensitivity: Sensitivity,
        grid: Grid,
        options: ScaleOptions,
    ) -> None:
        self.graph, self.grid, self.options = graph, grid, options
        self.n_layers = len(graph.layers)
        self.input_unit = grid.message_step / graph.input_scale
        channels = [layer.preactivation_shape[0] for layer in graph.layers]
        ends = 1 + np.cumsum(channels)
        self.slices = [slice(end - n, end) for end, n in zip(ends, channels, strict=True)]
        self.first_shift = int(ends[-1])
        self.layer_of = np.repeat(np.arange(self.n_layers), channels)
        gains = np.array([float(pool_gain(layer)) for layer in graph.layers])
        self.log_pool = np.log(gains)[self.layer_of]
        seen = statistics.layers
        limits = [
            (grid.state_limit, np.concatenate([s.state_peak for s in seen])),
            (grid.message_limit, np.concatenate([s.message_peak for s in seen])),
        ]
        self.state_top, self.message_top = (
            _finite(np.log(limit / (options.headroom * np.maximum(peak, 1e-30))), self.layer_of)
            for limit, peak in limits
        )
        self.ties = Ties(graph, options.relays, self.slices, self.log_pool, self.input_unit)
        self.edges = _edges(graph, sensitivity, self.slices, options)
        energy = max(sensitivity.output_energy, 1e-30)
        self.edge_noise = self.edges.noise / energy
        self.message_noise = grid.message_step**2 / energy * _joined(sensitivity, "message")
        has_bias = np.array([layer.bias is not None for layer in graph.layers])
        bias_rounding = (1 / UNITS) ** 2 / 12 / energy
        self.bias_noise = bias_rounding * _joined(sensitivity, "bias") * has_bias[self.layer_of]

    def best(self) -> FloatArray:
        """The x of least noise with a whole number for the input's gain, whole shifts, and whole
        weights of averages.
        """
        self.ties.release()
        no_shifts = np.zeros(self.n_layers)
        free = self.solve(self.start(), None, None if self.options.free_shifts else no_shifts)
        # Round them, then solve for the rest again.
        shifts = np.clip(np.rint(self.shifts_of(free)), 0, SHIFT_MAX - SHIFT)
        gain = int(np.clip(np.floor(np.exp(free[0]) + 1e-6), 1, LARGEST_GAIN))
        self.ties.tie(free)
        return self.ties.applied(self.solve(free, gain, shifts))

    def start(self) -> FloatArray:
        """Everything as large as range allows, weights left to the hinge."""
        x = np.zeros(self.first_shift + self.n_layers)
        x[1 : self.first_shift] = np.minimum(self.state_top, self.message_top - self.log_pool)
        return x

    def quick_error(self, start: FloatArray, shifts: FloatArray) -> float:
        """Relative error foreseen, to a few percent, beginning with a plan for other relays."""
        x = self._minimise(start, None, shifts, _MULTIPLIERS[1], _QUICK_STEPS)
        return self._noise(x).relative_error

    def solve(
        self,
        start: FloatArray,
        input_gain: int | None,
        shifts: FloatArray | None,
    ) -> FloatArray:
        """The x of least noise, input gain and shifts (in bits beyond 6) fixed where given."""
        x = start
        for multiplier in _MULTIPLIERS:
            x = self._minimise(x, input_gain, shifts, multiplier, _STEPS)
        return x

    def _minimise(
        self,
        start: FloatArray,
        input_gain: int | None,
        shifts: FloatArray | None,
        multiplier: float,
        max_steps: int,
    ) -> FloatArray:
        low, high = (0.0, np.log(LARGEST_GAIN))
        if input_gain is not None:
            low = high = float(np.log(input_gain))
        if shifts is None:
            tops = self.state_top
            shift_bounds = [(0.0, (SHIFT_MAX - SHIFT) * np.log(2))] * self.n_layers
        else:
            by_channel = shifts[self.layer_of] * np.log(2)
            tops = np.minimum(self.state_top, self.message_top - self.log_pool + by_channel)
            tops = self.ties.lowered(tops, shifts)
            shift_bounds = [(shift, shift) for shift in shifts * np.log(2)]
        bounds = [(low, high), *((None, top) for top in tops), *shift_bounds]
        x = np.clip(
            start, [b[0] if b[0] is not None else -np.inf for b in bounds], [b[1] for b in bounds]
        )
        result = minimize(
            self.objective,
            x,
            args=(multiplier,),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 1e-10, "maxcor": 30},
        )
        return np.asarray(result.x, np.float64)

    def objective(self, x: FloatArray, multiplier: float) -> tuple[float, FloatArray]:
        """Log of the noise plus hinges on the limits that are no bounds, and its gradient."""
        x = self.ties.applied(x)
        sent = self._sent(x)
        steps = x[self.edges.out_index] - sent[self.edges.in_index]
        weight = self.edge_noise * _exp(-2.0 * steps)
        message = self.message_noise * _exp(-2.0 * sent[1:])
        bias = self.bias_noise * _exp(-2.0 * x[1 : self.first_shift])
        total = float(weight.sum() + message.sum() + bias.sum()) + 1e-30
        over_weight = np.maximum(self.edges.log_largest + steps, 0)
        over_message = np.maximum(sent[1:] - self.message_top, 0)
        hinge = float(np.square(over_weight).sum() + np.square(over_message).sum())
        by_step = -2 * weight / total + 2 * multiplier * over_weight
        by_sent = np.zeros_like(sent)
        by_sent[1:] = -2 * message / total + 2 * multiplier * over_message
        by_sent -= np.bincount(self.edges.in_index, by_step, len(sent))
        gradient = np.zeros_like(x)
        gradient[: self.first_shift] = by_sent
        gradient[self.first_shift :] = -np.bincount(self.layer_of, by_sent[1:], self.n_layers)
        gradient[1 : self.first_shift] -= 2 * bias / total
        gradient += np.bincount(self.edges.out_index, by_step, len(x))
        return np.log(total) + multiplier * hinge, self.ties.pulled_back(gradient)

    def shifts_of(self, x: FloatArray) -> FloatArray:
        """[L]: bits of right shift beyond the 6 that every layer has."""
        return np.asarray(x[self.first_shift :] / np.log(2), np.float64)

    def plan(self, x: FloatArray) -> RangePlan:
        """The plan that ``x`` stands for."""
        sent = self._sent(x)
        input_gain = round(float(np.exp(x[0])))
        layers = [
            LayerPlan(
                scale=np.exp(x[part]),
                sent=np.exp(sent[part]),
                shift=SHIFT + round(float(self.shifts_of(x)[index])),
                relayed=index in self.options.relays,
                limited_by=self._limits(x, index),
            )
            for index, part in enumerate(self.slices)
        ]
        return RangePlan(
            input_gain=input_gain,
            input_scale=input_gain * self.input_unit,
            grid=self.grid,
            layers=tuple(layers),
            noise=self._noise(x),
            headroom=self.options.headroom,
        )

    def _sent(self, x: FloatArray) -> FloatArray:
        """Logs t of the input (one channel stands for all) and of every channel."""
        sent = x[: self.first_shift].copy()
        sent[0] += np.log(self.input_unit)
        sent[1:] += self.log_pool - x[self.first_shift :][self.layer_of]
        return sent

    def _noise(self, x: FloatArray) -> PlannedNoise:
        sent = self._sent(x)
        steps = x[self.edges.out_index] - sent[self.edges.in_index]
        edge_layer = self.layer_of[self.edges.out_index - 1]
        by_edge = self.edge_noise * _exp(-2.0 * steps)
        message = self.message_noise * _exp(-2.0 * sent[1:])
        message += self.bias_noise * _exp(-2.0 * x[1 : self.first_shift])
        return PlannedNoise(
            np.asarray(np.bincount(edge_layer, by_edge, self.n_layers), np.float64),
            np.asarray(np.bincount(self.layer_of, message, self.n_layers), np.float64),
        )

    def _limits(self, x: FloatArray, index: int) -> str:
        """What a good part of the layer's channels cannot go beyond."""
        part = self.slices[index]
        sent, channels = self._sent(x)[part], slice(part.start - 1, part.stop - 1)
        steps = x[self.edges.out_index] - self._sent(x)[self.edges.in_index]
        full = self.edges.out_index[self.edges.log_largest + steps > -_NEAR]
        found = {
            "state (24 bits)": (self.state_top[channels] - x[part] < _NEAR).mean(),
            "message (16 bits)": (self.message_top[channels] - sent < _NEAR).mean(),
            "weights (8 bits)": np.isin(np.arange(part.start, part.stop), full).mean(),
        }
        return ", ".join(name for name, share in found.items() if share > 0.25) or "noise balance"


@dataclass(frozen=True, eq=False)
class _Edges:
    """Pairs of channels that a weight connects: positions in x, noise, log of largest weight."""

    out_index: IntArray
    in_index: IntArray
    noise: FloatArray
    log_largest: FloatArray


def _edges(
    graph: Graph, sensitivity: Sensitivity, slices: Sequence[slice], options: ScaleOptions
) -> _Edges:
    parts = []
    for index, (layer, seen) in enumerate(zip(graph.layers, sensitivity.layers, strict=True)):
        largest = _largest(layer)
        if largest.max() == 0:
            raise ConversionError(
                f"layer {layer.name}: all weights are zero; there is nothing to convert"
            )
        n_in, own = layer.input_shape[0], slices[index]
        before = np.zeros(n_in) if index == 0 else np.arange(own.start - n_in, own.start)
        outs = output_channel_view(layer, np.arange(own.start, own.stop, dtype=np.float64))
        ins = input_channel_view(layer, before.astype(np.float64))
        divisor = RELAY_DIVISOR if index in options.relays else 1
        rounding = (WEIGHT_STEP / UNITS / divisor) ** 2 / 12
        # A little for channels that nothing depends on, so that their scale is defined.
        noise = rounding * (seen.weight + 1e-6 * seen.weight.mean())
        if is_average(layer):
            noise = np.zeros_like(noise)  # its weights are exact
        log_largest = np.log(np.maximum(largest, 1e-30) / (WEIGHT_MAX / UNITS))
        shape = np.broadcast_shapes(outs.shape, ins.shape, noise.shape)
        parts.append([np.broadcast_to(v, shape).ravel() for v in (outs, ins, noise, log_largest)])
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return _Edges(joined[0].astype(np.int64), joined[1].astype(np.int64), joined[2], joined[3])


def _largest(layer: Layer) -> FloatArray:
    """Largest magnitude of a weight over the taps of a kernel."""
    magnitude = np.abs(layer.weight.astype(np.float64))
    taps = tuple(range(2, magnitude.ndim))
    return np.asarray(magnitude.max(axis=taps, keepdims=True), np.float64)


def _exp(values: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.minimum(values, _LARGEST_EXPONENT)), np.float64)


def _joined(sensitivity: Sensitivity, name: str) -> FloatArray:
    return np.concatenate([getattr(layer, name) for layer in sensitivity.layers])


def _finite(tops: FloatArray, layer_of: IntArray) -> FloatArray:
    """A silent channel may be scaled at will: it gets the largest limit of its layer's others."""
    tops = tops.copy()
    for index in np.unique(layer_of):
        mine = layer_of == index
        heard = mine & (tops < 60)
        tops[mine & ~heard] = tops[heard].max() if heard.any() else 0.0
    return tops
