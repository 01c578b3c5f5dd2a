"""Streaming statistics against the same numbers from whole arrays."""

import numpy as np
import pytest
import torch
from networks import ArrayRun, moving_frames, small_graph

from ann2sdnn.calibration.measure.statistics import measure, observed_start
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph, Layer
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.support.errors import ConversionError


def test_one_pass_equals_whole_arrays() -> None:
    graph = small_graph()
    runs = [ArrayRun(moving_frames(7, seed=s).numpy()) for s in (0, 1)]
    statistics = measure(graph, runs)
    network = FloatNetwork(graph)
    assert (statistics.n_frames, statistics.n_runs) == (14, 2)
    x = torch.cat([network.encode(torch.from_numpy(run.frames)) for run in runs])
    for index, layer in enumerate(graph.layers):
        z = network.preactivation(index, [x])
        a = activation(layer, z)
        seen = statistics.layers[index]
        np.testing.assert_allclose(seen.z_min, z.amin(dim=(0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(seen.z_max, z.amax(dim=(0, 2, 3)), rtol=1e-5)
        np.testing.assert_allclose(seen.a_max, a.amax(dim=(0, 2, 3)), rtol=1e-5)
        assert seen.values.counts.sum() == torch.count_nonzero(a)
        changes = torch.cat([a[1:7] - a[:6], a[8:] - a[7:13]])
        assert seen.changes.counts.sum() == torch.count_nonzero(changes)
        x = a


def test_the_start_of_the_network_may_be_shared() -> None:
    """Two measurements after one start equal those with a start of their own."""
    graph = small_graph()
    waiting = observed_start(graph)
    for seed in (0, 1):
        runs = [ArrayRun(moving_frames(3, seed=seed).numpy())]
        shared, own = measure(graph, runs, waiting=waiting), measure(graph, runs)
        for one, other in zip(shared.layers, own.layers, strict=True):
            np.testing.assert_array_equal(one.z_step, other.z_step)
            np.testing.assert_array_equal(one.a_step, other.a_step)
            np.testing.assert_array_equal(one.values.counts, other.values.counts)


def test_nothing_to_calibrate_on_is_refused() -> None:
    with pytest.raises(ConversionError, match="calibration set is empty"):
        measure(small_graph(), [])


def test_a_silent_network_is_refused() -> None:
    weight = -np.ones((2, 1, 1, 1), np.float32)
    dead = Layer("conv1", Convolution(), weight, None, True, None, (1, 4, 4))
    frames = np.full((2, 1, 4, 4), 9, np.uint8)
    with pytest.raises(ConversionError, match="layer conv1 is silent on all 2 calibration frames"):
        measure(Graph((1, 4, 4), (dead,)), [ArrayRun(frames)])


def test_steps_are_whole_values_first_and_changes_then() -> None:
    """Peaks of states and messages: bias left out of sums, no change taken between runs."""
    bias = np.array([5.0], np.float32)
    layer = Layer(
        "l", Convolution(), np.full((1, 1, 1, 1), -1, np.float32), bias, True, None, (1, 1, 2)
    )
    first = np.array([[[[4, 1]]], [[[9, 0]]], [[[1, 1]]]], np.uint8)
    second = np.array([[[[7, 0]]]], np.uint8)
    seen = measure(Graph((1, 1, 2), (layer,)), [ArrayRun(first), ArrayRun(second)]).layers[0]
    assert seen.z_step[0] == 9  # the sum in frame 2; its changes are -5 and 8
    assert seen.z_min[0] == -4
    assert seen.z_max[0] == 5
    assert seen.a_step[0] == 5  # whole in frame 1 of run 2
    assert seen.state_peak[0] == 9
    assert seen.message_peak[0] == 5


def test_what_biases_send_before_the_first_frame_has_to_fit() -> None:
    """2 - x, then 3 y - 1, for x = 1 in every frame.

    While the first layer waits it sends 2, where frames make it send 1. The second first answers
    to its own bias (-1: nothing), then to that 2 (a state of 5 with its bias, a sum of 6, a message
    of 5), and to frames with 2; from the one to the other the sum changes by 3.
    """
    layers = []
    for name, weight, bias in (("first", -1.0, 2.0), ("second", 3.0, -1.0)):
        values = np.full((1, 1, 1, 1), weight, np.float32)
        own = np.full(1, bias, np.float32)
        layers.append(Layer(name, Convolution(), values, own, True, None, (1, 2, 2)))
    graph = Graph((1, 2, 2), tuple(layers), input_scale=0.01)
    frames = np.full((3, 1, 2, 2), 100, np.uint8)
    first, second = measure(graph, [ArrayRun(frames)]).layers
    assert first.a_max == pytest.approx([1])
    assert first.message_peak == pytest.approx([2])
    assert second.a_max == pytest.approx([2])
    assert second.message_peak == pytest.approx([5])
    assert second.state_peak == pytest.approx([6])
