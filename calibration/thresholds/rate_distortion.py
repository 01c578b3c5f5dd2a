r"""Chooses thresholds by rate and distortion: the fewest operations for a stated displacement.

A layer's curve holds what each of its thresholds costs, :math:`R_l(\vartheta)` (operations, and
messages at what they are worth in operations), and the energy :math:`D_l(\vartheta)` that each
adds to the error of the output, for a stateful and for a memoryless layer. Errors of different
layers are taken as independent, so their energies add up, and with one multiplier every layer
chooses for itself:

.. math::
    \min_{\vartheta_l, \text{memory}_l} R_l + \lambda D_l .

Layers that are stateful or memoryless together choose their memory together: that of the least sum.
Every :math:`\lambda` gives the fewest operations for the error it leads to (Everett 1963). The
:math:`\lambda` of a displacement in pixels is searched by bisection on real runs of the network.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ann2sdnn.calibration.thresholds.curves import MEMORYLESS, STATEFUL, LayerCurve, Memory
from ann2sdnn.calibration.thresholds.trials import Trial
from ann2sdnn.sdnn.spec.spec import Spec

_POWER = 1.5  # displacement grows about with the error, its root mean square, to the power 4/3
_STEPS = 64  # halvings of the multiplier's range
_TOLERANCE = 0.85  # a trial that uses between this part of the budget and all of it is close enough
_CLOSEST = 1.02  # stop when the bracket [below, above] is narrower than this ratio
_NOTHING = 1e-12  # error budgets below this count as zero

ROWS: dict[Memory, tuple[int, ...]] = {
    "all": (STATEFUL,),
    "mixed": (STATEFUL, MEMORYLESS),
    "none": (MEMORYLESS,),
}
"""The rows of a curve that may be chosen."""


@dataclass(frozen=True)
class OperatingPoint:
    """A layer's place on its curve: row ``kind`` (stateful or memoryless), column ``step``."""

    kind: int
    step: int


Points = tuple[OperatingPoint, ...]


def points_at(curves: Sequence[LayerCurve], multiplier: float, memory: Memory) -> Points:
    """Each layer's cheapest point when a unit of output error costs ``multiplier`` operations."""
    points: dict[int, OperatingPoint] = {}
    for group in _groups(curves):
        costs = {
            kind: [
                curves[index].costs[kind] + multiplier * curves[index].output_error[kind]
                for index in group
            ]
            for kind in ROWS[memory]
        }
        kind = min(costs, key=lambda kind: sum(float(cost.min()) for cost in costs[kind]))
        for index, cost in zip(group, costs[kind], strict=True):
            points[index] = OperatingPoint(kind, int(cost.argmin()))
    return tuple(points[index] for index in range(len(curves)))


def _groups(curves: Sequence[LayerCurve]) -> list[list[int]]:
    """The curves, by index, whose memory is chosen together."""
    groups: dict[int, list[int]] = {}
    alone = []
    for index, curve in enumerate(curves):
        if curve.group is None:
            alone.append([index])
        else:
            groups.setdefault(curve.group, []).append(index)
    return [*alone, *groups.values()]


def points_within(curves: Sequence[LayerCurve], output_error: float, memory: Memory) -> Points:
    """The cheapest points whose predicted error energies add up to at most ``output_error``."""
    # The lower end allows any error, the upper end none.
    low, high = 1e-12, 1e18
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        if predicted_error(curves, points_at(curves, middle, memory)) > output_error:
            low = middle
        else:
            high = middle
    return points_at(curves, high, memory)


def points_at_zero(curves: Sequence[LayerCurve], memory: Memory) -> Points:
    """Thresholds of 0, which change nothing: each layer's cheaper kind."""
    points: dict[int, OperatingPoint] = {}
    for group in _groups(curves):
        kind = min(
            ROWS[memory],
            key=lambda kind: sum(float(curves[index].costs[kind, 0]) for index in group),
        )
        points.update({index: OperatingPoint(kind, 0) for index in group})
    return tuple(points[index] for index in range(len(curves)))


def predicted_error(curves: Sequence[LayerCurve], points: Points) -> float:
    """Energy per frame of the output's error that the additive model predicts."""
    return sum(float(c.output_error[p.kind, p.step]) for c, p in zip(curves, points, strict=True))


def predicted_operations(curves: Sequence[LayerCurve], points: Points) -> float:
    """Operations per frame that the curves predict."""
    return sum(float(c.operations[p.kind, p.step]) for c, p in zip(curves, points, strict=True))


def predicted_costs(curves: Sequence[LayerCurve], points: Points) -> float:
    """Operations per frame that the curves predict, and what messages are worth."""
    return sum(float(c.costs[p.kind, p.step]) for c, p in zip(curves, points, strict=True))


def with_points(spec: Spec, curves: Sequence[LayerCurve], points: Points) -> Spec:
    """``spec`` with the thresholds and memories of ``points``, the input's first.

    Layers that no other reads have a threshold of 0 where their messages cost nothing. They are
    then stateful as other outputs are or, where there are no others, unless all other layers are
    memoryless.
    """
    is_stateful = [point.kind == STATEFUL for point in points]
    read = [
        plane for plane, curve in enumerate(curves) if spec.readers[plane] or curve.message_cost > 0
    ]
    outputs = [plane for plane in spec.output_planes if plane in read]
    unread = any(is_stateful[plane] for plane in outputs or read)
    layers = [
        replace(
            layer,
            threshold=int(curves[plane].thresholds[points[plane].step]) if plane in read else 0,
            is_stateful=is_stateful[plane] if plane in read else unread,
        )
        for plane, layer in enumerate(spec.layers, start=1)
    ]
    return replace(
        spec,
        layers=tuple(layers),
        input_is_stateful=is_stateful[0],
        input_threshold=int(curves[0].thresholds[points[0].step]),
    )


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The operating points of a search, their spec, and its measurements."""

    points: Points
    spec: Spec
    trial: Trial


def search(
    curves: Sequence[LayerCurve],
    memory: Memory,
    *,
    run: Callable[[Points], SearchResult],
    used: Callable[[Trial], float],
    cost: Callable[[Trial], float],
    first_error: float,
    max_trials: int,
) -> SearchResult:
    """The trial of least ``cost`` that uses at most 1 of the budget.

    ``used``: the share of the budget that a trial uses. ``first_error``: the error energy of the
    first trial. The next trial is where the budget should be met, or halves (in logarithms) the
    interval between the largest error that kept the budget and the smallest that did not. Where no
    trial keeps the budget, the result has thresholds of 0.
    """
    best: SearchResult | None = None
    below, above, output_error = 0.0, math.inf, first_error
    known: dict[Points, float] = {}
    # Different errors often have the same points: those are not run again, the search goes on.
    for _ in range(_STEPS):
        if len(known) == max_trials or above <= below * _CLOSEST:
            break
        points = points_within(curves, output_error, memory)
        if points not in known:
            tried = run(points)
            known[points] = used(tried.trial)
            if known[points] <= 1 and (best is None or cost(tried.trial) < cost(best.trial)):
                best = tried
        share = known[points]
        if _TOLERANCE <= share <= 1 or (output_error < _NOTHING and share > 1):
            break
        if share <= 1:
            below = output_error
        else:
            above = output_error
        output_error = _next_error(output_error, share, below, above)
    return best or run(points_at_zero(curves, memory))


def _next_error(output_error: float, share: float, below: float, above: float) -> float:
    """The error energy of the next trial, between ``below`` and ``above``."""
    guess = output_error * math.pow(min(max(1 / max(share, 1e-9), 1 / 8), 8.0), _POWER)
    if math.isinf(above):
        return max(guess, 1.5 * below)
    if below == 0:
        return min(guess, above / 1.5)
    if below * 1.05 < guess < above / 1.05:
        return guess
    return math.sqrt(below * above)
