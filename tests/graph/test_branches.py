"""Networks with branches: which planes layers read, what they compute, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, branched_spec, float64_outputs
from hypothesis import given, settings

from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.layers import INPUT, Graph, with_sources
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.support.errors import ModelError

FRAMES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 1, 16, 20), np.uint8))


def test_planes_readers_and_outputs() -> None:
    graph = branched_graph(n_outputs=2)
    assert graph.reads[0] == (0,)
    assert graph.reads[2] == (2, 1)  # block1 and, unchanged, stem
    assert graph.reads[7] == (7, 3, 0)
    assert graph.readers[1] == ((1, 0), (2, 1), (3, 1))
    assert graph.output_planes == (9, 6)
    assert graph.output_shapes == ((3, 16, 20), (8, 8, 10))
    assert graph.output_shape == (3 * 16 * 20 + 8 * 8 * 10, 1, 1)
    assert not graph.is_chain


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_network_computes_what_its_synapses_add_up_to(n_outputs: int) -> None:
    graph = branched_graph(n_outputs=n_outputs)
    network = FloatNetwork(graph)
    x = network.encode(FRAMES)
    outputs = float64_outputs(graph, x.double())
    expected = torch.cat([one.flatten(1) for one in outputs], dim=1)
    torch.testing.assert_close(network(x).flatten(1).double(), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(branched_graphs())
def test_random_networks_compute_what_their_synapses_add_up_to(graph: Graph) -> None:
    x = torch.rand(2, *graph.input_shape, generator=torch.Generator().manual_seed(0))
    outputs = float64_outputs(graph, x.double())
    expected = torch.cat([one.flatten(1) for one in outputs], dim=1)
    found = FloatNetwork(graph)(x).flatten(1).double()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_operations_are_those_of_all_synapses() -> None:
    graph = branched_graph()
    ann = CountedAnn(graph)
    ann.run(torch.full((1, 1, 16, 20), 255, dtype=torch.uint8))
    # A 3x3 kernel with padding 1 meets 3 * size - 2 taps along each axis.
    taps = (3 * 16 - 2) * (3 * 20 - 2)
    assert ann.macs[0] == 6 * taps
    assert ann.macs[2] == 36 * taps + 6 * 16 * 20
    assert ann.nonzero_macs[0] == ann.macs[0]


def test_a_source_that_does_not_come_before_is_refused() -> None:
    graph = branched_graph()
    layers = list(graph.layers)
    layers[1] = replace(layers[1], source="deep")
    with pytest.raises(ModelError, match="layer block1 reads deep, which is no layer before it"):
        replace(graph, layers=tuple(layers))


def test_synapses_of_different_results_are_refused() -> None:
    graph = branched_graph()
    strided = graph.layers[3].synapses[0]
    with pytest.raises(ModelError, match="layer add1: a synapse from add1 with results of shape"):
        replace(graph.layers[2], joined=(strided,))


def test_a_layer_that_nothing_reads_is_refused() -> None:
    graph = branched_graph()
    with pytest.raises(ModelError, match="nothing reads the output of layer heads"):
        replace(graph, output_names=("deep",))


def test_a_layer_is_renamed_where_it_is_read() -> None:
    layer = with_sources(branched_graph().layers[7], {"add1": "relay", INPUT: "first"})
    assert [synapse.source for synapse in layer.synapses] == ["up", "relay", "first"]


def test_a_network_of_another_size() -> None:
    graph = resized(branched_graph(n_outputs=2), (24, 12))
    assert graph.output_shapes == ((3, 24, 12), (8, 12, 6))


def test_the_reference_adds_up_changes_to_its_answer_for_one_frame() -> None:
    """With thresholds of 0 what receivers have summed up is each frame's own activation."""
    spec = branched_spec(branched_graph(n_outputs=2), threshold=0)
    whole = Reference(spec).run(FRAMES, keep_messages=True)
    alone = Reference(spec, memoryless=True).run(FRAMES)
    assert torch.equal(whole.outputs, alone.outputs)
    assert whole.messages is not None
    assert whole.outputs.shape == (3, *spec.output_shape)


def test_a_spec_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec = branched_spec(branched_graph(n_outputs=3), threshold=40)
    write_spec(tmp_path / "sdnn.h5", spec)
    again = read_spec(tmp_path / "sdnn.h5")
    assert again.reads == spec.reads
    assert again.output_names == spec.output_names
    first, second = (Reference(one).run(FRAMES, keep_messages=True) for one in (spec, again))
    assert torch.equal(first.outputs, second.outputs)
    assert torch.equal(first.synops, second.synops)


def test_a_layer_that_reads_values_and_changes_is_refused() -> None:
    spec = branched_spec(branched_graph())
    layers = list(spec.layers)
    layers[0] = replace(layers[0], is_stateful=False)  # stem, which add1 reads beside block1
    with pytest.raises(ModelError, match="layer add1 reads memoryless layers and others"):
        replace(spec, layers=tuple(layers))
