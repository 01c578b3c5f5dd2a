"""Rounding of networks with branches: synapses of a layer together, and the network it makes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs
from calibration_cases import Case, measured_case, noise_frames, relative_of_outputs
from hypothesis import given, settings
from networks import ArrayRun, moving_frames
from numpy.typing import NDArray

from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.block import Block
from ann2sdnn.calibration.rounding.memory import blocks, most_held, rounding_frames, too_wide
from ann2sdnn.calibration.rounding.on_grid import find_on_grid
from ann2sdnn.calibration.rounding.rounded import (
    QuantisedNetwork,
    range_used_by_frames,
    round_nearest,
    scaled_steps,
    step_limits,
)
from ann2sdnn.calibration.rounding.sequential import round_sequentially
from ann2sdnn.calibration.scales.plan import LayerPlan, ScaleOptions
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Dense
from ann2sdnn.graph.layers import INPUT, Graph, Layer, Synapse, with_synapses
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import Grid


@pytest.fixture(scope="module", params=[1, 3], ids=lambda n: f"{n} outputs")
def measured(request: pytest.FixtureRequest) -> Case:
    return measured_case(branched_graph(n_outputs=request.param), moving_frames(12))


@pytest.mark.parametrize("relays", [(), (2, 3, 7)])
def test_compensated_rounding_comes_closer_than_the_nearest(
    measured: Case, relays: tuple[int, ...]
) -> None:
    graph = measured.graph
    plan = measured.plan(ScaleOptions(relays=relays))
    rounded, left = round_sequentially(graph, plan, list(measured.frames))
    errors = [
        relative_of_outputs(
            graph, QuantisedNetwork(graph, plan, each)(measured.frames), measured.float_output()
        )
        for each in (rounded, round_nearest(graph, plan))
    ]
    assert errors[0] < 0.9 * errors[1]
    assert all(share < 1.1 for share in left)  # of 12 weights in the last layer
    for layer in rounded:
        for number, steps in enumerate(layer.steps):
            low, high = step_limits(layer.layer, layer.plan, number)
            assert low <= steps.min() <= steps.max() <= high


def test_exact_weights_are_not_rounded_otherwise(measured: Case) -> None:
    plan = measured.plan()
    rounded, _ = round_sequentially(measured.graph, plan, list(measured.frames[:3]))
    nearest = round_nearest(measured.graph, plan)
    for one, other in zip(rounded, nearest, strict=True):
        tied = one.plan.tied
        if tied is not None:
            np.testing.assert_array_equal(one.steps[tied], other.steps[tied])


def copied(shape: Shape) -> Layer:
    """``first``, which sends its input on."""
    ones = np.ones((shape[0], 1, 1, 1), np.float32)
    return Layer("first", Convolution(groups=shape[0]), ones, None, True, None, shape)


def reading_both(geometry: Convolution | Dense, weight: NDArray[np.float32], shape: Shape) -> Layer:
    """``both``, which reads ``first`` and the input, with the same weight."""
    synapses = [Synapse(geometry, weight, shape, source) for source in ("first", INPUT)]
    return with_synapses(Layer("both", geometry, weight, None, True, None, shape), synapses)


def test_synapses_that_read_the_same_share_their_errors() -> None:
    """0.4 + 0.4 + 0.4 + 0.4 steps of the same values, over two synapses: their sum is 2, not 0."""
    shape, kernel = (2, 12, 12), np.full((1, 2, 1, 1), 0.4, np.float32)
    layers = (copied(shape), reading_both(Convolution(), kernel, shape))
    graph = Graph(shape, layers, input_scale=1 / 255)
    frames = moving_frames(3, (1, 12, 12)).repeat(1, 2, 1, 1)
    plan = measured_case(graph, frames).plan()
    # One step is 1.0 of the network, and both planes hold the same.
    same, step = np.full(2, plan.input_scale), 1 / 32
    plans = (LayerPlan(same, same), LayerPlan(same[:1] * step, same[:1] * step))
    plan = replace(plan, layers=plans)
    rounded, _ = round_sequentially(graph, plan, list(frames))
    assert [steps.shape for steps in rounded[1].steps] == [(1, 2, 1, 1)] * 2
    assert sum(int(steps.sum()) for steps in rounded[1].steps) in (1, 2)
    assert all(int(steps.sum()) == 0 for steps in round_nearest(graph, plan)[1].steps)


def test_a_block_is_all_synapses_without_groups() -> None:
    graph = branched_graph()
    free = LayerPlan(np.ones(1), np.ones(1))
    assert blocks(graph.layers[3], free) == ((0, 1),)
    # The identity of add1 has groups; where it is exact, it is left out.
    assert blocks(graph.layers[2], free) == ((0,), (1,))
    assert blocks(graph.layers[2], replace(free, tied=1)) == ((0,),)
    assert blocks(graph.layers[7], replace(free, tied=2)) == ((0, 1),)


def test_a_block_of_several_synapses_has_the_inputs_of_all(measured: Case) -> None:
    """Rows times patches are the pre-activation, in the largest of the weight steps."""
    graph = measured.graph
    plan = measured.plan(ScaleOptions(relays=(7,)))
    rounded = round_nearest(graph, plan)[7]
    plan_of_layer = replace(rounded.plan, relayed=frozenset({0}))
    steps = (*scaled_steps(rounded.layer, plan_of_layer, rounded.arriving),)
    whole = tuple(np.rint(one).astype(np.int64) for one in steps)
    block = Block(replace(rounded, plan=plan_of_layer, steps=whole), (0, 1, 2))
    assert block.step == plan_of_layer.weight_step(1)
    assert set(block.limits[0].tolist()) == {-128 * 32, -128}
    inputs = [torch.rand(1, *synapse.input_shape) for synapse in rounded.layer.synapses]
    found = block.steps[0] @ block.patches(inputs, 1, (0, 0))[0].double() * block.step
    network = QuantisedNetwork(graph, plan, [*round_nearest(graph, plan)[:7], block.rounded])
    expected = network.state(7, inputs)[0].flatten(1)
    torch.testing.assert_close(found.float(), expected, rtol=1e-4, atol=1e-4)
    again = block.with_steps(block.steps)
    for one, other in zip(again.steps, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_memory_is_that_of_what_is_still_read() -> None:
    graph = branched_graph()
    pixels = 16 * 20
    # At ``joined``: the input, add1 and up are read, and 4 channels are computed.
    assert most_held(graph) == max(
        (1 + 6 + 5 + 4) * pixels,
        (1 + 6 + 6 + 6) * pixels,  # at add1: the input, stem, block1
    )
    assert rounding_frames(graph, 64) == 64


def test_synapses_too_wide_together_are_rounded_apart() -> None:
    """Each of 6,000 inputs fits 4 GB of moments; 12,000 do not."""
    shape = (6, 1000, 1)
    weight = np.zeros((1, 6000), np.float32)
    weight[0, :2] = 1
    layer = reading_both(Dense(), weight, shape)
    graph = Graph(shape, (copied(shape), layer))
    free = LayerPlan(np.ones(1), np.ones(1))
    assert blocks(layer, free) == ((0,), (1,))
    assert blocks(layer, replace(free, tied=1)) == ((0,),)
    measured = measured_case(graph, noise_frames(graph, 2))
    assert too_wide(graph, measured.plan()) == ()


@settings(max_examples=30, deadline=None)
@given(branched_graphs())
def test_the_spec_computes_what_was_rounded(graph: Graph) -> None:
    """With thresholds of 0, frame after frame, and the counts say that nothing wrapped."""
    measured = measured_case(graph, noise_frames(graph, 3), may_be_silent=True)
    plan = measured.plan()
    rounded = round_nearest(graph, plan)
    spec = spec_from(graph, plan, rounded, "0" * 64)
    assert spec.output_names == graph.output_names
    run = Reference(spec).run(measured.frames)
    assert int(run.overflows.sum()) == int(run.oversized.sum()) == 0
    expected = QuantisedNetwork(graph, plan, rounded)(measured.frames)
    torch.testing.assert_close(run.outputs, expected, rtol=1e-6, atol=1e-6)


def test_the_mean_is_corrected_in_every_layer_that_reads_the_input() -> None:
    """A mean between two message units is off by the same everywhere; biases make up for it."""
    graph = replace(branched_graph(), preprocessing=Preprocessing(mean=(0.31234,)))
    measured = measured_case(graph, moving_frames(6))
    plan = measured.plan(ScaleOptions(relays=tuple(range(9))))
    coarse = replace(plan, input_offset=(plan.input_offset[0] + 3,))
    errors = [
        relative_of_outputs(
            graph,
            QuantisedNetwork(graph, own, round_nearest(graph, own))(measured.frames),
            measured.float_output(),
        )
        for own in (plan, coarse)
    ]
    assert errors[1] < 2 * errors[0] + 0.02
    biases = [round_nearest(graph, own) for own in (plan, coarse)]
    changed = [
        not np.array_equal(one.bias, other.bias)
        for one, other in zip(*biases, strict=True)
        if one.bias is not None and other.bias is not None
    ]
    assert changed == [name in ("stem", "joined") for name in (x.name for x in graph.layers)]


def test_weights_on_the_grid_are_kept() -> None:
    """Multiples of 1/32 in every synapse, identities among them; two outputs of their own."""
    graph = branched_graph(n_outputs=2)
    layers = []
    for layer in graph.layers:
        synapses = [
            replace(one, weight=np.rint(one.weight * 32).clip(-100, 100).astype(np.float32) / 32)
            for one in layer.synapses
        ]
        assert layer.bias is not None
        bias = np.rint(layer.bias * 64).astype(np.float32) / 64
        layers.append(replace(with_synapses(layer, synapses), bias=bias))
    graph = replace(graph, layers=tuple(layers), input_scale=2.0**-8)
    frames = moving_frames(6)
    runs = [ArrayRun(frames.numpy())]
    evidence = Evidence(
        graph, measure(graph, runs), None, measure_sensitivity(graph, list(frames), probes=2)
    )
    found = find_on_grid(evidence, Grid(6))
    assert found is not None
    assert found.plan.noise.weight.sum() == 0
    for layer, rounded in zip(graph.layers[:-1], found.rounded, strict=False):
        for synapse, steps in zip(layer.synapses, rounded.steps, strict=True):
            np.testing.assert_array_equal(steps / 32, synapse.weight)
    network = QuantisedNetwork(graph, found.plan, found.rounded)
    error = relative_of_outputs(graph, network(frames), measured_case(graph, frames).float_output())
    assert error < 0.01
    assert range_used_by_frames(graph, found.plan, found.rounded, list(frames)) < 1
