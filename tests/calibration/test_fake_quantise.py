"""Latent weights on the grid: what runs, what learns, and what is handed back."""

from functools import cache

import numpy as np
import pytest
import torch
from calibration_cases import Case, case

from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised
from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, round_nearest, step_limits
from ann2sdnn.calibration.scales.plan import RangePlan, ScaleOptions


@cache
def _case(*, bias: bool) -> Case:
    return case(bias=bias)


def _network(measured: Case, near_limit: float = 1.1) -> tuple[RangePlan, FakeQuantised]:
    plan = measured.plan(ScaleOptions(headroom=2))
    rounded = round_nearest(measured.graph, plan)
    return plan, FakeQuantised(measured.graph, plan, rounded, near_limit=near_limit)


@pytest.mark.parametrize("bias", [True, False])
def test_it_answers_as_the_network_on_the_grid_does(bias: bool) -> None:
    measured = _case(bias=bias)
    plan, network = _network(measured)
    output, over = network(measured.frames)
    expected = QuantisedNetwork(measured.graph, plan, network.rounded())(measured.frames)
    torch.testing.assert_close(output.detach(), expected, rtol=0, atol=0)
    assert float(over) == 0.0


def test_latent_weights_count_rounded_and_learn_unrounded() -> None:
    measured = _case(bias=False)
    _, network = _network(measured)
    before = [one.steps[0] for one in network.rounded()]
    output, _ = network(measured.frames)
    network.start_from([torch.from_numpy(steps + 0.4) for steps in before])
    for one, steps in zip(network.rounded(), before, strict=True):
        assert np.abs(one.steps[0] - steps).max() == 0
    torch.testing.assert_close(network(measured.frames)[0], output)
    torch.autograd.backward(network(measured.frames)[0].square().sum())
    for latent in network.latent:
        assert latent.grad is not None
        assert float(latent.grad.abs().max()) > 0


def test_weights_beyond_the_legal_ones_are_put_back() -> None:
    measured = _case(bias=False)
    _, network = _network(measured)
    network.start_from([torch.full_like(latent, 1e6) for latent in network.latent])
    for one in network.rounded():
        assert (one.steps[0] == step_limits(one.layer, one.plan)[1]).all()


def test_near_the_limits_there_is_a_penalty_that_pushes_back() -> None:
    measured = _case(bias=False)
    _, network = _network(measured, near_limit=4.0)
    _, over = network(measured.frames)
    assert float(over) > 0
    torch.autograd.backward(over)
    with torch.no_grad():
        for latent in network.latent:
            assert latent.grad is not None
            largest = latent.grad.abs().max().clamp(min=1e-9)
            # Half a step either way changes the rounding of the weights that matter most.
            latent.sub_(0.51 * latent.grad / largest)
    assert float(network(measured.frames)[1]) < float(over)


def test_an_output_slope_lets_a_silent_map_learn() -> None:
    measured = _case(bias=False)
    _, network = _network(measured)
    silent = [latent.detach().clone() for latent in network.latent]
    silent[-1] = -silent[-1].abs() - 1
    network.start_from(silent)
    assert float(network(measured.frames)[0].abs().max()) == 0
    output, _ = network(measured.frames, output_slope=0.1)
    assert float(output.max()) <= 0
    torch.autograd.backward(output.sum())
    gradient = network.latent[-1].grad
    assert gradient is not None
    assert float(gradient.abs().max()) > 0
