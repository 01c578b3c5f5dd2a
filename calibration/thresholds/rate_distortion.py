r"""Thresholds by rate and distortion: the fewest operations for a stated displacement.

A layer's curve says what each of its thresholds costs, :math:`R_l(\vartheta)`, and what it adds to
the energy of the output's error, :math:`D_l(\vartheta)`, whether the layer remembers or is
memoryless. Errors of different layers are taken as independent, so that their energies add up, and
with one multiplier every layer chooses for itself

.. math::
    \min_{\vartheta_l, \text{memory}_l} R_l + \lambda D_l .

:math:`\lambda` is what a unit of error may cost; every :math:`\lambda` gives the fewest operations
for the error it ends at (Everett 1963). Which :math:`\lambda` belongs to a displacement in pixels
is not believed but found by bisection on runs of the network itself.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ann2sdnn.calibration.thresholds.curves import MEMORYLESS, REMEMBERS, LayerCurve
from ann2sdnn.calibration.thresholds.trials import Trial
from ann2sdnn.sdnn.spec.spec import Spec

_POWER = 1.5  # displacement grows about with the error, its root mean square, to the power 4/3
_STEPS = 64  # halvings of the multiplier's range
_TOLERANCE = 0.9  # a displacement between this part of the budget and the budget is close enough
_CLOSEST = 1.02  # errors that differ by less than this factor are not told apart
_NOTHING = 1e-12  # and this is no error


class Memory(str, Enum):
    """Which layers keep what they sent."""

    ALL = "all"
    NONE = "none"
    MIXED = "mixed"

    @property
    def kinds(self) -> tuple[int, ...]:
        """Rows of a curve that may be chosen."""
        return {
            "all": (REMEMBERS,),
            "none": (MEMORYLESS,),
            "mixed": (REMEMBERS, MEMORYLESS),
        }[self.value]


@dataclass(frozen=True)
class OperatingPoint:
    """One layer's place on its curve: row ``kind``, column ``step``."""

    kind: int
    step: int


Picks = tuple[OperatingPoint, ...]


def best_picks(curves: Sequence[LayerCurve], multiplier: float, memory: Memory) -> Picks:
    """Each layer's cheapest place when a unit of output error costs ``multiplier`` operations."""
    kinds = memory.kinds
    picks = []
    for curve in curves:
        cost = np.stack([curve.operations[k] + multiplier * curve.output_error[k] for k in kinds])
        row, step = np.unravel_index(int(cost.argmin()), cost.shape)
        picks.append(OperatingPoint(kinds[row], int(step)))
    return tuple(picks)


def picks_for_harm(curves: Sequence[LayerCurve], output_error: float, memory: Memory) -> Picks:
    """The cheapest places whose foreseen error energies add up to at most ``output_error``."""
    # At the lower end everything may be spoilt, at the upper end nothing.
    low, high = 1e-12, 1e18
    for _ in range(_STEPS):
        middle = float(np.sqrt(low * high))
        if predicted_error(curves, best_picks(curves, middle, memory)) > output_error:
            low = middle
        else:
            high = middle
    return best_picks(curves, high, memory)


def picks_without_thresholds(curves: Sequence[LayerCurve], memory: Memory) -> Picks:
    """Thresholds of 0, which change nothing: each layer's cheaper kind."""
    kinds = list(memory.kinds)
    return tuple(
        OperatingPoint(kinds[int(curve.operations[kinds, 0].argmin())], 0) for curve in curves
    )


def predicted_error(curves: Sequence[LayerCurve], picks: Picks) -> float:
    """Energy a frame of the output's error, as the additive model foresees it."""
    return sum(float(c.output_error[p.kind, p.step]) for c, p in zip(curves, picks, strict=True))


def predicted_operations(curves: Sequence[LayerCurve], picks: Picks) -> float:
    """Synaptic operations a frame, as the curves foresee them."""
    return sum(float(c.operations[p.kind, p.step]) for c, p in zip(curves, picks, strict=True))


def with_picks(spec: Spec, curves: Sequence[LayerCurve], picks: Picks) -> Spec:
    """``spec`` with the thresholds and memories of ``picks``, the input's first.

    The last layer, whose messages cost nothing, sends every change and remembers.
    """
    layers = [
        replace(
            layer, threshold=int(curve.thresholds[pick.step]), is_stateful=pick.kind == REMEMBERS
        )
        for layer, curve, pick in zip(spec.layers, curves[1:], picks[1:], strict=False)
    ]
    last = replace(spec.layers[-1], threshold=0, is_stateful=True)
    return replace(spec, layers=(*layers, last), input_is_stateful=picks[0].kind == REMEMBERS)


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The picks a search ended with, what was foreseen for them and what they measured."""

    picks: Picks
    spec: Spec
    trial: Trial
    predicted_error: float
    predicted_operations: float


def search(
    curves: Sequence[LayerCurve],
    spec: Spec,
    memory: Memory,
    *,
    run: Callable[[Spec], Trial],
    displacement_px: Callable[[Trial], float],
    budget_px: float,
    first_error: float,
    max_trials: int,
) -> SearchResult:
    """The cheapest trial whose displacement is within ``budget_px``.

    ``first_harm``: error energy to begin with. The next is where displacement, as it grows as a
    rule, would be the budget, or halves (in logarithms) the interval between the largest error that
    kept the budget and the smallest that did not. Where no trial keeps the budget, the result has
    thresholds of 0.
    """
    found: SearchResult | None = None
    below, above, output_error = 0.0, math.inf, first_error
    known: dict[Picks, float] = {}
    # Different errors often have the same picks: those are not run again, the search goes on.
    for _ in range(_STEPS):
        if len(known) == max_trials or above <= below * _CLOSEST:
            break
        picks = picks_for_harm(curves, output_error, memory)
        if picks not in known:
            candidate = play(curves, spec, picks, run)
            known[picks] = displacement_px(candidate.trial)
            if known[picks] <= budget_px and (found is None or _cheaper(candidate, found)):
                found = candidate
        px = known[picks]
        if _TOLERANCE * budget_px <= px <= budget_px or (
            output_error < _NOTHING and px > budget_px
        ):
            break
        if px <= budget_px:
            below = output_error
        else:
            above = output_error
        output_error = _next_harm(output_error, px, budget_px, below, above)
    return found or play(curves, spec, picks_without_thresholds(curves, memory), run)


def play(
    curves: Sequence[LayerCurve], spec: Spec, picks: Picks, run: Callable[[Spec], Trial]
) -> SearchResult:
    """Run ``spec`` with ``picks``."""
    candidate = with_picks(spec, curves, picks)
    return SearchResult(
        picks,
        candidate,
        run(candidate),
        predicted_error(curves, picks),
        predicted_operations(curves, picks),
    )


def _cheaper(one: SearchResult, other: SearchResult) -> bool:
    return one.trial.total_operations < other.trial.total_operations


def _next_harm(
    output_error: float, px: float, budget_px: float, below: float, above: float
) -> float:
    """Where the next trial should be, between ``below`` and ``above``."""
    guess = output_error * math.pow(min(max(budget_px / max(px, 1e-9), 1 / 8), 8.0), _POWER)
    if math.isinf(above):
        return max(guess, 1.5 * below)
    if below == 0:
        return min(guess, above / 1.5)
    if below * 1.05 < guess < above / 1.05:
        return guess
    return math.sqrt(below * above)
