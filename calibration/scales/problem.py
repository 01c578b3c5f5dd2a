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

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.scales.edges import Edges, EdgeTerms, FloatArray, edges_of
from ann2sdnn.calibration.scales.exact import exact_synapses, synapses_of_relays
from ann2sdnn.calibration.scales.input_gain import input_gains
from ann2sdnn.calibration.scales.minimise import minimise
from ann2sdnn.calibration.scales.plan import (
    RELAY_DIVISOR,
    LayerPlan,
    Limit,
    Limits,
    PlannedNoise,
    RangePlan,
    ScaleOptions,
    pool_gain,
)
from ann2sdnn.calibration.scales.ties import Ties
from ann2sdnn.sdnn.spec.grid import SHIFT, SHIFT_MAX, UNITS, Grid

Note = Callable[[str], None]

_MULTIPLIERS = (1e1, 1e3, 1e5)
_QUICK_STEPS = 150
_LARGEST_EXPONENT = 200.0  # a line search may try anything
_STEPS = 1500
# With more edges fewer steps are made, so that a deep network is planned in seconds.
_MOST_EDGES = 200_000
_MOST_VISITS = 75_000_000  # of edges, one in each step
_FEWEST_STEPS = 40
_FREE_SHIFTS = 5  # times as many steps where shifts are free
_LEAST_BEND = 1e-3
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

    def __init__(
        self, evidence: Evidence, grid: Grid, options: ScaleOptions, edges: Edges | None = None
    ) -> None:
        """``edges``: those of another problem with the same ``evidence``; None makes them."""
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
        self.relayed = synapses_of_relays(graph, options.relays, self.exact)
        self.ties = Ties(
            graph,
            self.exact,
            self.relayed,
            slices=self.slices,
            log_pool=self.log_pool,
            input_unit=self.input_unit,
        )
        self.energy = energy = max(sensitivity.output_energy, 1e-30)
        if edges is None:
            edges = edges_of(graph, sensitivity, self.slices, self.exact)
            edges = replace(edges, noise=edges.noise / energy)
        self.edges = edges
        # A relay's weights are finer, and their noise is smaller by the square of that.
        relayed = np.isin(self.layer_of, options.relays)
        self.noise_share = np.append(1.0, np.where(relayed, RELAY_DIVISOR**-2.0, 1.0))
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

    @property
    def is_large(self) -> bool:
        """Whether steps are so slow that few are made, in units of their own for each variable."""
        return len(self.edges.noise) > _MOST_EDGES

    def best(self, near: FloatArray | None = None, note: Note = lambda text: None) -> FloatArray:
        """The x of least noise with a whole number for the input's gain, whole shifts, and whole
        weights of exact synapses.

        ``near``: the x of a similar problem, where that of a large network begins; others converge
        from anywhere. ``note`` is told which step of the solution is next.
        """
        self.ties.release()
        free = near if near is not None and self.is_large else self._free(note)
        # Round them, then solve for the rest again.
        shifts = np.clip(np.rint(self.shifts_of(free)), 0, SHIFT_MAX - SHIFT)
        gain = self.gains.chosen(float(np.exp(free[0])))

        def note_gain(text: str) -> None:
            note(f"gain {gain}, {text}")

        if self.ties.beside_others:
            # What is tied cannot follow the rounded gain and shifts later, so it has to fit them.
            free = self.solve(free, gain, shifts, note_gain)
        self.ties.tie(free)
        return self.ties.applied(self.solve(free, gain, shifts, note_gain))

    def _free(self, note: Note) -> FloatArray:
        """The x of least noise with any gain of the input and any shifts."""
        shifts = None if self.options.free_shifts else np.zeros(self.n_layers)
        return self.solve(self.start(), None, shifts, lambda text: note(f"any gain, {text}"))

    def start(self) -> FloatArray:
        """Everything as large as range allows, weights left to the hinge."""
        x = np.zeros(self.first_shift + self.n_layers)
        x[1 : self.first_shift] = np.minimum(self.state_top, self.message_top - self.log_pool)
        return x

    def solution_of(self, plan: RangePlan) -> FloatArray:
        """The x that ``plan`` was made from."""
        gain = plan.input_scale / self.input_unit
        scales = np.concatenate([layer.scale for layer in plan.layers])
        shifts = np.array([layer.shift - SHIFT for layer in plan.layers]) * np.log(2)
        return np.concatenate([[np.log(gain)], np.log(scales), shifts])

    def quick(self, start: FloatArray, shifts: FloatArray) -> tuple[float, FloatArray]:
        """Predicted relative error, to a few percent, and its x, from one with other relays."""
        x = start
        # Few steps find the way only while the limits are soft.
        steps = _FEWEST_STEPS // 2 if self.is_large else _QUICK_STEPS
        for multiplier in _MULTIPLIERS[0 if self.is_large else 1 : 2]:
            x = self._minimise(x, None, shifts, multiplier, steps)
        return self._noise(x).relative_error, x

    def solve(
        self,
        start: FloatArray,
        input_gain: int | None,
        shifts: FloatArray | None,
        note: Note = lambda text: None,
    ) -> FloatArray:
        """The x of least noise, input gain and shifts (in bits beyond 6) fixed where given."""
        x, steps = start, _STEPS
        if self.is_large:
            steps = max(_FEWEST_STEPS, _MOST_VISITS // len(self.edges.noise))
            steps = min(_STEPS, steps if shifts is not None else _FREE_SHIFTS * steps)
        for multiplier in _MULTIPLIERS:
            note(f"limits times {multiplier:g}")
            x = self._minimise(x, input_gain, shifts, multiplier, steps)
        return x

    def _minimise(
        self,
        start: FloatArray,
        input_gain: int | None,
        shifts: FloatArray | None,
        multiplier: float,
        max_steps: int,
    ) -> FloatArray:
        lows, highs = self._bounds(input_gain, shifts)
        return minimise(
            lambda x: self.objective(x, multiplier),
            start,
            lows,
            highs,
            max_steps=max_steps,
            units=self._units(np.clip(start, lows, highs)) if self.is_large else None,
        )

    def _bounds(
        self, input_gain: int | None, shifts: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        """The least and the largest x."""
        gain = (0.0, np.log(self.gains.most)) if input_gain is None else (np.log(input_gain),) * 2
        if shifts is None:
            tops = self.state_top
            least, most = np.zeros(self.n_layers), (SHIFT_MAX - SHIFT) * np.log(2)
        else:
            by_channel = shifts[self.layer_of] * np.log(2)
            tops = np.minimum(self.state_top, self.message_top - self.log_pool + by_channel)
            tops = self.ties.lowered(tops, shifts)
            least = most = shifts * np.log(2)
        lows = np.concatenate([gain[:1], np.full(len(tops), -np.inf), least])
        highs = np.concatenate([gain[1:], tops, np.broadcast_to(most, self.n_layers)])
        return lows, highs

    def _units(self, x: FloatArray) -> FloatArray:
        """Lengths of steps in which log E bends about alike along each variable, at ``x``.

        Channels differ by orders of magnitude in what their rounding costs; without units a few
        steps move only those that cost most.
        """
        sent = self._sent(x)
        edges = self._edge_terms(x, sent)
        message, bias = self._message_terms(x, sent)
        by_sent = edges.by_sent[0]
        by_sent[0] += self._input_term(x)
        by_sent[1:] += message
        by_own = edges.by_own[0]
        by_own[1:] += bias
        bend = 4 * (by_own + by_sent) / (by_own.sum() + by_sent.sum() + 1e-30)
        units = np.asarray(1 / np.sqrt(bend + _LEAST_BEND), np.float64)
        # A shift moves with the scales of its layer, by as much as their mean.
        of_layers = np.bincount(self.layer_of, units[1:]) / np.bincount(self.layer_of)
        return np.concatenate([units, of_layers])

    def objective(self, x: FloatArray, multiplier: float) -> tuple[float, FloatArray]:
        """Log of the noise plus hinges on the limits that are no bounds, and its gradient."""
        x = self.ties.applied(x)
        sent = self._sent(x)
        edges = self._edge_terms(x, sent)
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
        tightest = self.edges.excess(x[: self.first_shift], sent)
        layers = [
            LayerPlan(
                scale=np.exp(x[part]),
                sent=np.exp(sent[part]),
                shift=SHIFT + round(float(self.shifts_of(x)[index])),
                tied=None if tied is None else tied.number,
                relayed=self.relayed[index],
                limited_by=self._limits(x, sent, tightest, part),
            )
            for index, (part, tied) in enumerate(zip(self.slices, self.exact, strict=True))
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

    def _edge_terms(self, x: FloatArray, sent: FloatArray) -> EdgeTerms:
        """Noise and hinge of all weights."""
        own = x[: self.first_shift]
        terms = self.edges.terms(own, sent, self.noise_share)
        if self.ties.rounded is None:
            return terms
        return terms + self.ties.rounded.terms(own, sent, np.full(len(own), 1 / self.energy))

    def _message_terms(self, x: FloatArray, sent: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The noise of messages and of biases, for every channel."""
        message = self.message_noise * _exp(-2.0 * sent[1:])
        return message, self.bias_noise * _exp(-2.0 * x[1 : self.first_shift])

    def _input_term(self, x: FloatArray) -> float:
        """The noise of rounding float32 values; pixels are exact."""
        return self.input_noise * float(_exp(-2.0 * x[:1])[0])

    def _noise(self, x: FloatArray) -> PlannedNoise:
        sent = self._sent(x)
        weight = self._edge_terms(x, sent).by_own[0, 1:]
        message, bias = self._message_terms(x, sent)
        by_layer = np.asarray(np.bincount(self.layer_of, message + bias, self.n_layers), np.float64)
        by_layer[0] += self._input_term(x)
        return PlannedNoise(
            np.asarray(np.bincount(self.layer_of, weight, self.n_layers), np.float64), by_layer
        )

    def _limits(self, x: FloatArray, sent: FloatArray, tightest: FloatArray, part: slice) -> Limits:
        """The limits that more than a quarter of the layer's channels, ``part`` of x, reach."""
        channels = slice(part.start - 1, part.stop - 1)
        shares = {
            Limit.STATE: (self.state_top[channels] - x[part] < _NEAR).mean(),
            Limit.MESSAGE: (self.message_top[channels] - sent[part] < _NEAR).mean(),
            Limit.WEIGHTS: (tightest[part] > -_NEAR).mean(),
        }
        return tuple(limit for limit, share in shares.items() if share > 0.25) or (Limit.NOISE,)


def _exp(values: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.minimum(values, _LARGEST_EXPONENT)), np.float64)
