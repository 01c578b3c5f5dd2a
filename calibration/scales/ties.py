"""Ties the scales of layers to those of the channels that an exact synapse reads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.calibration.scales.edges import Edges, noise_edges
from ann2sdnn.calibration.scales.exact import ExactSynapse
from ann2sdnn.calibration.scales.plan import RELAY_DIVISOR
from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_MAX, WEIGHT_STEP

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Smaller weights are rounded to 0; of the input, whose gain is given, only larger ones are tied.
_FEWEST_STEPS = 0.5


@dataclass(frozen=True, eq=False)
class _Tie:
    """Channels ``outs`` [n] and those that they read, ``ins`` [n], by their places in x; all of
    ``plane``. ``log_step`` [n]: log(d / W); ``most``: the largest k. ``sensitivity`` [n]: as in
    ``ExactSynapse``. ``is_alone``: the layer has no other synapse.
    """

    plane: int
    outs: IntArray
    ins: IntArray
    log_step: FloatArray
    most: int
    sensitivity: FloatArray
    is_alone: bool

    def only(self, chosen: NDArray[np.bool_]) -> "_Tie":
        """The tie of the ``chosen`` [n] channels."""
        return replace(
            self,
            outs=self.outs[chosen],
            ins=self.ins[chosen],
            log_step=self.log_step[chosen],
            sensitivity=self.sensitivity[chosen],
        )


class Ties:
    """u = t + log(k d / W) for the channels of exact synapses, in the x of a ``ScaleProblem``.

    W is the only weight of a channel, d the step of weights, k the weight's number of steps.
    Nothing is tied before ``tie`` has chosen k. Beside other synapses, channels with weights of
    less than half a step are not tied: ``rounded`` holds their edges, None where there are none.
    """

    def __init__(
        self,
        graph: Graph,
        exact: Sequence[ExactSynapse | None],
        relayed: Sequence[Collection[int]],
        *,
        slices: Sequence[slice],
        log_pool: FloatArray,
        input_unit: float,
    ) -> None:
        """``exact`` and ``relayed``: per layer the exact synapse and those that read a relay. The
        others: as in ``ScaleProblem``.
        """
        self._log_pool, self._input_unit = log_pool, input_unit
        self._first_shift = slices[-1].stop
        self._possible: dict[int, _Tie] = {}
        for index, (layer, own) in enumerate(zip(graph.layers, exact, strict=True)):
            if own is None:
                continue
            plane, weights = graph.reads[index][own.number], own.weights
            divisor = RELAY_DIVISOR if own.number in relayed[index] else 1
            self._possible[index] = _Tie(
                plane=plane,
                outs=slices[index].start + weights.outs,
                ins=slices[plane - 1].start + weights.ins if plane else np.zeros_like(weights.ins),
                log_step=np.log(WEIGHT_STEP / UNITS / divisor / weights.sizes),
                most=WEIGHT_MAX // WEIGHT_STEP * divisor,
                sensitivity=own.sensitivity,
                is_alone=len(layer.synapses) == 1,
            )
        self.release()

    def release(self) -> None:
        """Remove all ties."""
        self._ties: dict[int, _Tie] = {}
        self._offsets: dict[int, FloatArray] = {}
        self.rounded: Edges | None = None

    @property
    def beside_others(self) -> bool:
        """Whether a layer with several synapses has an exact one."""
        return any(not tie.is_alone for tie in self._possible.values())

    def tie(self, x: FloatArray) -> None:
        """Choose k as in ``x``, rounded down, and at least 1."""
        rounded = []
        for index, tie in self._possible.items():
            log_steps = x[tie.outs] - self._arriving(x, tie) - tie.log_step
            steps = np.exp(np.minimum(log_steps, 50.0))
            chosen = tie.is_alone | (steps >= (_FEWEST_STEPS if tie.plane else 1.0))
            own = self._ties[index] = tie.only(chosen)
            rounded.append(tie.only(~chosen))
            steps = np.clip(np.floor(steps[chosen] + 1e-6), 1, tie.most)
            self._offsets[index] = np.log(steps) + own.log_step
        self.rounded = _edges(rounded)

    def applied(self, x: FloatArray) -> FloatArray:
        """``x`` with the tied u."""
        if not self._offsets:
            return x
        x = x.copy()
        for index, offset in self._offsets.items():
            tie = self._ties[index]
            x[tie.outs] = self._arriving(x, tie) + offset
        return x

    def pulled_back(self, gradient: FloatArray) -> FloatArray:
        """Turn the gradient by all of x, in place, into that by the free part of x."""
        for index in reversed(self._offsets):
            tie = self._ties[index]
            own = gradient[tie.outs].copy()
            gradient[tie.outs] = 0
            np.add.at(gradient, tie.ins, own)
            if tie.plane:
                gradient[self._first_shift + tie.plane - 1] -= own.sum()
        return gradient

    def lowered(self, tops: FloatArray, shifts: FloatArray) -> FloatArray:
        """Largest u [channels] for which tied channels stay below their own; ``shifts`` [L] in
        bits.
        """
        tops = tops.copy()
        for index in reversed(self._offsets):
            tie = self._ties[index]
            if not tie.plane:
                continue  # the input's gain is chosen before
            # Channels are counted from 0; in x the input's gain comes first.
            own, before = tie.outs - 1, tie.ins - 1
            gain = self._log_pool[before] - shifts[tie.plane - 1] * np.log(2)
            np.minimum.at(tops, before, tops[own] - self._offsets[index] - gain)
        return tops

    def _arriving(self, x: FloatArray, tie: _Tie) -> FloatArray:
        """Logs t [n] of the channels that are read."""
        if not tie.plane:
            return np.asarray(x[tie.ins] + np.log(self._input_unit), np.float64)
        shift = x[self._first_shift + tie.plane - 1]
        return np.asarray(x[tie.ins] + self._log_pool[tie.ins - 1] - shift, np.float64)


def _edges(ties: Sequence[_Tie]) -> Edges | None:
    """The edges of all channels of ``ties``; None where there are none."""
    parts = [(tie.outs, tie.ins, tie.sensitivity) for tie in ties if tie.outs.size]
    if not parts:
        return None
    outs, ins, sensitivity = map(np.concatenate, zip(*parts, strict=True))
    return noise_edges(outs, ins, sensitivity)
