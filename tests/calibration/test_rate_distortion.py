"""The choice of thresholds: optimal on small made-up curves, and within its budget."""

import itertools
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import ArrayRun, moving_frames, random_spec, small_graph

from ann2sdnn.calibration.thresholds.budget import search_budget
from ann2sdnn.calibration.thresholds.curves import MEMORYLESS, STATEFUL, LayerCurve, Memory
from ann2sdnn.calibration.thresholds.deviation import Budget, Deviation
from ann2sdnn.calibration.thresholds.measure_curves import measure_curves
from ann2sdnn.calibration.thresholds.rate_distortion import (
    ROWS,
    OperatingPoint,
    Points,
    SearchResult,
    points_at,
    points_at_zero,
    points_within,
    predicted_error,
    predicted_operations,
    search,
    with_points,
)
from ann2sdnn.calibration.thresholds.trials import Trial, TrialBench
from ann2sdnn.data.pose.capped import Displacement

MEMORIES = st.sampled_from(get_args(Memory))
N_CURVES = len(random_spec().layers)


def made_up_curves(seed: int, n_curves: int = N_CURVES, n_steps: int = 3) -> list[LayerCurve]:
    """Operations fall and error grows along the ladder; the memoryless kind has its own numbers."""
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(n_curves):
        operations = -np.sort(-rng.random((2, n_steps)), axis=1)
        output_error = np.sort(rng.random((2, n_steps)), axis=1)
        output_error[:, 0] = 0
        thresholds = np.arange(n_steps, dtype=np.int64) * 2
        curves.append(LayerCurve(thresholds, operations, operations, output_error, output_error))
    return curves


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    multiplier=st.floats(0.01, 10),
    memory=MEMORIES,
)
def test_no_other_choice_is_better(seed: int, multiplier: float, memory: Memory) -> None:
    """Every combination tried: none has both fewer operations and no more error."""
    curves = made_up_curves(seed, n_curves=3)
    chosen = points_at(curves, multiplier, memory)
    places = [OperatingPoint(kind, step) for kind in ROWS[memory] for step in range(3)]
    output_error, operations = predicted_error(curves, chosen), predicted_operations(curves, chosen)
    for other in itertools.product(places, repeat=3):
        if predicted_error(curves, other) <= output_error:
            assert predicted_operations(curves, other) >= operations - 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), output_error=st.floats(0, 6))
def test_an_error_budget_is_kept_and_freedom_never_costs(seed: int, output_error: float) -> None:
    curves = made_up_curves(seed)
    free = points_within(curves, output_error, "mixed")
    assert predicted_error(curves, free) <= output_error
    # At the multiplier of the mixed choice, neither restriction can do better.
    memories: tuple[Memory, ...] = ("all", "none")
    for memory in memories:
        for multiplier in (0.1, 1.0, 10.0):
            costs = [
                predicted_operations(curves, points) + multiplier * predicted_error(curves, points)
                for points in (
                    points_at(curves, multiplier, "mixed"),
                    points_at(curves, multiplier, memory),
                )
            ]
            assert costs[0] <= costs[1] + 1e-9


def test_a_message_is_worth_operations() -> None:
    """Thresholds 0 and 2 cause 100 or 90 operations in 10 or 4 messages; the error is 1 more."""
    events, operations, error = (
        np.array([pair] * 2, np.float64) for pair in ((10, 4), (100, 90), (0, 1))
    )
    curve = LayerCurve(np.array([0, 2]), events, operations, error, error)
    np.testing.assert_allclose(replace(curve, message_cost=5).costs[STATEFUL], [150, 110])
    for message_cost, step in ((0, 0), (1, 0), (1.7, 1)):  # 10 + 6 times the cost against 20
        priced = replace(curve, message_cost=message_cost)
        assert points_at([priced], 20, "all")[0].step == step


def test_an_output_has_a_threshold_where_messages_cost_something() -> None:
    spec, frames = random_spec(), ArrayRun(moving_frames(6).numpy())
    free, priced = (measure_curves(spec, [frames], message_cost=cost) for cost in (0, 3))
    assert (len(free), len(priced)) == (N_CURVES, N_CURVES + 1)
    for one, other in zip(free, priced, strict=False):
        np.testing.assert_array_equal(one.operations, other.operations)
        np.testing.assert_array_equal(other.costs, other.operations + 3 * other.events)
    last = priced[-1]
    assert not last.operations.any()
    assert (np.diff(last.events[STATEFUL]) <= 0).all()
    points = (*points_at_zero(free, "all"), OperatingPoint(STATEFUL, 2))
    assert with_points(spec, priced, points).layers[-1].threshold == last.thresholds[2] > 0
    # The error of an output is measured as it is: decoded with the output's scale.
    measured = last.error[STATEFUL] > 0
    scale = np.unique(spec.output_scale)
    assert scale.size == 1
    np.testing.assert_allclose(
        last.output_error[STATEFUL][measured],
        last.error[STATEFUL][measured] / scale[0] ** 2,
        rtol=1e-5,
    )


def test_messages_are_fewer_where_they_cost_something() -> None:
    run = ArrayRun(moving_frames(12).numpy())
    spec, graph = random_spec(threshold=0), small_graph()
    totals = []
    for cost in (0, 10_000):
        found = search_budget(
            graph, spec, [run], budget=Budget("error", 0.2), memory="all", message_cost=cost
        )
        assert found.stateful.trial.added.error <= 0.2
        totals.append(float(found.stateful.trial.events.sum()))
    assert totals[1] < totals[0]


def test_points_become_thresholds_and_memories() -> None:
    spec = random_spec(threshold=5)
    points = (
        OperatingPoint(MEMORYLESS, 0),
        *[OperatingPoint(STATEFUL, 2)] * 3,
        OperatingPoint(MEMORYLESS, 1),
    )
    changed = with_points(spec, made_up_curves(0), points)
    assert [layer.threshold for layer in changed.layers] == [4, 4, 4, 2, 0]
    assert changed.memoryless_layers == ("input", spec.layers[3].name)


@dataclass
class MadeUpBench:
    """A network whose displacement is 10 times the root of the predicted error, and jumps."""

    curves: list[LayerCurve]
    n_runs: int = 0

    def run(self, points: Points) -> SearchResult:
        self.n_runs += 1
        px = 10 * float(np.sqrt(predicted_error(self.curves, points)))
        return result_of(points, self.curves, px)


def result_of(points: Points, curves: list[LayerCurve], px: float) -> SearchResult:
    operations = np.array([predicted_operations(curves, points)])
    added = Deviation(0.0, None, Displacement(px, None, px, 0.0, n_joints=1))
    trial = Trial(operations, operations, added, added, n_frames=1)
    return SearchResult(points, with_points(random_spec(), curves, points), trial)


@pytest.mark.parametrize("budget_px", [2.0, 6.0, 12.0])
@pytest.mark.parametrize("first_error", [1e-4, 0.3, 50.0])
def test_the_search_keeps_the_budget_and_spends_most_of_it(
    budget_px: float, first_error: float
) -> None:
    curves = made_up_curves(3)
    for curve in curves[:1]:  # the input has no threshold
        curve.output_error[:, 1:] = 1e9
    bench = MadeUpBench(curves)
    found = search(
        curves,
        "all",
        run=bench.run,
        used=lambda trial: trial.added.used(Budget("px", budget_px)),
        cost=lambda trial: trial.total_operations,
        first_error=first_error,
        max_trials=12,
    )
    assert bench.n_runs <= 13
    assert found.trial.added.measured("px") <= budget_px
    best = points_within(curves, (budget_px / 10) ** 2, "all")
    assert found.trial.total_operations <= predicted_operations(curves, best) * 1.2


def test_without_any_trial_in_budget_thresholds_are_zero() -> None:
    curves = made_up_curves(3)
    found = search(
        curves,
        "all",
        run=MadeUpBench(curves).run,
        used=lambda trial: trial.added.measured("px") + 100.0,
        cost=lambda trial: trial.total_operations,
        first_error=1.0,
        max_trials=4,
    )
    assert {layer.threshold for layer in found.spec.layers} == {0}


def unmeasured(curve: LayerCurve, how: float) -> LayerCurve:
    """``curve`` of which no probe saw what its errors do: ``how`` old and new curves say it."""
    return LayerCurve(
        curve.thresholds,
        curve.events,
        curve.operations,
        curve.error,
        np.where(curve.error > 0, how, 0.0),
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    which=st.sets(st.integers(0, N_CURVES - 1), min_size=1),
    how=st.sampled_from([0.0, np.inf]),
    output_error=st.floats(0, 1e6),
    memory=MEMORIES,
)
def test_nothing_is_kept_back_whose_effect_is_not_known(
    seed: int, which: set[int], how: float, output_error: float, memory: Memory
) -> None:
    curves = made_up_curves(seed)
    unknown = [unmeasured(c, how) if i in which else c for i, c in enumerate(curves)]
    for points in (
        points_within(unknown, output_error, memory),
        points_at(unknown, 1e-9, memory),
        points_at_zero(unknown, memory),
    ):
        assert {points[index].step for index in which} == {0}
        assert np.isfinite(predicted_error(unknown, points))
    for index, curve in enumerate(unknown):
        assert curve.unmeasured(ROWS[memory]) == (index in which)


@pytest.mark.parametrize("budget_px", [0.1, 5.0])
def test_a_search_among_unmeasured_layers_leaves_them_at_zero(budget_px: float) -> None:
    """Their thresholds would move joints by 9 px, which only a run shows."""
    curves = [unmeasured(curve, 0.0) for curve in made_up_curves(3)]

    def run(points: Points) -> SearchResult:
        return result_of(points, curves, 9.0 if any(point.step for point in points) else 0.0)

    found = search(
        curves,
        "all",
        run=run,
        used=lambda trial: trial.added.used(Budget("px", budget_px)),
        cost=lambda trial: trial.total_operations,
        first_error=0.3,
        max_trials=5,
    )
    assert {layer.threshold for layer in found.spec.layers} == {0}
    assert found.trial.added.measured("px") == 0


def test_a_dead_layer_is_not_called_unmeasured() -> None:
    zeros = np.zeros((2, 3))
    curve = LayerCurve(np.arange(3), zeros, zeros, zeros, zeros)
    assert not curve.unmeasured(ROWS["all"])
    assert points_at([curve], 1.0, "mixed")[0].step == 0


def test_what_is_the_same_adds_no_error() -> None:
    """The maps to compare with are held in half precision, which is no error of a trial's."""
    spec = random_spec()
    bench = TrialBench(small_graph(), spec, [ArrayRun(moving_frames(5).numpy())])
    assert bench.run(spec).added.error == bench.base.added.error == 0
    layers = tuple(replace(layer, threshold=40) for layer in spec.layers)
    assert bench.run(replace(spec, layers=layers)).added.error > 0.001
