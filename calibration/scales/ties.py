"""Ties the scales of averaging layers to those of the layers before them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.scales.plan import RELAY_DIVISOR
from ann2sdnn.graph.averages import is_average
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP

FloatArray = NDArray[np.float64]


class Ties:
    """u = t + log(k d / W) for the channels of averaging layers, in the x of a ``ScaleProblem``.

    W is the layer's only weight, d the step of weights, k the weight's number of steps. Nothing is
    tied before ``tie`` has chosen k.
    """

    def __init__(
        self,
        graph: Graph,
        relays: Sequence[int],
        slices: Sequence[slice],
        log_pool: FloatArray,
        input_unit: float,
    ) -> None:
        self._slices, self._log_pool, self._input_unit = slices, log_pool, input_unit
        self._first_shift = slices[-1].stop
        self._most: dict[int, int] = {}
        self._log_step: dict[int, float] = {}
        for index, layer in enumerate(graph.layers):
            if is_average(layer):
                divisor = RELAY_DIVISOR if index in relays else 1
                step = WEIGHT_STEP / UNITS / divisor
                self._most[index] = WEIGHT_MAX // WEIGHT_STEP * divisor
                self._log_step[index] = float(np.log(step / layer.weight.flat[0]))
        self._offsets: dict[int, FloatArray] = {}

    def release(self) -> None:
        """Remove all ties."""
        self._offsets = {}

    def tie(self, x: FloatArray) -> None:
        """Choose k as in ``x``, rounded down, and at least 1."""
        for index, log_step in self._log_step.items():
            log_steps = x[self._slices[index]] - self._arriving(x, index) - log_step
            steps = np.floor(np.exp(np.minimum(log_steps, 50.0)) + 1e-6)
            self._offsets[index] = np.log(np.clip(steps, 1, self._most[index])) + log_step

    def applied(self, x: FloatArray) -> FloatArray:
        """``x`` with the tied u."""
        if not self._offsets:
            return x
        x = x.copy()
        for index, offset in self._offsets.items():
            x[self._slices[index]] = self._arriving(x, index) + offset
        return x

    def pulled_back(self, gradient: FloatArray) -> FloatArray:
        """Turn the gradient by all of x, in place, into that by the free part of x."""
        for index in reversed(self._offsets):
            own = gradient[self._slices[index]].copy()
            gradient[self._slices[index]] = 0
            if index == 0:
                gradient[0] += own.sum()
            else:
                gradient[self._slices[index - 1]] += own
                gradient[self._first_shift + index - 1] -= own.sum()
        return gradient

    def lowered(self, tops: FloatArray, shifts: FloatArray) -> FloatArray:
        """Largest u [channels] for which tied channels stay below their own; ``shifts`` [L] in
        bits.
        """
        tops = tops.copy()
        for index in reversed(self._offsets):
            if index == 0:
                continue  # the input's gain is chosen before
            own, before = (_from_zero(self._slices[i]) for i in (index, index - 1))
            gain = self._log_pool[before] - shifts[index - 1] * np.log(2)
            tops[before] = np.minimum(tops[before], tops[own] - self._offsets[index] - gain)
        return tops

    def _arriving(self, x: FloatArray, index: int) -> FloatArray:
        """Logs t of the inputs of layer ``index``."""
        if index == 0:
            return np.asarray(x[:1] + np.log(self._input_unit), np.float64)
        before = self._slices[index - 1]
        shift = x[self._first_shift + index - 1]
        return np.asarray(x[before] + self._log_pool[_from_zero(before)] - shift, np.float64)


def _from_zero(part: slice) -> slice:
    """Channels are counted from 0; in x the input's gain comes first."""
    return slice(part.start - 1, part.stop - 1)
