"""Scales: legal by construction, and better than any neighbour."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import MAX_POOL, ArrayRun, moving_frames, small_graph

from ann2sdnn.calibration.rounding import round_layer, scaled_weight, weight_snr_db
from ann2sdnn.calibration.scales import _Problem, plan_scales, pool_gain
from ann2sdnn.calibration.statistics import Statistics, measure
from ann2sdnn.convert.functional import FloatNetwork, activation, linear
from ann2sdnn.convert.geometry import Convolution, Pool
from ann2sdnn.convert.graph import Graph, Layer, with_weight
from ann2sdnn.errors import ConversionError
from ann2sdnn.sdnn.spec import Grid

AVERAGE_POOL = Pool("average", (2, 2), (2, 2))


def measured(graph: Graph) -> Statistics:
    return measure(graph, [ArrayRun(moving_frames(8).numpy())])


@pytest.mark.parametrize("pool", [MAX_POOL, AVERAGE_POOL])
@pytest.mark.parametrize("spike_exp", [4, 6])
def test_everything_fits_with_the_headroom_asked_for(pool: Pool, spike_exp: int) -> None:
    graph, grid = small_graph(pool=pool), Grid(spike_exp)
    statistics = measured(graph)
    plan = plan_scales(graph, statistics, grid, headroom=1.25)
    arriving = plan.input_gain * grid.message_step / graph.input_scale
    for layer, seen, scale in zip(graph.layers, statistics.layers, plan.scales, strict=True):
        sent = scale * pool_gain(layer)
        assert seen.z_abs_max * scale * 1.25 <= grid.state_limit * 1.001
        assert seen.a_max.max() * sent * 1.25 <= grid.message_limit * 1.001
        assert np.abs(layer.weight).max() * scale / arriving <= 254 / 64 * 1.001
        arriving = sent


def test_no_neighbouring_plan_has_less_noise() -> None:
    graph, grid = small_graph(), Grid(6)
    statistics = measured(graph)
    problem = _Problem(graph, statistics, grid, 1.25)
    plan = plan_scales(graph, statistics, grid, 1.25)
    gain = np.log(problem.input_unit * plan.input_gain)
    best = np.concatenate([[gain], np.log(plan.scales)])
    least, _ = problem._noise(best)
    rng = np.random.default_rng(0)
    n_feasible = 0
    for _ in range(300):
        other = best + np.concatenate([[0], rng.normal(0, 0.1, len(plan.scales))])
        steps = other[1:] - other[:-1]
        if (other[1:] <= problem.tops).all() and (steps <= problem.log_step_top).all():
            n_feasible += 1
            assert problem._noise(other)[0] >= least - 1e-6
    assert n_feasible > 10


def test_the_gradient_is_the_derivative() -> None:
    problem = _Problem(small_graph(), measured(small_graph()), Grid(6), 1.25)
    x = np.linspace(-5, -3, problem.n_layers + 1)
    _, gradient = problem._noise(x)
    for index in range(len(x)):
        step = np.zeros_like(x)
        step[index] = 1e-5
        slope = (problem._noise(x + step)[0] - problem._noise(x - step)[0]) / 2e-5
        assert abs(slope - gradient[index]) < 1e-6


def test_headroom_below_one_and_dead_weights_are_refused() -> None:
    graph = small_graph()
    with pytest.raises(ConversionError, match=r"headroom of 0\.9"):
        plan_scales(graph, measured(graph), Grid(6), 0.9)


def test_rounding_by_hand() -> None:
    """Scale 2 over arriving 4 halves the weights: 0.5, -0.2, 1.01 -> 16, -6.4, 32.3 in 1/64."""
    weight = np.array([0.5, -0.2, 1.01], np.float32).reshape(3, 1, 1, 1)
    bias = np.array([0.1, 0.0, -1.0], np.float32)
    layer = Layer("l", Convolution(), weight, bias, True, None, (1, 2, 2))
    rounded = round_layer(layer, np.array([4.0]), np.array([2.0, 2.0, 2.0]), threshold=3)
    np.testing.assert_array_equal(rounded.weight.flatten(), [16, -6, 32])
    assert rounded.bias is not None
    np.testing.assert_array_equal(rounded.bias, [13, 0, -128])  # 0.1 * 2 * 64 = 12.8
    scaled = scaled_weight(layer, np.array([4.0]), np.full(3, 2.0))
    signal = 0.25**2 + 0.1**2 + 0.505**2
    error = (0.1 - 6 / 64) ** 2 + (0.505 - 0.5) ** 2
    assert weight_snr_db(scaled, rounded.weight) == pytest.approx(
        10 * np.log10(signal / error), abs=1e-4
    )


def test_per_channel_scales_cancel_in_the_float_network() -> None:
    """Any positive scale a channel, with groups and transposed kernels, leaves the ANN as it is."""
    graph = small_graph(bias=False, dense=True)
    # Without its ReLU the last layer is never silent.
    *first, last = graph.layers
    graph = Graph(graph.input_shape, (*first, replace(last, relu=False)))
    rng = np.random.default_rng(0)
    arriving = np.ones(1)
    layers = []
    for layer in graph.layers:
        own = rng.uniform(0.5, 2.0, layer.preactivation_shape[0])
        layers.append(with_weight(layer, scaled_weight(layer, arriving, own), None))
        arriving = own
    x = torch.rand(2, 1, 16, 20, generator=torch.Generator().manual_seed(0))
    expected = FloatNetwork(graph)(x).numpy() * arriving[:, None, None]
    found = FloatNetwork(Graph(graph.input_shape, tuple(layers)))(x).numpy()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_messages_of_a_pooled_sum_fit_as_well() -> None:
    """A sum over 4 pixels is 4 times the average, so it meets the 16 bits of a message first."""
    small = np.full((1, 1, 3, 3), 1e-3, np.float32)
    pooled = Layer("pooled", Convolution(), small, None, True, AVERAGE_POOL, (1, 6, 6))
    graph, grid = Graph((1, 6, 6), (pooled,)), Grid(6)
    statistics = measure(graph, [ArrayRun(np.full((2, 1, 6, 6), 200, np.uint8))])
    plan = plan_scales(graph, statistics, grid, headroom=1.25)
    assert 9 * 0.2 * plan.scales[0] * 4 * 1.25 == pytest.approx(grid.message_limit, rel=1e-3)
    assert plan.limited_by[0] == "message (16 bits)"


@pytest.mark.parametrize("pool", [MAX_POOL, AVERAGE_POOL])
def test_the_noise_foreseen_is_the_noise_that_rounding_makes(pool: Pool) -> None:
    """Power of a layer's pre-activation error against the equation's first term."""
    graph, grid = small_graph(pool=pool, bias=False), Grid(6)
    statistics = measured(graph)
    plan = plan_scales(graph, statistics, grid, 1.25)
    problem = _Problem(graph, statistics, grid, 1.25)
    network = FloatNetwork(graph)
    x = network.encode(moving_frames(8))
    before = plan.input_gain * problem.input_unit
    for index, layer in enumerate(graph.layers):
        scale = plan.scales[index]
        arriving = before * problem.pool_gain[index]
        spec_layer = round_layer(
            layer,
            np.full(layer.input_shape[0], arriving),
            np.full(layer.preactivation_shape[0], scale),
            threshold=0,
        )
        error = spec_layer.weight / 64 * arriving / scale - layer.weight
        z_error = linear(layer.geometry, x, torch.from_numpy(error.astype(np.float32)))
        measured_noise = float(z_error.square().mean()) / statistics.layers[index].z_power
        foreseen = problem.weight_noise[index] * (before / scale) ** 2
        assert measured_noise == pytest.approx(foreseen, rel=0.9)
        before = scale
        x = activation(layer, network.preactivation(index, x))
