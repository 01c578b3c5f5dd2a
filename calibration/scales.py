r"""One scale a layer: the best use of the weights' 8 bits that the states' 24 bits allow.

In a ReLU network layer l may be multiplied by any s_l > 0 when the next layer's weights are
divided by it. The converted weight is W s_l / v_(l-1) with v the scale after pooling (a sum over n
pixels in place of an average multiplies it by n). Rounding a weight to steps of 1/32 adds an error
of variance (1/32)^2 / 12, and flooring a message loses step^2 / 3 on average, so relative to the
layer's signal

.. math::
    N_l = \frac{(1/32)^2}{12} \frac{v_{l-1}^2 \, P_{in}}{s_l^2 \, P_z}
        + \frac{\delta^2}{3} \frac{\rho_l}{v_l^2 \, P_a}

with the powers P measured and rho the fraction of activations that are not zero. The sum of N_l is
a sum of exponentials in log s, so its minimum under the limits on states, messages and weights
(linear in log s) is a geometric program: convex, one minimum.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import LinearConstraint, minimize

from ann2sdnn.calibration.statistics import Statistics
from ann2sdnn.convert.graph import Graph, Layer
from ann2sdnn.errors import ConversionError
from ann2sdnn.sdnn.spec import MESSAGE_MAX, UNITS, WEIGHT_MAX, WEIGHT_STEP, Grid

FloatArray = NDArray[np.float64]

LARGEST_GAIN = MESSAGE_MAX // 255  # message units a uint8 count, so that 255 fits 16 bits


@dataclass(frozen=True)
class ScalePlan:
    """``input_gain``: message units a uint8 count. ``scales`` [L]: activation of each layer's
    neurons over the float network's. ``limited_by`` [L]: what keeps each scale from growing.
    """

    input_gain: int
    scales: tuple[float, ...]
    limited_by: tuple[str, ...]


def plan_scales(graph: Graph, statistics: Statistics, grid: Grid, headroom: float) -> ScalePlan:
    """Choose one scale a layer; states and messages stay below their limits over ``headroom``.

    Raises ConversionError when no scales fit, or when ``headroom`` is below 1.
    """
    if headroom < 1:
        raise ConversionError(f"a headroom of {headroom}; expected 1 or more, usually 1.25")
    problem = _Problem(graph, statistics, grid, headroom)
    free = problem.solve(None)
    # The input's gain is a whole number: round it down, then solve for the rest again.
    gain = int(np.clip(np.floor(np.exp(free[0]) / problem.input_unit + 1e-6), 1, LARGEST_GAIN))
    logs = problem.solve(gain)
    return ScalePlan(gain, tuple(np.exp(logs[1:])), problem.active_limits(logs))


class _Problem:
    """The geometric program in x = log(scale): input first, then the layers."""

    def __init__(self, graph: Graph, statistics: Statistics, grid: Grid, headroom: float) -> None:
        seen = statistics.layers
        self.n_layers = len(seen)
        self.grid = grid
        self.input_unit = grid.message_step / graph.input_scale
        self.pool_gain = np.array([1.0] + [pool_gain(layer) for layer in graph.layers])
        weight_max = np.array([float(np.abs(layer.weight).max()) for layer in graph.layers])
        if (weight_max == 0).any():
            name = graph.layers[int(np.argmin(weight_max))].name
            raise ConversionError(
                f"layer {name}: all weights are zero; there is nothing to convert"
            )
        # Weight noise depends on x[l - 1] - x[l], message noise on x[l].
        rounding = (WEIGHT_STEP / UNITS) ** 2 / 12
        self.weight_noise = np.array([rounding * s.input_power / s.z_power for s in seen])
        self.weight_noise *= self.pool_gain[:-1] ** 2
        flooring = grid.message_step**2 / 3
        self.message_noise = np.array([flooring * s.values.density / s.a_power for s in seen])
        self.message_noise /= self.pool_gain[1:] ** 2
        state_top = np.array([grid.state_limit / (headroom * s.z_abs_max) for s in seen])
        message_top = np.array([grid.message_limit / (headroom * s.a_max.max()) for s in seen])
        self.log_tops = {
            "state (24 bits)": np.log(state_top),
            "message (16 bits)": np.log(message_top / self.pool_gain[1:]),
        }
        # W s_l / v_(l-1) <= 254 / 64
        self.log_step_top = np.log(WEIGHT_MAX / UNITS / weight_max * self.pool_gain[:-1])

    @cached_property
    def tops(self) -> FloatArray:
        """[L]: the largest log scale of each layer that its range allows."""
        return np.asarray(np.min(list(self.log_tops.values()), axis=0), np.float64)

    def solve(self, input_gain: int | None) -> FloatArray:
        """Log scales [L + 1] of least noise; the input's is fixed when its gain is given."""
        low = np.log(self.input_unit)
        high = low + np.log(LARGEST_GAIN)
        if input_gain is not None:
            low = high = low + np.log(input_gain)
        start = np.concatenate([[low], self._feasible_start(low)])
        bounds = [(low, high), *((None, top) for top in self.tops)]
        steps = np.eye(self.n_layers, self.n_layers + 1, 1) - np.eye(
            self.n_layers, self.n_layers + 1
        )
        result = minimize(
            self._noise,
            start,
            jac=True,
            method="SLSQP",
            bounds=bounds,
            constraints=LinearConstraint(steps, ub=self.log_step_top),
            options={"maxiter": 1000, "ftol": 1e-10},
        )
        if not result.success:
            raise ConversionError(f"no scales were found that fit the grid: {result.message}")
        return np.asarray(result.x, np.float64)

    def active_limits(self, logs: FloatArray) -> tuple[str, ...]:
        """What keeps each layer's scale from growing; "noise balance" where nothing does."""
        names = []
        for index in range(self.n_layers):
            found = [n for n, tops in self.log_tops.items() if tops[index] - logs[index + 1] < 1e-3]
            if self.log_step_top[index] - (logs[index + 1] - logs[index]) < 1e-3:
                found.append("weights (8 bits)")
            names.append(", ".join(found) or "noise balance")
        return tuple(names)

    def _noise(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Log of the summed noise, and its gradient."""
        weight = self.weight_noise * np.exp(2 * (x[:-1] - x[1:]))
        message = self.message_noise * np.exp(-2 * x[1:])
        total = float(weight.sum() + message.sum())
        gradient = np.zeros_like(x)
        gradient[:-1] += 2 * weight
        gradient[1:] -= 2 * weight + 2 * message
        return np.log(total), gradient / total

    def _feasible_start(self, input_log: float) -> FloatArray:
        """As large as range and weights allow, layer after layer."""
        logs, last = [], input_log
        for top, step in zip(self.tops, self.log_step_top, strict=True):
            last = min(top, last + step)
            logs.append(last)
        return np.array(logs)


def pool_gain(layer: Layer) -> int:
    """What a sum over the layer's pooling windows gains over the average it stands for."""
    pool = layer.pool
    return pool.window if pool is not None and pool.kind == "average" else 1
