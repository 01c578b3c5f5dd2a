"""Range plans: legal by construction, better than their neighbours, and right about the error."""

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import Case, case, relative
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import MAX_POOL, ArrayRun, moving_frames, small_graph

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding import rounded as quantised
from ann2sdnn.calibration.rounding.rounded import (
    QuantisedNetwork,
    round_nearest,
    scaled_steps,
)
from ann2sdnn.calibration.scales.plan import LayerPlan, ScaleOptions, pool_gain
from ann2sdnn.calibration.scales.planning import plan_range, range_used_by_statistics
from ann2sdnn.calibration.scales.problem import ScaleProblem
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph, Layer, with_weight
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.support.errors import ConversionError, UsageError

AVERAGE_POOL = Pool("average", (2, 2), (2, 2))
OPTIONS = [ScaleOptions(), ScaleOptions(relays=(1, 3)), ScaleOptions(free_shifts=True)]


@pytest.fixture(scope="module", params=[MAX_POOL, AVERAGE_POOL], ids=["max", "average"])
def measured(request: pytest.FixtureRequest) -> Case:
    return case(pool=request.param, dense=request.param is MAX_POOL)


def problem_of(measured: Case, options: ScaleOptions = OPTIONS[0]) -> ScaleProblem:
    return ScaleProblem(measured.evidence, Grid(6), options)


@pytest.mark.parametrize("options", OPTIONS)
def test_everything_fits_with_the_headroom_asked_for(measured: Case, options: ScaleOptions) -> None:
    plan = measured.plan(options)
    for index, (layer, own) in enumerate(zip(measured.graph.layers, plan.layers, strict=True)):
        seen = measured.evidence.statistics.layers[index]
        assert (seen.state_peak * own.scale * 1.25 <= plan.grid.state_limit * 1.001).all()
        assert (seen.message_peak * own.sent * 1.25 <= plan.grid.message_limit * 1.001).all()
        np.testing.assert_allclose(own.sent, own.scale * pool_gain(layer) * own.send_gain)
        assert (own.shift == 6) or options.free_shifts
        (steps,) = scaled_steps(layer, own, plan.arriving(measured.graph, index))
        assert np.abs(steps).max() <= 127.5 * own.weight_divisor()
    rounded = round_nearest(measured.graph, plan)
    assert quantised.range_used_by_frames(measured.graph, plan, rounded, list(measured.frames)) < 1


@pytest.mark.parametrize("options", OPTIONS)
def test_the_rounded_network_is_off_by_what_was_foreseen(
    measured: Case, options: ScaleOptions
) -> None:
    plan = measured.plan(options)
    found = QuantisedNetwork(measured.graph, plan, round_nearest(measured.graph, plan))
    error = relative(found(measured.frames), measured.float_output())
    assert plan.noise.relative_error / 3 < error < plan.noise.relative_error * 3


def test_relays_and_shifts_are_foreseen_to_help_and_do(measured: Case) -> None:
    errors = []
    for options in (OPTIONS[0], ScaleOptions(relays=tuple(range(5)))):
        plan = measured.plan(options)
        network = QuantisedNetwork(measured.graph, plan, round_nearest(measured.graph, plan))
        errors.append(relative(network(measured.frames), measured.float_output()))
    assert errors[1] < errors[0] / 2


def test_no_neighbouring_plan_has_less_noise(measured: Case) -> None:
    problem = problem_of(measured)
    zeros = np.zeros(problem.n_layers)
    best = problem.solve(problem.start(), 1, zeros)
    least, _ = problem.objective(best, 1e5)
    tops = np.minimum(problem.state_top, problem.message_top - problem.log_pool)
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = best.copy()
        channels = slice(1, problem.first_shift)
        other[channels] += rng.normal(0, 0.1, problem.first_shift - 1)
        other[channels] = np.minimum(other[channels], tops)
        assert problem.objective(other, 1e5)[0] >= least - 1e-4


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), multiplier=st.sampled_from([0.0, 10.0]))
def test_the_gradient_is_the_derivative(seed: int, multiplier: float) -> None:
    problem = problem_of(case(n_frames=2), ScaleOptions(relays=(2,)))
    rng = np.random.default_rng(seed)
    x = problem.start() + rng.normal(0, 0.5, len(problem.start()))
    _, gradient = problem.objective(x, multiplier)
    for index in rng.integers(0, len(x), 5):
        step = np.zeros_like(x)
        step[index] = 1e-5
        up, down = np.asarray(x + step, np.float64), np.asarray(x - step, np.float64)
        rise = problem.objective(up, multiplier)[0] - problem.objective(down, multiplier)[0]
        assert rise / 2e-5 == pytest.approx(gradient[index], rel=1e-4, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), pool=st.sampled_from([MAX_POOL, AVERAGE_POOL]))
def test_scales_a_channel_leave_the_function_as_it_is(seed: int, pool: Pool) -> None:
    """Weights, biases and all, through pooling, groups, cropping and dense layers."""
    graph = small_graph(pool=pool, dense=True, seed=seed)
    rng = np.random.default_rng(seed)
    arriving, layers = np.ones(1), []
    for layer in graph.layers:
        own = rng.uniform(0.5, 2.0, layer.preactivation_shape[0])
        plan = LayerPlan(own, own)
        weight = scaled_steps(layer, plan, [arriving])[0] * plan.weight_step()
        assert layer.bias is not None
        layers.append(with_weight(layer, weight, (layer.bias * own).astype(np.float32)))
        arriving = own
    frames = moving_frames(2, seed=seed)
    before, after = FloatNetwork(graph), FloatNetwork(Graph(graph.input_shape, tuple(layers)))
    expected = before(before.encode(frames)).numpy() * arriving[:, None, None]
    found = after(before.encode(frames)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_frames_kept_apart_get_the_headroom_they_need(measured: Case) -> None:
    evidence = measured.evidence
    layers = [
        replace(one, z_max=2 * one.z_max, a_max=2 * one.a_max) for one in evidence.statistics.layers
    ]
    apart = replace(evidence.statistics, layers=tuple(layers))
    plan = plan_range(
        Evidence(evidence.graph, evidence.statistics, apart, evidence.sensitivity),
        Grid(6),
        headroom=1.25,
    )
    assert plan.headroom > 1.25
    assert range_used_by_statistics(plan, apart) <= 1
    assert range_used_by_statistics(measured.plan(), apart) > 1


def test_relays_are_placed_where_they_are_foreseen_to_help_most() -> None:
    measured = case()
    plan = plan_range(measured.evidence, Grid(6), headroom=1.25, n_relays=2)
    assert len(plan.relays) == 2
    assert plan.relay_errors[0] > plan.relay_errors[1] > plan.relay_errors[2]
    singles = [
        measured.plan(ScaleOptions(relays=(i,))).noise.relative_error
        for i in range(len(measured.graph.layers))
    ]
    assert plan.relay_errors[1] == pytest.approx(min(singles), rel=0.05)
    with pytest.raises(UsageError, match="--relays 9"):
        plan_range(measured.evidence, Grid(6), headroom=1.25, n_relays=9)


def test_headroom_below_one_and_dead_weights_are_refused() -> None:
    with pytest.raises(ConversionError, match=r"headroom 0\.9"):
        ScaleOptions(headroom=0.9)
    dead = Layer(
        "dead",
        Convolution(),
        np.zeros((1, 1, 1, 1), np.float32),
        np.ones(1, np.float32),
        True,
        None,
        (1, 6, 6),
    )
    graph = Graph((1, 6, 6), (dead,))
    frames = moving_frames(2, (1, 6, 6))
    statistics = measure(graph, [ArrayRun(frames.numpy())])
    sensitivity = measure_sensitivity(graph, list(frames))
    with pytest.raises(ConversionError, match="dead: all weights are zero"):
        ScaleProblem(Evidence(graph, statistics, None, sensitivity), Grid(6), ScaleOptions())


def test_messages_of_a_pooled_sum_fit_as_well() -> None:
    """A sum over 4 pixels is 4 times the average, so it meets the 16 bits of a message first."""
    small = np.full((1, 1, 3, 3), 1e-3, np.float32)
    pooled = Layer("pooled", Convolution(), small, None, True, AVERAGE_POOL, (1, 6, 6))
    graph, frames = Graph((1, 6, 6), (pooled,)), np.full((2, 1, 6, 6), 200, np.uint8)
    statistics = measure(graph, [ArrayRun(frames)])
    sensitivity = measure_sensitivity(graph, list(moving_frames(2, (1, 6, 6))))
    problem = ScaleProblem(Evidence(graph, statistics, None, sensitivity), Grid(6), ScaleOptions())
    plan = problem.plan(problem.solve(problem.start(), 1, np.zeros(1)))
    assert 9 * 0.2 * plan.layers[0].sent[0] * 1.25 <= Grid(6).message_limit * 1.001
    assert plan.layers[0].sent[0] == pytest.approx(4 * plan.layers[0].scale[0])
