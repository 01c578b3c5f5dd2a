"""Slayer on networks with branches: every message and count is that of the integer reference."""

from dataclasses import replace

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, branched_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import assert_equal_messages, moving_frames, network_from_graph

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import INPUT, Graph, Synapse
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.run import BackendResult
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.slayer.backend import SlayerBackend
from ann2sdnn.sdnn.slayer.pipeline import pipelined_messages
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer


def assert_is_reference(spec: Spec, frames: torch.Tensor) -> BackendResult:
    """Messages, outputs and all counts; returns the reference's run."""
    slayer, reference = SlayerBackend(network_from_spec(spec), chunk_frames=3), Reference(spec)
    expected = assert_equal_messages(reference, slayer, frames)
    slayer.reset()
    found = slayer.run(frames)
    assert torch.equal(found.overflows, expected.overflows)
    assert torch.equal(found.oversized, expected.oversized)
    return expected


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("threshold", [0, 6])
def test_messages_and_counts_are_the_references(n_outputs: int, threshold: int) -> None:
    spec = branched_spec(branched_graph(n_outputs=n_outputs), threshold=threshold)
    run = assert_is_reference(spec, moving_frames(7))
    assert bool((run.events.sum(dim=0) > 0).all()), "a silent layer compares nothing"
    assert run.outputs.shape == (7, *spec.output_shape)


def test_states_that_leave_24_bits_wrap_and_count_as_in_the_reference() -> None:
    spec = replace(branched_spec(branched_graph(n_outputs=3)), input_gain=128)
    run = assert_is_reference(spec, moving_frames(5))
    assert int(run.overflows.sum()) > 0
    assert int(run.oversized.sum()) > 0


@given(
    graph=branched_graphs(),
    threshold=st.sampled_from([0, 5]),
    gain=st.sampled_from([4, 128]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_random_networks_send_the_references_messages(
    graph: Graph, threshold: int, gain: int, seed: int
) -> None:
    spec = replace(branched_spec(graph, seed=seed, threshold=threshold), input_gain=gain)
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (4, *graph.input_shape), np.uint8)
    frames[rng.random(frames.shape) < 0.5] = 0
    assert_is_reference(spec, torch.from_numpy(frames))


def test_the_sum_over_synapses_is_exact_where_each_result_fits_float32_and_the_sum_does_not() -> (
    None
):
    """Five results of 8.2 million state units each: multiples of 2, which float32 holds up to
    2^25.
    """
    channels = 256
    rng = np.random.default_rng(0)

    def synapse() -> Synapse:
        weight = 250 - 4 * rng.integers(0, 3, (channels, 1, 1, 1))
        return Synapse(Convolution(), weight.astype(np.int16), (1, 1, 1), INPUT)

    first, *others = (synapse() for _ in range(5))
    layer = SpecLayer(
        "sum",
        first.geometry,
        first.weight,
        None,
        True,
        None,
        (1, 1, 1),
        threshold=0,
        scale=np.ones(channels),
        source=INPUT,
        joined=tuple(others),
    )
    spec = Spec((1, 1, 1), 1 / 255, 127, Grid(6), (layer,), "0" * 64)
    frames = torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
    assert int(assert_is_reference(spec, frames).overflows[0, 0]) == channels


@given(branched_graphs())
@settings(max_examples=25, deadline=None)
def test_without_rounding_the_sdnn_is_the_ann(graph: Graph) -> None:
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (3, *graph.input_shape), np.uint8))
    ann = FloatNetwork(graph)
    expected = ann(ann.encode(frames))
    found = SlayerBackend(network_from_graph(graph)).run(frames).outputs
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * largest)


def test_a_pipeline_of_a_branched_network_is_refused() -> None:
    with pytest.raises(ValueError, match="a pipeline of a network with branches"):
        next(pipelined_messages(branched_spec(branched_graph()), moving_frames(2)))
