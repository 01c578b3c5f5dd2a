"""Fake quantisation and distillation of networks with branches."""

import pytest
import torch
from branched_networks import branched_graph, branched_graphs
from calibration_cases import Case, measured_case, noise_frames, relative_of_outputs
from hypothesis import given, settings
from networks import moving_frames
from torch import Tensor

from ann2sdnn.calibration.learning.distil import distil, relative_error
from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised
from ann2sdnn.calibration.learning.options import DistilOptions, Variety
from ann2sdnn.calibration.learning.windows import windows_of
from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, round_nearest
from ann2sdnn.calibration.scales.plan import ScaleOptions
from ann2sdnn.graph.layers import Graph


@pytest.fixture(scope="module")
def measured() -> Case:
    return measured_case(branched_graph(n_outputs=2), moving_frames(8))


@settings(max_examples=15, deadline=None)
@given(branched_graphs())
def test_it_answers_as_the_network_on_the_grid_does(graph: Graph) -> None:
    measured = measured_case(graph, noise_frames(graph, 2), may_be_silent=True)
    plan = measured.plan(ScaleOptions(headroom=2, relays=(1,)))
    network = FakeQuantised(graph, plan, round_nearest(graph, plan), near_limit=1.1)
    output, over = network(measured.frames)
    expected = QuantisedNetwork(graph, plan, network.rounded())(measured.frames)
    torch.testing.assert_close(output.detach(), expected, rtol=0, atol=0)
    assert float(over) == 0.0


def test_every_synapse_learns_and_every_plane_is_seen_once(measured: Case) -> None:
    graph, plan = measured.graph, measured.plan(ScaleOptions(headroom=2))
    network = FakeQuantised(graph, plan, round_nearest(graph, plan), near_limit=1.1)
    assert len(network.latent) == sum(len(layer.synapses) for layer in graph.layers)
    read: list[int] = []

    def reads(plane: int, values: Tensor) -> None:
        assert tuple(values.shape[1:]) == graph.plane_shapes[plane]
        read.append(plane)

    output, _ = network(measured.frames, reads=reads)
    assert read == [plane for plane, readers in enumerate(graph.readers) if readers]
    torch.autograd.backward(output.square().sum())
    for latent in network.latent:
        assert latent.grad is not None
        assert float(latent.grad.abs().max()) > 0
    silenced, _ = network(
        measured.frames, sends=lambda plane, values: values * 0 if plane == 3 else values
    )
    assert relative_of_outputs(graph, silenced, output) > 0.1


def test_distillation_lowers_the_error_of_both_outputs(measured: Case) -> None:
    """On windows of half the frame, whose outputs have other sizes than the graph's."""
    graph, plan = measured.graph, measured.plan(ScaleOptions(headroom=2))
    rounded = round_nearest(graph, plan)
    frames = list(measured.frames)
    options = DistilOptions(steps=60, variety=Variety(crop=(8, 12)))
    assert windows_of(graph, options.variety).crop == (8, 12)
    _, result = distil(graph, plan, rounded, frames=frames, held_out=frames, options=options)
    found = QuantisedNetwork(graph, plan, rounded)(measured.frames)
    expected = relative_of_outputs(graph, found, measured.float_output())
    assert result.error_before == pytest.approx(expected, rel=0.05)
    assert result.error_before == relative_error(graph, plan, rounded, frames)
    assert result.error_after < 0.8 * result.error_before


def test_windows_begin_where_all_strides_meet_the_same_pixels(measured: Case) -> None:
    """``down`` and ``pooled`` have every second pixel, ``up`` all of them again."""
    assert windows_of(measured.graph, Variety()).phases == (2, 2)
