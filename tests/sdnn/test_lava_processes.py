"""A network as one lava process: equal to the reference, message by message, branches included."""

from dataclasses import replace

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, branched_spec
from branched_specs import small_branched_spec
from hypothesis import given, settings
from networks import MAX_POOL, moving_frames, random_spec
from numpy.typing import NDArray

from ann2sdnn.graph.layers import Graph
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.processes.sdnn import SdnnProcess
from ann2sdnn.sdnn.lava.processes.timing import timing_of
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, UsageError


def run_in_lava(process: SdnnProcess, frames: torch.Tensor) -> list[NDArray[np.int32]]:
    """What each port of ``process`` gives, [W, H, C, T + latency], as a user would run it."""
    RingBuffer = import_lava("lava.proc.io.source").RingBuffer
    Sink = import_lava("lava.proc.io.sink").RingBuffer
    RunSteps = import_lava("lava.magma.core.run_conditions").RunSteps
    Loihi2SimCfg = import_lava("lava.magma.core.run_configs").Loihi2SimCfg

    silence = np.zeros((*process.inp.shape, process.latency), np.int32)
    source = RingBuffer(data=np.concatenate([process.messages(frames), silence], axis=-1))
    source.s_out.connect(process.inp)
    n_steps = len(frames) + process.latency
    sinks = [Sink(shape=port.shape, buffer=n_steps) for port in process.outs]
    for port, sink in zip(process.outs, sinks, strict=True):
        port.connect(sink.a_in)
    source.run(RunSteps(n_steps), Loihi2SimCfg(select_tag="fixed_pt"))
    received = [sink.data.get().astype(np.int32) for sink in sinks]
    source.stop()
    return received


def with_all_outputs(spec: Spec) -> Spec:
    """Every layer's output is one of the network's."""
    return replace(spec, output_names=tuple(layer.name for layer in spec.layers))


def assert_sends_what_the_reference_sends(
    spec: Spec, frames: torch.Tensor, neuron: NeuronModel = "corrected"
) -> None:
    """Every message of every layer, frame by frame; nothing before the first frame."""
    process = SdnnProcess(with_all_outputs(spec), neuron=neuron)
    expected = Reference(spec, neuron=neuron).run(frames, keep_messages=True).messages
    assert expected is not None
    for received, messages, layer in zip(
        run_in_lava(process, frames), expected[1:], spec.layers, strict=True
    ):
        sent = np.rint(messages.numpy() / spec.grid.message_step).astype(np.int32)
        in_lavas_order = sent.transpose(3, 2, 1, 0).reshape(*received.shape[:-1], -1)
        assert np.array_equal(received[..., process.latency :], in_lavas_order), layer.name
        assert not received[..., : process.latency].any()
        assert sent.any(), layer.name


def test_messages_of_different_paths_meet() -> None:
    """Latencies by hand: the input waits two steps for ``deep``, the stem one."""
    timing = timing_of(small_branched_spec())
    assert timing.latency == (0, 1, 2, 3, 3, 4)
    assert timing.delays == ((0,), (0,), (0, 2), (0, 1), (0,))
    assert timing.output_delays == (1, 0)
    assert timing.total == 4


def test_a_network_with_branches_gives_the_references_outputs() -> None:
    """As the documents run it: two ports, decoded, in the network's own units."""
    spec, frames = small_branched_spec(), moving_frames(5, (1, 6, 8))
    process = SdnnProcess(spec)
    received = run_in_lava(process, frames)
    expected = Reference(spec).run(frames).outputs
    decoded = [process.decoded(one, index) for index, one in enumerate(received)]
    assert [one.shape for one in decoded] == [(5, 2, 6, 8), (5, 3, 1, 1)]
    joined = torch.cat([one.flatten(1) for one in decoded], dim=1)
    assert torch.equal(joined, expected.flatten(1))
    assert torch.count_nonzero(expected) > 100


def test_every_message_equals_the_references() -> None:
    assert_sends_what_the_reference_sends(small_branched_spec(), moving_frames(5, (1, 6, 8)))


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["corrected", "stock"])
def test_every_message_of_larger_networks(neuron: NeuronModel) -> None:
    """A residual network, and a chain whose states wrap round."""
    branched = branched_spec(branched_graph(n_outputs=3), threshold=2)
    assert_sends_what_the_reference_sends(branched, moving_frames(5), neuron)
    chain = random_spec(threshold=2, pool=MAX_POOL, dense=True)
    assert int(Reference(chain).run(moving_frames(5)).overflows.sum()) > 0
    assert_sends_what_the_reference_sends(chain, moving_frames(5), neuron)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(branched_graphs())
def test_random_networks(graph: Graph) -> None:
    spec = branched_spec(graph, threshold=1)
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (3, *spec.input_shape), dtype=np.uint8)
    )
    process = SdnnProcess(spec)
    received = run_in_lava(process, frames)
    decoded = [process.decoded(one, index) for index, one in enumerate(received)]
    joined = torch.cat([one.flatten(1) for one in decoded], dim=1)
    assert torch.equal(joined, Reference(spec).run(frames).outputs.flatten(1))


def test_one_output_has_the_port_out() -> None:
    spec = random_spec()
    process = SdnnProcess(spec)
    assert process.inp.shape == (20, 16, 1)
    assert process.out is process.outs[0]
    assert process.out.shape == spec.output_shape[::-1]
    assert list(process.populations) == [layer.name for layer in spec.layers]
    two = SdnnProcess(small_branched_spec())
    assert not hasattr(two, "out")
    assert (two.out_0.shape, two.out_1.shape) == ((8, 6, 2), (3,))


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    spec = small_branched_spec()
    with pytest.raises(DataError, match=r"of the output values; expected \(3,\) and an axis"):
        SdnnProcess(spec).decoded(np.zeros((2, 9)), 1)
    first, *others = random_spec().layers
    forgetful = replace(random_spec(), layers=(replace(first, is_stateful=False), *others))
    with pytest.raises(UsageError, match=r"layer1 is memoryless; run .* with --backend engine"):
        SdnnProcess(forgetful)
