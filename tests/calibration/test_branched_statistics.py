"""Statistics and sensitivities where layers read several others, and of several outputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, identity_synapse
from calibration_cases import noise_frames, relative_of_outputs
from hypothesis import given, settings
from networks import ArrayRun, moving_frames

from ann2sdnn.calibration.measure.importance import pixel_importance
from ann2sdnn.calibration.measure.outputs import (
    balancing,
    by_value,
    output_weights,
)
from ann2sdnn.calibration.measure.sensitivity import measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import INPUT, Graph, Layer, Synapse, with_synapses
from ann2sdnn.graph.operations import FloatNetwork, activation
from ann2sdnn.graph.planes import Planes, separated


@settings(max_examples=15, deadline=None)
@given(branched_graphs())
def test_one_pass_equals_whole_arrays(graph: Graph) -> None:
    frames = noise_frames(graph)
    statistics = measure(graph, [ArrayRun(frames.numpy())], may_be_silent=True)
    network = FloatNetwork(graph)
    planes = Planes(graph, network.encode(frames))
    for index, layer in enumerate(graph.layers):
        z = network.preactivation(index, planes.inputs())
        out = activation(layer, z)
        planes.put(out)
        seen = statistics.layers[index]
        np.testing.assert_allclose(seen.z_min, z.amin(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(seen.z_max, z.amax(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
        assert seen.values.total == out.numel()
        change = (out[1:] - out[:-1]).abs().amax(dim=(0, 2, 3))
        assert (seen.a_step >= change.numpy() * (1 - 1e-4) - 1e-5).all()


def pixel(name: str, *synapses: Synapse, bias: float) -> Layer:
    first = synapses[0]
    own = np.full(1, bias, np.float32)
    plain = Layer(name, first.geometry, first.weight, own, True, None, (1, 2, 2))
    return with_synapses(plain, synapses)


def times(factor: float, source: str) -> Synapse:
    return Synapse(Convolution(), np.full((1, 1, 1, 1), factor, np.float32), (1, 2, 2), source)


def test_before_the_first_frame_each_source_is_of_the_step_before() -> None:
    """a = 2 - x; b = 2 a; sum = b - 2 a + 0.5, for x = 1 in every frame.

    With frames the synapses of the sum cancel out: a is 1, b 2 and the sum 0.5. While nothing
    arrives, a sends 2 from the first time step on, which reaches the sum in the second and b, which
    then sends 4, too. So in the second step the sum holds -4 less its bias, in the third 0.
    """
    layers = (
        pixel("a", times(-1, INPUT), bias=2),
        pixel("b", times(2, "a"), bias=0),
        pixel("sum", times(1, "b"), times(-2, "a"), bias=0.5),
    )
    graph = Graph((1, 2, 2), layers, input_scale=0.01)
    frames = np.full((3, 1, 2, 2), 100, np.uint8)
    a, b, total = measure(graph, [ArrayRun(frames)]).layers
    assert graph.depths == (0, 1, 2, 3)
    assert a.message_peak == pytest.approx([2])
    assert b.message_peak == pytest.approx([4])
    assert total.a_max == pytest.approx([0.5])
    assert (total.z_min, total.z_max) == pytest.approx(([0.5], [0.5]))
    assert total.state_peak == pytest.approx([4])


def test_two_synapses_by_hand() -> None:
    """Y = v x + w r with r = 2 x: dy/dv has the energy sum x^2, dy/dw four times that."""
    shape = (1, 6, 7)
    first = Layer(
        "r", Convolution(), np.full((1, 1, 1, 1), 2.0, np.float32), None, True, None, shape
    )
    plain = Layer("y", Convolution(), np.ones((1, 1, 1, 1), np.float32), None, False, None, shape)
    own = Synapse(Convolution(), np.full((1, 1, 1, 1), 3.0, np.float32), shape, INPUT)
    layer = with_synapses(plain, (own, identity_synapse(shape, "r")))
    frame = moving_frames(1, shape)[0].clamp(max=3)
    found = measure_sensitivity(Graph(shape, (first, layer)), [frame], probes=4000)
    energy = float(frame.double().square().sum())
    assert found.layers[1].weights[0].item() == pytest.approx(energy, rel=0.1)
    assert found.layers[1].weights[1].item() == pytest.approx(4 * energy, rel=0.1)
    assert found.layers[0].weights[0].item() == pytest.approx(energy, rel=0.1)


def test_an_output_counts_by_its_own_energy() -> None:
    """Two heads of the same weights, one times 100: a relative error costs the same in both."""
    shape = (1, 6, 7)
    heads = [
        replace(pixel(name, times(factor, INPUT), bias=0), bias=None, input_shape=shape)
        for name, factor in (("small", 0.5), ("large", 50.0))
    ]
    heads = [
        with_synapses(head, [replace(one, input_shape=shape) for one in head.synapses])
        for head in heads
    ]
    graph = Graph(shape, tuple(heads), output_names=("small", "large"))
    frame = moving_frames(1, shape)[0]
    found = measure_sensitivity(graph, [frame], probes=2000)
    relative = [
        float(seen.weights[0].item()) * factor**2
        for seen, factor in zip(found.layers, (0.5, 50.0), strict=True)
    ]
    assert relative[0] == pytest.approx(relative[1], rel=0.2)
    assert found.output_energy == pytest.approx(
        float((50.0 * frame.double()).square().sum() + (0.5 * frame.double()).square().sum()),
        rel=1e-3,
    )


def test_weights_of_outputs_make_their_energies_the_same() -> None:
    assert balancing([3.0]) == (1.0,)
    small, large, silent = balancing([1.0, 99.0, 0.0])
    assert small**2 * 1.0 == pytest.approx(large**2 * 99.0) == pytest.approx(100 / 3)
    assert silent == 1.0
    graph, frames = branched_graph(n_outputs=2), list(moving_frames(4))
    network = FloatNetwork(graph)
    outputs = network(network.encode(torch.stack(frames)))
    weighted = outputs * by_value(output_weights(graph, frames), graph.output_shapes)
    energies = [float(part.square().sum()) for part in separated(weighted, graph.output_shapes)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-4)
    assert sum(energies) == pytest.approx(float(outputs.square().sum()), rel=1e-4)
    assert relative_of_outputs(graph, 1.1 * outputs, outputs) == pytest.approx(0.1, rel=1e-3)


def test_importance_is_that_of_all_ways_to_an_output() -> None:
    graph = branched_graph(n_outputs=2)
    generator = torch.Generator().manual_seed(0)
    frame = moving_frames(1)[0]
    found = pixel_importance(graph, frame, generator, (1.0, 2.0))
    assert [one.shape for one in found] == [layer.preactivation_shape[1:] for layer in graph.layers]
    assert all(float(one.mean()) == pytest.approx(1, rel=0.3) for one in found)
