"""Networks that are on the grid already: known by their numbers, and kept to the last bit."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import ArrayRun, moving_frames, small_graph

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.on_grid import OnGrid, find_on_grid
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.graph.layers import Graph, output_channel_view
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.grid import Grid

FRAMES = moving_frames(6)
GAIN = 5


def on_grid(*, bias: bool = True, pool: Pool | None = None, divisors: int = 2) -> Graph:
    """``small_graph`` with weights in 1/32 and biases in 1/64, its last channels over 2, 4, ..."""
    graph = small_graph(bias=bias) if pool is None else small_graph(bias=bias, pool=pool)
    layers = [
        replace(
            layer,
            weight=(np.rint(layer.weight * 32) / 32).astype(np.float32),
            bias=None if layer.bias is None else (np.rint(layer.bias * 4) / 64).astype(np.float32),
        )
        for layer in graph.layers
    ]
    last = layers[-1]
    powers = 2.0 ** -(np.arange(last.preactivation_shape[0]) % divisors + 1)
    weight = (last.weight * output_channel_view(last, powers)).astype(np.float32)
    bias_values = None if last.bias is None else (last.bias * powers).astype(np.float32)
    layers[-1] = replace(last, weight=weight, bias=bias_values)
    return replace(graph, layers=tuple(layers), input_scale=GAIN * 2.0**-12)


def evidence(graph: Graph) -> Evidence:
    statistics = measure(graph, [ArrayRun(FRAMES.numpy())])
    return Evidence(graph, statistics, None, measure_sensitivity(graph, list(FRAMES)))


@cache
def measured() -> Evidence:
    return evidence(on_grid())


@cache
def unbiased() -> Evidence:
    return evidence(on_grid(bias=False))


def found(graph: Graph) -> OnGrid:
    result = find_on_grid(evidence(graph), Grid())
    assert result is not None
    return result


@pytest.mark.parametrize("bias", [True, False])
def test_weights_and_biases_stay_as_they_are(bias: bool) -> None:
    graph = on_grid(bias=bias)
    result = found(graph)
    assert result.plan.input_gain == GAIN
    for one, layer in zip(result.rounded[:-1], graph.layers[:-1], strict=True):
        np.testing.assert_array_equal(one.steps[0] / 32, layer.weight)
        if layer.bias is not None:
            assert one.bias is not None
            np.testing.assert_array_equal(one.bias / 64, layer.bias)
    last, layer = result.rounded[-1], graph.layers[-1]
    scale = output_channel_view(layer, last.plan.scale)
    np.testing.assert_array_equal(last.steps[0] / 32, layer.weight * scale)
    exponents = np.log2(last.plan.scale)
    np.testing.assert_array_equal(exponents, np.rint(exponents))


@pytest.mark.parametrize("pool", [None, Pool("average", (2, 2), (2, 2))])
def test_flooring_messages_is_all_that_is_left(pool: Pool | None) -> None:
    graph = on_grid(pool=pool)
    if pool is not None:
        # The sum of four stands for the average, so what reads it needs whole quarters.
        second = graph.layers[1]
        layers = (graph.layers[0], replace(second, weight=second.weight * 4), *graph.layers[2:])
        graph = replace(graph, layers=layers)
    result = found(graph)
    assert not result.plan.noise.weight.any()
    assert 0 < result.plan.noise.relative_error < 0.02
    spec = spec_from(graph, result.plan, result.rounded, "0" * 64)
    outputs = Engine(spec).run(FRAMES).outputs
    network = FloatNetwork(graph)
    wanted = network(network.encode(FRAMES))
    error = float((outputs - wanted).norm() / wanted.norm())
    assert 0 < error < 0.02


@settings(max_examples=25, deadline=None)
@given(
    layer=st.integers(0, 4),
    place=st.floats(0, 1, exclude_max=True),
    factor=st.sampled_from([1 + 2.0**-20, 1 - 2.0**-15]),
)
def test_one_weight_beside_the_grid_and_it_is_another_network(
    layer: int, place: float, factor: float
) -> None:
    graph = measured().graph
    weight = graph.layers[layer].weight.copy()
    candidates = np.flatnonzero(weight)
    weight.flat[candidates[int(place * len(candidates))]] *= np.float32(factor)
    layers = list(graph.layers)
    layers[layer] = replace(layers[layer], weight=weight)
    changed = replace(graph, layers=tuple(layers))
    assert find_on_grid(replace(measured(), graph=changed), Grid()) is None


@pytest.mark.parametrize("input_scale", [0.3, 1 / 255, 129 * 2.0**-12], ids=str)
def test_a_pixel_must_be_a_whole_number_of_message_units(input_scale: float) -> None:
    graph = replace(measured().graph, input_scale=input_scale)
    assert find_on_grid(replace(measured(), graph=graph), Grid()) is None


@pytest.mark.parametrize("spike_exp", [0, 3, 8])
def test_every_spike_exp_gives_the_same_integers(spike_exp: int) -> None:
    usual = find_on_grid(unbiased(), Grid(6))
    other = find_on_grid(unbiased(), Grid(spike_exp))
    assert usual is not None
    assert other is not None
    assert other.plan.input_gain == usual.plan.input_gain
    assert other.range_used == pytest.approx(usual.range_used)
    assert other.plan.noise.relative_error == pytest.approx(usual.plan.noise.relative_error)
    graph = unbiased().graph
    for one, two in zip(usual.rounded, other.rounded, strict=True):
        np.testing.assert_array_equal(one.steps[0], two.steps[0])
        np.testing.assert_array_equal(two.plan.scale, one.plan.scale * 2.0 ** (6 - spike_exp))
    runs = [
        Engine(spec_from(graph, own.plan, own.rounded, "0" * 64)).run(FRAMES)
        for own in (usual, other)
    ]
    np.testing.assert_array_equal(runs[0].events, runs[1].events)
    np.testing.assert_array_equal(runs[0].outputs, runs[1].outputs)


def test_biases_must_be_whole_in_the_units_of_the_grid() -> None:
    # In coarser units of activations, biases of 1/64 are finer than the grid's.
    assert find_on_grid(measured(), Grid(0)) is not None
    assert find_on_grid(measured(), Grid(8)) is None


def test_half_a_message_unit_per_pixel_needs_units_half_as_large() -> None:
    graph = replace(unbiased().graph, input_scale=5.5 * 2.0**-12)
    result = find_on_grid(replace(unbiased(), graph=graph), Grid(6))
    assert result is not None
    assert result.plan.input_gain == 11
    assert result.plan.input_scale == 2
    np.testing.assert_array_equal(result.rounded[0].steps[0] / 32, graph.layers[0].weight)


def test_a_weight_over_the_largest_one_is_not_on_the_grid() -> None:
    graph = measured().graph
    weight = graph.layers[1].weight.copy()
    weight.flat[0] = 4.0
    layers = (graph.layers[0], replace(graph.layers[1], weight=weight), *graph.layers[2:])
    changed = replace(measured(), graph=replace(graph, layers=layers))
    assert find_on_grid(changed, Grid()) is None


def test_a_network_that_leaves_the_range_is_objected_to() -> None:
    assert found(on_grid()).objection is None
    louder = on_grid(bias=False)
    first = louder.layers[0]
    layers = (replace(first, weight=np.full_like(first.weight, 3.0)), *louder.layers[1:])
    result = found(replace(louder, layers=layers, input_scale=128 * 2.0**-12))
    assert result.objection is not None
    assert "of the range" in result.objection


def test_a_network_too_quiet_for_messages_is_objected_to() -> None:
    graph = on_grid(bias=False)
    quiet = replace(graph, input_scale=2.0**-12)
    first = quiet.layers[0]
    weight = (np.sign(first.weight) / 32).astype(np.float32)
    quiet = replace(quiet, layers=(replace(first, weight=weight), *quiet.layers[1:]))
    result = found(quiet)
    assert result.objection is not None
    assert "flooring its messages" in result.objection
