"""Range plans of networks with branches: legal, exact where they can be, right about the error."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from branched_networks import branched_graph, branched_graphs, identity_synapse
from calibration_cases import Case, measured_case, noise_frames, relative_of_outputs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import moving_frames

from ann2sdnn.calibration.rounding.rounded import (
    QuantisedNetwork,
    range_used_by_frames,
    round_nearest,
    scaled_steps,
)
from ann2sdnn.calibration.scales.exact import one_weight_per_channel
from ann2sdnn.calibration.scales.plan import LayerPlan, RangePlan, ScaleOptions, pool_gain
from ann2sdnn.calibration.scales.problem import ScaleProblem
from ann2sdnn.graph.kinds import Convolution, Dense, TransposedConvolution
from ann2sdnn.graph.layers import INPUT, Graph, Layer, Synapse, with_synapses
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.planes import separated
from ann2sdnn.sdnn.spec.grid import Grid

OPTIONS = [
    ScaleOptions(),
    ScaleOptions(relays=tuple(range(9))),
    ScaleOptions(free_shifts=True),
]
SHAPE = (1, 16, 20)
SELECTION = [[[[0.0]], [[1.0]]], [[[1.0]], [[0.0]]], [[[0.0]], [[3.0]]]]


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda n: f"{n} outputs")
def measured(request: pytest.FixtureRequest) -> Case:
    return measured_case(branched_graph(n_outputs=request.param), moving_frames(8))


@pytest.mark.parametrize("options", OPTIONS)
def test_everything_fits_and_the_error_is_the_predicted_one(
    measured: Case, options: ScaleOptions
) -> None:
    plan = measured.plan(options)
    for index, (layer, own) in enumerate(zip(measured.graph.layers, plan.layers, strict=True)):
        seen = measured.evidence.statistics.layers[index]
        assert (seen.state_peak * own.scale * 1.25 <= plan.grid.state_limit * 1.001).all()
        assert (seen.message_peak * own.sent * 1.25 <= plan.grid.message_limit * 1.001).all()
        steps = scaled_steps(layer, own, plan.arriving(measured.graph, index))
        for number, one in enumerate(steps):
            assert np.abs(one).max() <= 127.5 * own.weight_divisor(number)
    rounded = round_nearest(measured.graph, plan)
    frames = list(measured.frames)
    assert range_used_by_frames(measured.graph, plan, rounded, frames, at_rest=True) < 1
    found = QuantisedNetwork(measured.graph, plan, rounded)(measured.frames)
    error = relative_of_outputs(measured.graph, found, measured.float_output())
    assert plan.noise.relative_error / 3 < error < plan.noise.relative_error * 3


@settings(max_examples=25, deadline=None)
@given(branched_graphs(), st.booleans())
def test_the_error_of_random_networks_is_not_above_the_predicted_one(
    graph: Graph, free_shifts: bool
) -> None:
    measured = measured_case(graph, noise_frames(graph), may_be_silent=True)
    expected = measured.float_output()
    assume(all(float(one.abs().max()) > 0 for one in separated(expected, graph.output_shapes)))
    plan = measured.plan(ScaleOptions(free_shifts=free_shifts))
    found = QuantisedNetwork(graph, plan, round_nearest(graph, plan))(measured.frames)
    error = relative_of_outputs(graph, found, expected)
    assert error < 4 * plan.noise.relative_error + 1e-4
    assert_exact_synapses_are_whole(graph, plan)


def assert_exact_synapses_are_whole(graph: Graph, plan: RangePlan, fewest: float = 0.5) -> int:
    """Where weights of exact synapses are half a step or more; returns the number of weights."""
    n_whole = 0
    for index, (layer, own) in enumerate(zip(graph.layers, plan.layers, strict=True)):
        if own.tied is not None:
            steps = scaled_steps(layer, own, plan.arriving(graph, index))[own.tied]
            # Weights of the input are tied from one step on, and there is one gain for all.
            least = 1.0 if graph.reads[index][own.tied] == 0 else fewest
            whole = steps[np.abs(steps) > least + 1e-6]
            np.testing.assert_allclose(whole, np.rint(whole), rtol=1e-9)
            n_whole += whole.size
    return n_whole


@pytest.mark.parametrize("options", OPTIONS)
def test_identities_are_exact_on_the_grid(measured: Case, options: ScaleOptions) -> None:
    """``add1`` adds ``stem`` unchanged; ``joined`` reads the input with one weight per channel."""
    plan = measured.plan(options)
    assert [layer.tied for layer in plan.layers] == [*[None] * 2, 1, *[None] * 4, 2, None]
    assert assert_exact_synapses_are_whole(measured.graph, plan) >= 6
    rounded = round_nearest(measured.graph, plan)[2]
    kept = rounded.steps[1][:, 0, 0, 0] * plan.layers[0].sent / plan.layers[2].scale / 32
    np.testing.assert_allclose(kept, 1, rtol=1e-9)
    # A relay would gain an exact weight nothing.
    assert plan.layers[2].relayed == ({0} if options.relays else set())


def adding(*sources: str, factors: Sequence[float] = (1.0, 1.0)) -> Graph:
    """Two convolutions of the input, and a layer that adds what ``sources`` name, times factors."""
    rng = np.random.default_rng(1)
    full = (4, 16, 20)

    def convolved(name: str) -> Layer:
        weight = rng.standard_normal((4, 1, 3, 3)).astype(np.float32) / 2
        geometry = Convolution(pads=(1, 1, 1, 1))
        return Layer(name, geometry, weight, None, True, None, SHAPE, source=INPUT)

    synapses = []
    for source, factor in zip(sources, factors, strict=True):
        one = identity_synapse(full, source)
        synapses.append(replace(one, weight=one.weight * np.float32(factor)))
    plain = Layer("sum", synapses[0].geometry, synapses[0].weight, None, True, None, full)
    return Graph(
        SHAPE,
        (convolved("first"), convolved("second"), with_synapses(plain, synapses)),
        input_scale=1 / 255,
    )


def test_of_two_identities_the_one_that_matters_more_is_exact() -> None:
    graph = adding("first", "second", factors=(0.01, 1.0))
    measured = measured_case(graph, moving_frames(6))
    plan = measured.plan()
    assert plan.layers[2].tied == 1
    assert assert_exact_synapses_are_whole(graph, plan) == 4
    found = QuantisedNetwork(graph, plan, round_nearest(graph, plan))(measured.frames)
    error = relative_of_outputs(graph, found, measured.float_output())
    assert plan.noise.relative_error / 3 < error < plan.noise.relative_error * 3


def test_a_weight_of_less_than_half_a_step_is_no_reason_to_scale_a_layer_up() -> None:
    """Tied at one step, scales of its source, an output, would be 3 million times smaller."""
    graph = adding("first", "second")
    layer = graph.layers[2]
    factors = np.array([[1e-8, 1e-8, 1e-8, 1], [1, 1, 1, 1e-8]], np.float32)
    synapses = [
        replace(synapse, weight=own[:, None, None, None])
        for synapse, own in zip(layer.synapses, factors, strict=True)
    ]
    graph = replace(
        graph,
        layers=(*graph.layers[:2], with_synapses(layer, synapses)),
        output_names=("sum", "first", "second"),
    )
    measured = measured_case(graph, moving_frames(6))
    plan = measured.plan()
    rounded = round_nearest(graph, plan)
    assert range_used_by_frames(graph, plan, rounded, list(measured.frames)) < 1
    found = QuantisedNetwork(graph, plan, rounded)(measured.frames)
    assert relative_of_outputs(graph, found, measured.float_output()) < 0.05


@pytest.mark.parametrize(
    ("geometry", "weight", "ins", "sizes"),
    [
        # An identity, with a sign and a factor; one of its channels has no weight.
        (Convolution(groups=3), [[[[2.0]]], [[[-1.0]]], [[[0.0]]]], [0, 1], [2, 1]),
        # A selection of channels in a full matrix.
        (Convolution(), SELECTION, [1, 0, 1], [1, 1, 3]),
        # An average.
        (Convolution(groups=2), np.full((2, 1, 3, 3), 1 / 9), [0, 1], [1 / 9, 1 / 9]),
        # Nearest upsampling.
        (TransposedConvolution(stride=(2, 2), groups=2), np.ones((2, 1, 2, 2)), [0, 1], [1, 1]),
        # A kernel of different weights; two inputs per output.
        (Convolution(groups=1), [[[[1.0, 2.0]]]], None, None),
        (Convolution(), [[[[1.0]], [[1.0]]]], None, None),
        # A dense layer that selects a channel, and one that reads two.
        (Dense(), [[0.0] * 20 + [1.0] * 20], [1], [1]),
        (Dense(), [[0.0] * 19 + [1.0] * 21], None, None),
    ],
)  # fmt: skip
def test_what_counts_as_one_weight_per_channel(
    geometry: Convolution | TransposedConvolution | Dense,
    weight: object,
    ins: list[int] | None,
    sizes: list[float] | None,
) -> None:
    values = np.array(weight, np.float32)
    channels = values.shape[1] * geometry.groups if isinstance(geometry, Convolution) else 2
    found = one_weight_per_channel(Synapse(geometry, values, (channels, 4, 5)))
    if ins is None or sizes is None:
        assert found is None
        return
    assert found is not None
    assert found.ins.tolist() == ins
    np.testing.assert_allclose(found.sizes, sizes)
    read = [0, 1] if len(ins) == 2 else list(range(len(ins)))
    assert found.outs.tolist() == read


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), multiplier=st.sampled_from([0.0, 10.0]), tied=st.booleans())
def test_the_gradient_is_the_derivative(seed: int, multiplier: float, tied: bool) -> None:
    """Also through ties, whose channels follow those that they are tied to."""
    measured = measured_case(branched_graph(n_outputs=2), moving_frames(2))
    problem = ScaleProblem(measured.evidence, Grid(6), ScaleOptions(relays=(2, 7)))
    rng = np.random.default_rng(seed)
    x = problem.start() + rng.normal(0, 0.5, len(problem.start()))
    if tied:
        problem.ties.tie(x)
    _, gradient = problem.objective(x, multiplier)
    for index in (0, *rng.integers(0, len(x), 5)):
        step = np.zeros_like(x)
        step[index] = 1e-5
        up, down = np.asarray(x + step, np.float64), np.asarray(x - step, np.float64)
        rise = problem.objective(up, multiplier)[0] - problem.objective(down, multiplier)[0]
        assert rise / 2e-5 == pytest.approx(gradient[index], rel=1e-4, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(branched_graphs(all_relu=True), st.integers(0, 1000))
def test_scales_a_channel_leave_the_function_as_it_is(graph: Graph, seed: int) -> None:
    """Without rounding, any scales: every synapse has those of its source and of its layer."""
    rng = np.random.default_rng(seed)
    plans = [
        LayerPlan(own, own * pool_gain(layer))
        for layer in graph.layers
        for own in [rng.uniform(0.5, 2.0, layer.preactivation_shape[0])]
    ]
    measured = measured_case(graph, noise_frames(graph, 2), may_be_silent=True)
    plan = replace(measured.plan(), layers=tuple(plans), input_scale=1.0)
    layers = []
    for index, (layer, own) in enumerate(zip(graph.layers, plans, strict=True)):
        steps = scaled_steps(layer, own, plan.arriving(graph, index))
        gain = np.float32(pool_gain(layer))  # the average is a sum on the grid
        synapses = [
            replace(synapse, weight=(one * own.weight_step()).astype(np.float32))
            for synapse, one in zip(layer.synapses, steps, strict=True)
        ]
        assert layer.bias is not None
        scaled = replace(layer, bias=(layer.bias * own.scale * gain).astype(np.float32))
        synapses = [replace(one, weight=one.weight * gain) for one in synapses]
        layers.append(with_synapses(scaled, synapses))
    network = FloatNetwork(graph)
    x = network.encode(measured.frames)
    found = FloatNetwork(replace(graph, layers=tuple(layers)))(x)
    scale = np.concatenate(
        [
            np.repeat(plans[plane - 1].sent, int(np.prod(graph.plane_shapes[plane][1:])))
            for plane in graph.output_planes
        ]
    )
    expected = network(x).flatten(1).numpy() * scale
    np.testing.assert_allclose(found.flatten(1).numpy(), expected, rtol=1e-3, atol=1e-4)
