"""The engine on networks with branches, equal to the integer reference in messages and counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_graphs, branched_spec
from engine_results import Unwired, assert_equal, assert_same_steps, drifting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution, Geometry, TransposedConvolution
from ann2sdnn.graph.layers import INPUT, Synapse, with_synapses
from ann2sdnn.sdnn.engine import engine as engine_module
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.instructions.vector import Vector, host_vectors
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS
from ann2sdnn.sdnn.engine.loops.memory import KINDS, Builder
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import Grid, NeuronModel
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

NEURONS: tuple[NeuronModel, ...] = ("corrected", "stock")
SHAPE: Shape = (1, 16, 20)


@pytest.fixture(autouse=True)
def _threads_for_small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_NEURONS_PER_THREAD", 1)


@st.composite
def branched_specs(draw: st.DrawFn) -> Spec:
    """With thresholds, shifts and memory of each layer; what one layer reads is of one kind."""
    spec = branched_spec(draw(branched_graphs()), seed=draw(st.integers(0, 2**31)))
    kinds = list(range(len(spec.layers) + 1))
    for planes in (*spec.reads, spec.output_planes):
        same = {kinds[plane] for plane in planes}
        kinds = [min(same) if kind in same else kind for kind in kinds]
    memory = {kind: draw(st.integers(0, 2)) > 0 for kind in sorted(set(kinds))}
    layers = tuple(
        replace(
            layer,
            threshold=draw(st.integers(0, 300)),
            shift=draw(st.sampled_from([6, 6, 5, 7])),
            is_stateful=memory[kind],
        )
        for layer, kind in zip(spec.layers, kinds[1:], strict=True)
    )
    return replace(
        spec,
        layers=layers,
        grid=Grid(draw(st.integers(0, 6))),
        input_is_stateful=memory[kinds[0]],
    )


# The first example compiles.
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    branched_specs(),
    st.integers(0, 2**31),
    st.sampled_from(NEURONS),
    st.booleans(),
    st.integers(1, 3),
)
def test_it_equals_the_integers(
    spec: Spec, seed: int, neuron: NeuronModel, memoryless: bool, n_threads: int
) -> None:
    frames = drifting(spec.input_shape, seed)
    reference = Reference(spec, memoryless=memoryless, neuron=neuron)
    expected = reference.run(frames, keep_messages=True)
    for vector in host_vectors():
        engine = Engine(
            spec, memoryless=memoryless, neuron=neuron, vector=vector, n_threads=n_threads
        )
        assert_equal(engine.run(frames), expected)
        engine.reset()
        assert_equal(engine.run(frames, keep_messages=True), expected)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(branched_specs(), st.integers(0, 2**31), st.integers(1, 3))
def test_steps_go_on_from_a_saved_state(spec: Spec, seed: int, n_threads: int) -> None:
    frames = drifting(spec.input_shape, seed)
    expected, first = Reference(spec).run(frames), Engine(spec, n_threads=n_threads)
    first.run(frames[:2])
    second = Engine(spec, n_threads=n_threads)
    second.load_state_dict(first.state_dict())
    for t in range(2, len(frames)):
        step = second.step(frames[t])
        assert torch.equal(step.output, expected.outputs[t])
        assert step.counts[:, MESSAGES].tolist() == expected.events[t].tolist()
        assert step.counts[1:, OPERATIONS].tolist() == expected.synops[t].tolist()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(branched_specs(), st.integers(0, 2**31), st.integers(1, 3))
def test_changed_pixels_equal_frames(spec: Spec, seed: int, n_threads: int) -> None:
    """Their plane may be read by any layer."""
    engines = [Engine(spec, n_threads=n_threads) for _ in range(2)]
    assert_same_steps(engines[0], engines[1], drifting(spec.input_shape, seed))


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_outputs_that_are_read_inside(n_outputs: int) -> None:
    spec = branched_spec(branched_graph(n_outputs=n_outputs), threshold=20)
    frames = drifting(SHAPE, 5)
    expected = Reference(spec).run(frames, keep_messages=True)
    for n_threads in (1, 2, 3):
        assert_equal(Engine(spec, n_threads=n_threads).run(frames), expected)
    assert_equal(Engine(spec).run(frames, keep_messages=True), expected)


def test_an_early_output_is_kept_until_it_is_decoded() -> None:
    """Layers behind it could take the place of its messages."""
    shape: Shape = (2, 6, 7)
    names = ["first", "second", "third", "last"]
    layers = tuple(
        population(name, conv(source, shape, 2), threshold=0)
        for name, source in zip(names, [INPUT, *names], strict=False)
    )
    spec = Spec(shape, 1.0, 3, Grid(6), layers, "", output_names=("first", "last"))
    frames = drifting(shape, 9)
    assert_equal(Engine(spec).run(frames), Reference(spec).run(frames))


def test_a_decoded_state_is_loaded_with_all_outputs() -> None:
    spec, frames = branched_spec(branched_graph(n_outputs=3), threshold=20), drifting(SHAPE, 6)
    first, second = Engine(spec), Engine(spec)
    first.run(frames)
    state = first.state_dict()
    assert [tuple(state[f"received.{k}"].shape) for k in range(3)] == list(spec.output_shapes)
    second.load_state_dict(state)
    # The frame is like the one before, so nothing is decoded again.
    assert torch.equal(second.step(frames[-1]).output, first.step(frames[-1]).output)


# --- synapses of many channels


def synapse(geometry: Geometry, source: str, shape: Shape, size: tuple[int, ...]) -> Synapse:
    rng = np.random.default_rng(sum(size))
    weight = 2 * rng.integers(1, 60, size) * rng.choice([-1, 1], size)
    return Synapse(geometry, weight.astype(np.int16), shape, source)


def conv(source: str, shape: Shape, outputs: int, side: int = 3, stride: int = 1) -> Synapse:
    geometry = Convolution((stride, stride), (side // 2,) * 4)
    return synapse(geometry, source, shape, (outputs, shape[0], side, side))


def identity(source: str, shape: Shape, stride: int = 1) -> Synapse:
    geometry = Convolution((stride, stride), groups=shape[0])
    return synapse(geometry, source, shape, (shape[0], 1, 1, 1))


def population(name: str, *synapses: Synapse, threshold: int = 20) -> SpecLayer:
    first = synapses[0]
    channels = first.output_shape[0]
    bias = np.random.default_rng(channels).integers(-3, 4, channels).astype(np.int32)
    layer = SpecLayer(
        name,
        first.geometry,
        first.weight,
        bias,
        relu=True,
        pool=None,
        input_shape=first.input_shape,
        threshold=threshold,
        scale=np.ones(channels),
    )
    return with_synapses(layer, synapses)


def wide_spec(channels: int) -> Spec:
    """Residual blocks of ``channels``; the second one halves the map."""
    entering: Shape = (3, 8, 7)
    whole, half = (channels, 8, 7), (channels, 4, 4)
    depthwise = Convolution(pads=(1, 1, 1, 1), groups=channels)
    up = TransposedConvolution((2, 2), groups=channels)
    layers = (
        population("stem", conv(INPUT, entering, channels)),
        population("add", conv("stem", whole, channels, 1), identity("stem", whole)),
        population("down", conv("add", whole, channels, 1, 2), identity("add", whole, 2)),
        population("spread", synapse(depthwise, "down", half, (channels, 1, 3, 3))),
        population("up", synapse(up, "spread", half, (channels, 1, 2, 2))),
        population("head", conv("up", (channels, 8, 8), 2)),
    )
    return Spec(entering, 1.0, 3, Grid(6), layers, "")


@pytest.mark.parametrize("vector", host_vectors(), ids=lambda vector: vector.name)
@pytest.mark.parametrize("channels", [5, 16, 70, 270])
def test_one_weight_per_channel_equals_the_integers(channels: int, vector: Vector) -> None:
    """Identities, strided ones, and kernels and upsampling of single channels."""
    spec = wide_spec(channels)
    frames = drifting(spec.input_shape, channels, 3)
    expected = Reference(spec).run(frames)
    for n_threads in (1, 2):
        assert_equal(Engine(spec, vector=vector, n_threads=n_threads).run(frames), expected)


@pytest.mark.parametrize("vector", host_vectors(), ids=lambda vector: vector.name)
def test_rows_that_are_multiplied_whole_add_to_other_synapses(vector: Vector) -> None:
    """Noise, of which nearly every neuron sends."""
    shape: Shape = (16, 12, 30)
    layers = (
        population("left", conv(INPUT, shape, 16), threshold=0),
        population(
            "sum",
            conv("left", shape, 20),
            conv(INPUT, shape, 20, 1),
            conv(INPUT, shape, 20, 5),
            threshold=0,
        ),
    )
    spec = Spec(shape, 1.0, 1, Grid(6), tuple(replace(one, relu=False) for one in layers), "")
    frames = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    )
    expected = Reference(spec).run(frames)
    assert_equal(Engine(spec, vector=vector, n_threads=2).run(frames), expected)


def test_sums_over_synapses_beyond_32_bits_are_exact() -> None:
    """Each synapse alone would fit 32 bits; all of them together add up to nothing in these."""
    shape: Shape = (1024, 1, 2)
    gain, pixel, halved, n_alike = 128, 128, 64, 4
    assert shape[0] * halved * gain * pixel * n_alike == 2**32
    weight = np.full((4, shape[0], 1, 1), 2 * halved, np.int16)
    one = Synapse(Convolution(), weight, shape, INPUT)
    spec = Spec(shape, 1.0, gain, Grid(6), (population("sum", *[one] * n_alike),), "")
    frames = torch.full((1, *shape), pixel, dtype=torch.uint8)
    expected = Reference(spec).run(frames, keep_messages=True)
    assert int(expected.overflows.sum()) == 4 * 2
    assert_equal(Engine(spec).run(frames, keep_messages=True), expected)


# --- synapses that run outside of the compiled loops


@pytest.mark.parametrize(
    ("index", "numbers"), [(2, [0]), (2, [1]), (2, [0, 1]), (7, [0, 2]), (8, [0])]
)
@pytest.mark.parametrize("memoryless", [False, True])
def test_foreign_synapses_beside_others(index: int, numbers: list[int], memoryless: bool) -> None:
    spec = branched_spec(branched_graph(n_outputs=2), threshold=20)
    layers = list(spec.layers)
    synapses = list(layers[index].synapses)
    for number in numbers:
        known = synapses[number].geometry
        assert isinstance(known, Convolution)
        foreign = Unwired(known.stride, known.pads, known.dilation, known.groups)
        synapses[number] = replace(synapses[number], geometry=foreign)
    layers[index] = with_synapses(layers[index], synapses)
    spec = replace(spec, layers=tuple(layers))
    frames = drifting(SHAPE, 7)
    expected = Reference(spec, memoryless=memoryless).run(frames, keep_messages=True)
    engine = Engine(spec, memoryless=memoryless)
    assert_equal(engine.run(frames), expected)
    engine.reset()
    assert_equal(engine.run(frames, keep_messages=True), expected)


# --- memory


def test_a_plane_keeps_its_place_until_its_last_reader_has_run() -> None:
    """Numbers 0 and 2 are alive together, number 3 takes the place of 1, number 4 that of 0."""
    places = Builder().share("messages", [10, 20, 5, 15, 10], [3, 2, 4, 9, 9])
    assert places[3].start == places[1].start
    assert places[4].start == places[0].start
    assert len({place.start for place in places}) == 3


def test_a_chain_needs_two_buffers_of_messages() -> None:
    places = Builder().share("messages", [10, 40, 30, 20], [1, 2, 3, 4])
    assert [place.start for place in places] == [0, 32, 0, 32]
    assert [place.shape for place in places] == [(30,), (40,), (30,), (40,)]


def test_nothing_is_written_beyond_an_array() -> None:
    for spec in (wide_spec(20), branched_spec(branched_graph(n_outputs=3))):
        engine = Engine(spec, n_threads=2)
        arrays = [getattr(engine._layout.memory, name) for name in KINDS]
        ends = [array[-64:].copy() for array in arrays]
        engine.run(drifting(spec.input_shape, 3))
        for before, array in zip(ends, arrays, strict=True):
            assert np.array_equal(before, array[-64:])


def test_a_profile_counts_what_a_run_counts() -> None:
    spec, frames = branched_spec(branched_graph(n_outputs=2), threshold=20), drifting(SHAPE, 8)
    expected = Reference(spec).run(frames)
    profile = Engine(spec, n_threads=2).profile(frames)
    assert profile.messages.tolist() == expected.events.sum(dim=0).tolist()
    assert profile.operations.tolist() == [0, *expected.synops.sum(dim=0).tolist()]
    assert (profile.work > 0).all()
    assert (profile.scatter[1:-1] > 0).all()
