r"""Chooses one scale per output channel: the least rounding error that 24-bit states and 16-bit
messages allow.

In a ReLU network channel o of layer l may be multiplied by any s > 0 when the weights that read it
are divided by it. With u = log s of the neurons and t = log of what they send (u after pooling and
shift), the converted weight of a synapse k is W[o, i] exp(u[o] - t[i]), t that of the layer p(k)
that it reads. Rounding it to steps of d and flooring messages to steps of m changes the output by
an error of energy

.. math::
    E = \sum_{l, k, o, i} \frac{d_k^2}{12} A_k[o, i] e^{2 (t_{p(k)}[i] - u_l[o])}
        + \sum_{l, c} m^2 B_l[c] e^{-2 t_l[c]}
        + \sum_{l, o} \frac{(1/64)^2}{12} C_l[o] e^{-2 u_l[o]}
        + \frac{m^2}{12} D e^{-2 t_0}

with the sensitivities A (weights), B (messages), C (biases) and D (float32 inputs; 0 for pixels,
which are exact) of ``measure/sensitivity.py``. log E is a log of a sum of exponentials of linear
terms and every limit is linear in u and t, so this is a geometric program: convex, with one
minimum. Range is spent once: along the network the gains telescope, so only the ratio of the last
scale to the first is there to be shared out.

The limits on states and messages are bounds of u. Those on weights (and on messages while shifts
are free) are squared hinges with a growing multiplier, so that L-BFGS-B solves it in seconds.

A synapse with one weight W per output channel (``exact.py``), such as an identity or an average, is
rounded as a whole, which would be an error of everything that it carries. So the u of its layer are
tied: with k steps of the weight, u = t + log(k d / W), and the weight is exact. k is taken from the
solution without ties, rounded down, and at least 1. A layer can be tied to one of its synapses.
Beside other synapses, a channel whose weight is less than half a step there is not tied: what the
synapse adds to it is small, and is rounded as any weight is.
"""

from collections.abc import Collection, Sequence

import numpy as np
from scipy.optimize import minimize

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.scales.edges import FloatArray, edges_of
from ann2sdnn.calibration.scales.exact import exact_synapses
from ann2sdnn.calibration.scales.input_gain import input_gains
from ann2sdnn.calibration.scales.plan import (
    LayerPlan,
    Limit,
    Limits,
    PlannedNoise,
    RangePlan,
    ScaleOptions,
    pool_gain,
)
from ann2sdnn.calibration.scales.ties import Ties
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.grid import SHIFT, SHIFT_MAX, UNITS, Grid

_MULTIPLIERS = (1e1, 1e3, 1e5)
_QUICK_STEPS = 150
_LARGEST_EXPONENT = 200.0  # a line search may try anything
_STEPS = 1500
_MOST_EDGES = 200_000  # with more, fewer steps, so that a deep network is planned in minutes
_FEWEST_STEPS = 40
_NEAR = 0.02  # of a limit, in log units
_SILENT = 60.0  # limits of channels without any value are larger


def plan_scales(evidence: Evidence, grid: Grid, options: ScaleOptions) -> RangePlan:
    """Choose one scale per channel; states and messages stay below their limits over the headroom.

    Raises ConversionError when a layer's weights are all zero.
    """
    problem = ScaleProblem(evidence, grid, options)
    return problem.plan(problem.best())


class ScaleProblem:
    """The geometric program in x = (log input gain, u of every channel, shifts of every layer)."""

    def __init__(self, evidence: Evidence, grid: Grid, options: ScaleOptions) -> None:
        graph, sensitivity = evidence.graph, evidence.sensitivity
        self.evidence, self.grid, self.options = evidence, grid, options
        self.n_layers = len(graph.layers)
        self.gains = input_gains(evidence)
        self.input_unit = grid.message_step / (graph.input_scale * self.gains.count)
        channels = [layer.preactivation_shape[0] for layer in graph.layers]
        ends = 1 + np.cumsum(channels)
        self.slices = [slice(end - n, end) for end, n in zip(ends, channels, strict=True)]
        self.first_shift = int(ends[-1])
        self.layer_of = np.repeat(np.arange(self.n_layers), channels)
        gains = np.array([float(pool_gain(layer)) for layer in graph.layers])
        self.log_pool = np.log(gains)[self.layer_of]
        peaks = evidence.peaks
        self.state_top = self._top(grid.state_limit, [layer.state for layer in peaks])
        self.message_top = self._top(grid.message_limit, [layer.message for layer in peaks])
        self.exact = exact_synapses(graph, sensitivity)
        self.relayed = _relayed(graph, options.relays, self.exact)
        self.ties = Ties(
            graph,
            self.exact,
            self.relayed,
            slices=self.slices,
            log_pool=self.log_pool,
            input_unit=self.input_unit,
        )
        energy = max(sensitivity.output_energy, 1e-30)
        edges = edges_of(graph, sensitivity, self.slices, exact=self.exact, relayed=self.relayed)
        self._edges_without_ties = self.edges = edges.over(energy)
        message = np.concatenate([layer.message for layer in sensitivity.layers])
        self.message_noise = grid.message_step**2 / energy * message
        # Values are rounded to whole levels: an error of variance 1/12.
        self.input_noise = (graph.input_scale * self.gains.count) ** 2 / 12 / energy
        self.input_noise *= sensitivity.input
        has_bias = np.array([layer.bias is not None for layer in graph.layers])
        bias = np.concatenate([layer.bias for layer in sensitivity.layers])
        bias_rounding = (1 / UNITS) ** 2 / 12 / energy
        self.bias_noise = bias_rounding * bias * has_bias[self.layer_of]

    def _top(self, limit: float, peaks: list[FloatArray]) -> FloatArray:
        """Largest logs of scales for the ``peaks`` of every layer."""
        peak = np.maximum(np.concatenate(peaks), 1e-30)
        tops = np.asarray(np.log(limit / (self.options.headroom * peak)), np.float64)
        # A silent channel may have any scale: it gets the largest limit of its layer's others.
        for part in self.slices:
            own = tops[part.start - 1 : part.stop - 1]
            silent = own >= _SILENT
            own[silent] = own[~silent].max() if not silent.all() else 0.0
        return tops

    def best(self) -> FloatArray:
        """The x of least noise with a whole number for the input's gain, whole shifts, and whole
        weights of exact synapses.
        """
        self.ties.release()
        self.edges = self._edges_without_ties
        no_shifts = np.zeros(self.n_layers)
        free = self.solve(self.start(), None, None if self.options.free_shifts else no_shifts)
        # Round them, then solve for the rest again.
        shifts = np.clip(np.rint(self.shifts_of(free)), 0, SHIFT_MAX - SHIFT)
        gain = self.gains.chosen(float(np.exp(free[0])))
        if self.ties.beside_others:
            # What is tied cannot follow the rounded gain and shifts later, so it has to fit them.
            free = self.solve(free, gain, shifts)
        self.ties.tie(free)
        self.edges = self.edges.rounded_unless(self.ties.tied)
        return self.ties.applied(self.solve(free, gain, shifts))

    def start(self) -> FloatArray:
        """Everything as large as range allows, weights left to the hinge."""
        x = np.zeros(self.first_shift + self.n_layers)
        x[1 : self.first_shift] = np.minimum(self.state_top, self.message_top - self.log_pool)
        return x

    def quick_error(self, start: FloatArray, shifts: FloatArray) -> float:
        """Predicted relative error, to a few percent, from a start with other relays."""
        x = self._minimise(start, None, shifts, _MULTIPLIERS[1], _QUICK_STEPS)
        return self._noise(x).relative_error

    def solve(
        self, start: FloatArray, input_gain: int | None, shifts: FloatArray | None
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
        most = np.log(self.gains.most)
        gain = (0.0, most) if input_gain is None else (np.log(input_gain),) * 2
        if shifts is None:
            tops = self.state_top
            shift_bounds = [(0.0, (SHIFT_MAX - SHIFT) * np.log(2))] * self.n_layers
        else:
            by_channel = shifts[self.layer_of] * np.log(2)
            tops = np.minimum(self.state_top, self.message_top - self.log_pool + by_channel)
            tops = self.ties.lowered(tops, shifts)
            shift_bounds = [(shift, shift) for shift in shifts * np.log(2)]
        share = min(1.0, _MOST_EDGES / len(self.edges.noise))
        max_steps = max(_FEWEST_STEPS, round(share * max_steps))
        bounds = [gain, *((None, top) for top in tops), *shift_bounds]
        lows, highs = zip(*bounds, strict=True)
        x = np.clip(start, [-np.inf if low is None else low for low in lows], highs)
        result = minimize(
            self.objective,
            x,
            args=(multiplier,),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 1e-10, "maxcor": 10},
        )
        return np.asarray(result.x, np.float64)

    def objective(self, x: FloatArray, multiplier: float) -> tuple[float, FloatArray]:
        """Log of the noise plus hinges on the limits that are no bounds, and its gradient."""
        x = self.ties.applied(x)
        sent = self._sent(x)
        edges = self.edges.terms(x[: self.first_shift], sent)
        message, bias = self._message_terms(x, sent)
        rounding = self._input_term(x)
        total = edges.noise + float(message.sum() + bias.sum()) + rounding + 1e-30
        over_message = np.maximum(sent[1:] - self.message_top, 0)
        hinge = edges.hinge + float(np.square(over_message).sum())
        # Derivatives of the noise by the logs, then of the hinge.
        by_sent = 2 * edges.by_sent[0] / total - 2 * multiplier * edges.by_sent[1]
        by_sent[0] -= 2 * rounding / total
        by_sent[1:] += -2 * message / total + 2 * multiplier * over_message
        gradient = np.zeros_like(x)
        gradient[: self.first_shift] = by_sent
        gradient[self.first_shift :] = -np.bincount(self.layer_of, by_sent[1:], self.n_layers)
        gradient[: self.first_shift] += (
            -2 * edges.by_own[0] / total + 2 * multiplier * edges.by_own[1]
        )
        gradient[1 : self.first_shift] -= 2 * bias / total
        return np.log(total) + multiplier * hinge, self.ties.pulled_back(gradient)

    def shifts_of(self, x: FloatArray) -> FloatArray:
        """[L]: bits of right shift beyond the 6 that every layer has."""
        return np.asarray(x[self.first_shift :] / np.log(2), np.float64)

    def plan(self, x: FloatArray) -> RangePlan:
        """The plan that ``x`` stands for."""
        sent = self._sent(x)
        input_gain = round(float(np.exp(x[0])))
        is_pixels = self.evidence.graph.preprocessing.dtype == "uint8"
        layers = [
            LayerPlan(
                scale=np.exp(x[part]),
                sent=np.exp(sent[part]),
                shift=SHIFT + round(float(self.shifts_of(x)[index])),
                tied=self.exact[index],
                relayed=self.relayed[index],
                limited_by=self._limits(x, index),
            )
            for index, part in enumerate(self.slices)
        ]
        return RangePlan(
            input_gain=input_gain if is_pixels else input_gain / self.gains.count,
            input_scale=input_gain * self.input_unit,
            grid=self.grid,
            layers=tuple(layers),
            noise=self._noise(x),
            headroom=self.options.headroom,
            input_offset=self.gains.offset(input_gain),
        )

    def _sent(self, x: FloatArray) -> FloatArray:
        """Logs t of the input (one channel stands for all) and of every channel."""
        sent = x[: self.first_shift].copy()
        sent[0] += np.log(self.input_unit)
        sent[1:] += self.log_pool - x[self.first_shift :][self.layer_of]
        return sent

    def _steps(self, x: FloatArray, sent: FloatArray) -> FloatArray:
        """Logs of the gain of every edge."""
        return np.asarray(x[self.edges.out_index] - sent[self.edges.in_index], np.float64)

    def _message_terms(self, x: FloatArray, sent: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The noise of messages and of biases, for every channel."""
        message = self.message_noise * _exp(-2.0 * sent[1:])
        return message, self.bias_noise * _exp(-2.0 * x[1 : self.first_shift])

    def _input_term(self, x: FloatArray) -> float:
        """The noise of rounding float32 values; pixels are exact."""
        return self.input_noise * float(_exp(-2.0 * x[:1])[0])

    def _noise(self, x: FloatArray) -> PlannedNoise:
        sent = self._sent(x)
        weight = self.edges.terms(x[: self.first_shift], sent).by_own[0, 1:]
        message, bias = self._message_terms(x, sent)
        by_layer = np.asarray(np.bincount(self.layer_of, message + bias, self.n_layers), np.float64)
        by_layer[0] += self._input_term(x)
        return PlannedNoise(
            np.asarray(np.bincount(self.layer_of, weight, self.n_layers), np.float64), by_layer
        )

    def _limits(self, x: FloatArray, index: int) -> Limits:
        """The limits that more than a quarter of the layer's channels reach."""
        part = self.slices[index]
        sent = self._sent(x)
        steps = self._steps(x, sent)
        channels = slice(part.start - 1, part.stop - 1)
        full = self.edges.out_index[self.edges.log_largest + steps > -_NEAR]
        shares = {
            Limit.STATE: (self.state_top[channels] - x[part] < _NEAR).mean(),
            Limit.MESSAGE: (self.message_top[channels] - sent[part] < _NEAR).mean(),
            Limit.WEIGHTS: np.isin(np.arange(part.start, part.stop), full).mean(),
        }
        return tuple(limit for limit, share in shares.items() if share > 0.25) or (Limit.NOISE,)


def _relayed(
    graph: Graph, relays: Collection[int], exact: Sequence[int | None]
) -> tuple[frozenset[int], ...]:
    """Per layer the synapses that read a relay: all of those ``relays`` but exact ones, which gain
    nothing, unless the layer has no other.
    """
    return tuple(
        frozenset(
            number
            for number in range(len(layer.synapses))
            if number != exact[index] or len(layer.synapses) == 1
        )
        if index in relays
        else frozenset()
        for index, layer in enumerate(graph.layers)
    )


def _exp(values: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.minimum(values, _LARGEST_EXPONENT)), np.float64)
