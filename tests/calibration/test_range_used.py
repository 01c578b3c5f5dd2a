"""What is called a used range is what the integers reach: the state has no bias in it."""

import numpy as np
import pytest
import torch
from networks import moving_frames, small_graph

from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised
from ann2sdnn.calibration.rounding.rounded import range_used_by_frames, round_nearest
from ann2sdnn.calibration.scales.plan import LayerPlan, PlannedNoise, RangePlan
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.reference.reference import Reach, Reference
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX, STATE_MAX, Grid
from ann2sdnn.sdnn.spec.network import network_from_spec

PIXEL = torch.full((1, 1, 1), 255, dtype=torch.uint8)


def one_weight(weight: float, bias: float | None) -> tuple[Graph, RangePlan]:
    """One weight and one bias; a pixel of 255 arrives as 7.97."""
    layer = Layer(
        "only",
        Convolution(),
        np.full((1, 1, 1, 1), weight, np.float32),
        None if bias is None else np.array([bias], np.float32),
        True,
        None,
        (1, 1, 1),
    )
    return Graph((1, 1, 1), (layer,), 128 / 4096), unit_plan(Graph((1, 1, 1), (layer,)), 128)


def unit_plan(graph: Graph, gain: int) -> RangePlan:
    """Every scale is 1."""
    ones = [np.ones(layer.preactivation_shape[0]) for layer in graph.layers]
    layers = tuple(LayerPlan(scale=one, sent=one) for one in ones)
    noise = PlannedNoise(*np.zeros((2, len(layers))))
    return RangePlan(gain, 1.0, Grid(), layers, noise, 1.0)


def used_by_integers(graph: Graph, plan: RangePlan, frames: list[torch.Tensor]) -> float:
    rounded = round_nearest(graph, plan)
    reference = Reference(spec_from(graph, plan, rounded, ""))
    for frame in frames:
        reference.reset()
        reference.run(frame[None])
    return max(share_used(layer.reach) for layer in reference.layers)


def share_used(reach: Reach) -> float:
    """The largest share of the 24 bits of a state or of the 16 bits of a message."""
    states = max(reach.sum, reach.state, reach.preactivation)
    return max(states / (STATE_MAX + 1), reach.message / MESSAGE_MAX)


def test_a_bias_does_not_hide_how_full_a_state_is() -> None:
    """3.90625 * 7.96875 = 31.13 of 32 are used, although the activation is 1.13 of 8."""
    graph, plan = one_weight(3.9, -30.0)
    rounded = round_nearest(graph, plan)
    used = range_used_by_frames(graph, plan, rounded, [PIXEL])
    assert used == pytest.approx(3.90625 * 7.96875 / 32, abs=1e-6)
    assert used == pytest.approx(used_by_integers(graph, plan, [PIXEL]), abs=1e-6)


@pytest.mark.parametrize("bias", [None, -30.0, 3.0])
def test_the_hinge_of_learning_sees_the_same(bias: float | None) -> None:
    """Begins at 32 / 1.1 = 29.1, for the state and for its sum with the bias alike."""
    graph, plan = one_weight(3.9, bias)
    network = FakeQuantised(graph, plan, round_nearest(graph, plan), near_limit=1.1)
    _, over = network(PIXEL[None])
    expected = (31.1279 / (32 / 1.1) - 1) ** 2
    activation = 31.1279 + (bias or 0.0)
    if bias is not None and activation > 32 / 1.1:
        expected += (activation / (32 / 1.1) - 1) ** 2
    expected += max(activation / (8 / 1.1) - 1, 0) ** 2
    assert float(over) == pytest.approx(expected, rel=1e-3)


@pytest.mark.lava
def test_the_hinge_of_fine_tuning_sees_the_same() -> None:
    from ann2sdnn.sdnn.training.neuron import TrainingNeuron, excess_of

    graph, plan = one_weight(3.9, -30.0)
    spec = spec_from(graph, plan, round_nearest(graph, plan), "")
    network = network_from_spec(spec)
    neuron = TrainingNeuron(network.layers[0], spec.grid, None)
    neuron.delta.fan_out = torch.zeros(1, 1, 1)
    neuron(torch.full((1, 1, 1, 1, 1), 31.1279))
    assert float(excess_of(neuron.near)) == pytest.approx((31.1279 / (32 / 1.1) - 1) ** 2, rel=1e-3)


@pytest.mark.parametrize("pool", [Pool("max", (2, 2), (2, 2)), Pool("average", (2, 2), (2, 2))])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_what_the_integers_reach(pool: Pool, bias: bool) -> None:
    graph = small_graph(pool=pool, bias=bias, dense=True)
    plan = unit_plan(graph, 16)
    frames = list(moving_frames(4))
    found = range_used_by_frames(graph, plan, round_nearest(graph, plan), frames)
    assert found == pytest.approx(used_by_integers(graph, plan, frames), rel=1e-4)
