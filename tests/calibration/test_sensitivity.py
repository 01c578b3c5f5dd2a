"""Sensitivities: what a random error really does to the output."""

import numpy as np
import pytest
import torch
from calibration_cases import case
from networks import moving_frames

from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph, Layer, with_weight
from ann2sdnn.graph.operations import FloatNetwork


def test_a_linear_layer_by_hand() -> None:
    """Y = w x at each pixel, so dy/dw has energy sum x^2, and dy/da is 1 at every active pixel."""
    weight = np.full((1, 1, 1, 1), 2.0, np.float32)
    layer = Layer("l", Convolution(), weight, None, True, None, (1, 6, 7))
    frame = moving_frames(1, (1, 6, 7))[0].clamp(max=3)
    values = frame.double()
    found = measure_sensitivity(Graph((1, 6, 7), (layer,)), [frame], probes=4000)
    one = found.layers[0]
    n_active = int((values > 0).sum())
    assert one.weights[0].item() == pytest.approx(float(values.square().sum()), rel=0.1)
    assert one.activation.item() == pytest.approx(n_active, rel=0.05)
    # White output probes: the coherent half a unit has the same energy a pixel.
    assert one.message.item() == pytest.approx(n_active * (1 / 12 + 1 / 4), rel=0.1)
    assert found.output_energy == pytest.approx(float((2 * values).square().sum()))


@pytest.mark.parametrize("index", range(5))
def test_random_errors_of_weights_cost_what_was_foreseen(index: int) -> None:
    measured = case(bias=False)
    graph, frames = measured.graph, list(measured.frames)
    found = measure_sensitivity(graph, frames, probes=16)
    expected = measured.float_output()
    size, total, n_draws = 1e-3, 0.0, 30
    rng = np.random.default_rng(0)
    for _ in range(n_draws):
        layers = list(graph.layers)
        noise = size * rng.standard_normal(layers[index].weight.shape)
        layers[index] = with_weight(layers[index], layers[index].weight + noise, None)
        network = FloatNetwork(Graph(graph.input_shape, tuple(layers), graph.input_scale))
        output = network(network.encode(measured.frames))
        total += float((output - expected).double().square().sum()) / len(frames)
    predicted = size**2 * float(found.layers[index].weights[0].sum())
    assert total / n_draws == pytest.approx(predicted, rel=0.35)


def test_frames_and_channels_that_are_dark_have_none() -> None:
    measured = case(bias=False)
    dark = torch.zeros_like(measured.frames[0])
    found = measure_sensitivity(measured.graph, [dark])
    assert all(float(layer.weights[0].sum()) == 0 for layer in found.layers)
