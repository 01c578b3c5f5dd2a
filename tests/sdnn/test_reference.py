"""One integer reference: every backend sends its messages and reports its counts, all of them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lava_backends import LAVA_IS_MISSING, lava_backend, slayer_backend
from networks import MAX_POOL, SUM_POOL, moving_frames, random_spec
from random_networks import specs

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend, BackendResult
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.reference.equations import wrapped
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import Grid, NeuronModel
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ModelError

COUNTS = ("events", "synops", "overflows", "oversized")


def assert_equal_runs(found: BackendResult, expected: BackendResult) -> None:
    """Messages, outputs and every count, by frame and by layer."""
    assert found.messages is not None
    assert expected.messages is not None
    for index, (ours, theirs) in enumerate(zip(found.messages, expected.messages, strict=True)):
        assert torch.equal(ours.double(), theirs.double()), f"messages of layer {index} differ"
    for name in COUNTS:
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert torch.equal(found.outputs.float(), expected.outputs.float())


def slayer_has(spec: Spec) -> bool:
    """Whether slayer's blocks can express every layer of ``spec``."""
    try:
        for layer in spec.layers:
            layer.geometry.with_symmetric_pads(layer.weight)
    except ModelError:
        return False
    return True


def backends(spec: Spec, neuron: NeuronModel = "corrected") -> dict[str, Backend]:
    network = network_from_spec(spec)
    found: dict[str, Backend] = {"engine": Engine(spec, neuron=neuron)}
    if not LAVA_IS_MISSING and not spec.memoryless_layers and slayer_has(spec):
        for chunk in (1, 3, 4):
            found[f"slayer, chunks of {chunk}"] = slayer_backend(
                network, chunk_frames=chunk, neuron=neuron
            )
    return found


def changing_frames(n_frames: int, spec: Spec, seed: int) -> torch.Tensor:
    """A third of the pixels changes from frame to frame."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (n_frames, *spec.input_shape)).astype(np.uint8)
    for before, frame in pairwise(frames):
        np.copyto(frame, before, where=rng.random(frame.shape) < 2 / 3)
    return torch.from_numpy(frames)


def assert_all_equal(
    spec: Spec, frames: torch.Tensor, neuron: NeuronModel = "corrected"
) -> BackendResult:
    expected = Reference(spec, neuron=neuron).run(frames, keep_messages=True)
    for backend in backends(spec, neuron).values():
        assert_equal_runs(backend.run(frames, keep_messages=True), expected)
    return expected


def one_by_one(n_inputs: int, **changes: object) -> Spec:
    """A 1x1 convolution that adds up ``n_inputs`` pixels with the largest weight."""
    weight = np.full((1, n_inputs, 1, 1), 254, np.int16)
    fields: dict[str, object] = {
        "name": "only",
        "geometry": Convolution(),
        "weight": weight,
        "bias": None,
        "relu": True,
        "pool": None,
        "threshold": 0,
        "scale": np.ones(1),
        "input_shape": (n_inputs, 1, 1),
    }
    layer = SpecLayer(**{**fields, **changes})  # type: ignore[arg-type]
    return Spec((n_inputs, 1, 1), 1.0, 128, Grid(6), (layer,), "")


def test_the_delta_unit_by_hand() -> None:
    """Weight 3 = 192/64, gain 4, shift 6, pixels 1, 10, 9, 0: states 768, 7680, 6912, 0."""
    layer = one_by_one(1).layers[0]
    layer = replace(layer, weight=np.full((1, 1, 1, 1), 192, np.int16), threshold=1)
    spec = replace(one_by_one(1), input_gain=4, layers=(layer,))
    frames = torch.tensor([1, 10, 9, 0], dtype=torch.uint8).reshape(4, 1, 1, 1)
    reference = Reference(spec)
    run = reference.run(frames, keep_messages=True)
    assert run.messages is not None
    # The threshold of 1/64 is 4096 in units of the state; 7680 >> 6 = 120, then 6912 - 7680 waits.
    assert (run.messages[1].flatten() * 4096).tolist() == [0, 120, 0, -120]
    assert run.overflows.sum() == run.oversized.sum() == 0
    assert reference.layers[0].reach.state == 7680
    assert reference.layers[0].reach.message == 120


def test_24_bits_wrap_by_hand() -> None:
    edge = np.array([2**23 - 1, 2**23, -(2**23), -(2**23) - 1, 3 * 2**24])
    assert wrapped(edge).tolist() == [2**23 - 1, -(2**23), -(2**23), 2**23 - 1, 0]


@pytest.mark.parametrize("n_inputs", range(1, 12))
def test_a_sum_that_wraps_by_itself_is_an_overflow(n_inputs: int) -> None:
    """254 * 128 * 255 = 8,290,560 a pixel; 2^23 = 8,388,608, so from two pixels on it is one."""
    frames = torch.full((1, n_inputs, 1, 1), 255, dtype=torch.uint8)
    run = assert_all_equal(one_by_one(n_inputs), frames)
    assert run.overflows.tolist() == [[int(n_inputs > 1)]]


def test_a_sum_that_leaves_24_bits_on_the_way_to_a_state_inside_them_is_none() -> None:
    """The state of -(-w) pixel goes from -8,290,560 to 8,290,560: a step of twice that."""
    weight = np.array([-254, 254], np.int16).reshape(1, 2, 1, 1)
    spec = one_by_one(2, weight=weight)
    frames = torch.tensor([[255, 0], [0, 255]], dtype=torch.uint8).reshape(2, 2, 1, 1)
    run = assert_all_equal(spec, frames)
    assert run.overflows.sum() == 0
    assert Engine(spec).run(frames).outputs[1] > 0


def test_the_loud_network_counts_as_the_integers_do() -> None:
    spec = replace(random_spec(threshold=0), input_gain=128)
    run = assert_all_equal(spec, moving_frames(10))
    assert int(run.overflows.sum()) == 11_253
    assert (run.overflows[1:].sum(dim=1) > 0).all(), "counted in the frame in which it happens"


@given(
    specs(kinds=("max", "sum")),
    st.sampled_from([1, 8, 128]),
    st.sampled_from([0, 1, 40]),
    st.sampled_from([0, 4]),
    st.booleans(),
    st.integers(0, 3),
)
@settings(max_examples=30, deadline=None)
def test_every_backend_equals_the_integers(
    spec: Spec, gain: int, threshold: int, bits: int, last_relu: bool, seed: int
) -> None:
    """Quiet networks and such as wrap all the time; fine thresholds; a last layer without ReLU."""
    last = spec.layers[-1]
    if last.pool is None or not any(last.pool.pads):
        last = replace(last, relu=last_relu)
    layers = tuple(replace(one, threshold=threshold) for one in (*spec.layers[:-1], last))
    spec = replace(spec, layers=layers, input_gain=gain, grid=Grid(6, threshold_bits=bits))
    frames = changing_frames(5, spec, seed)
    assert_all_equal(spec, frames)
    assert_all_equal(spec, frames, neuron="stock")


@given(specs(), st.lists(st.booleans(), min_size=7, max_size=7), st.sampled_from([1, 128]))
@settings(max_examples=20, deadline=None)
def test_memoryless_layers_equal_the_integers(
    spec: Spec, is_stateful: list[bool], gain: int
) -> None:
    layers = tuple(
        replace(one, is_stateful=own, threshold=3)
        for one, own in zip(spec.layers, is_stateful[1:], strict=False)
    )
    spec = replace(spec, layers=layers, input_gain=gain, input_is_stateful=is_stateful[0])
    frames = changing_frames(4, spec, 0)
    assert_all_equal(spec, frames)
    expected = Reference(spec, memoryless=True).run(frames, keep_messages=True)
    engine = Engine(spec, memoryless=True)
    assert_equal_runs(engine.run(frames, keep_messages=True), expected)


@pytest.mark.parametrize("shift", [0, 6])
def test_sums_over_windows_that_float32_cannot_hold_are_exact(shift: int) -> None:
    """Nine states near 2^23 add up to more than 2^25, and odd message units must not be lost."""
    rng = np.random.default_rng(0)
    layer = SpecLayer(
        name="only",
        geometry=Convolution(),
        weight=np.full((1, 1, 1, 1), 254, np.int16),
        bias=np.array([1900], np.int32),
        relu=True,
        pool=Pool("sum", (3, 3), (1, 1)),
        threshold=0,
        scale=np.ones(1),
        input_shape=(1, 8, 8),
        shift=shift,
    )
    after = replace(
        layer, name="after", bias=None, pool=None, input_shape=(1, 6, 6), shift=6, scale=np.ones(1)
    )
    spec = Spec((1, 8, 8), 1.0, 127, Grid(6), (layer, after), "")
    frames = torch.from_numpy(rng.integers(200, 256, (5, 1, 8, 8)).astype(np.uint8))
    run = assert_all_equal(spec, frames)
    assert run.messages is not None
    assert float(run.messages[1].max()) * 4096 * 2**shift > 2**25
    assert_all_equal(spec, frames, neuron="stock")


@pytest.mark.parametrize("neuron", ["corrected", "stock"])
def test_what_was_sent_is_not_rounded_between_chunks(neuron: NeuronModel) -> None:
    """The biases of the first layer make slayer compute the second in float64 in the first chunk,
    and what that one sends, a sum of nine states without a shift, needs more than 24 bits.
    """
    first = SpecLayer(
        name="first",
        geometry=Convolution(),
        weight=np.full((2, 1, 1, 1), 254, np.int16),
        bias=np.array([30_000, 20_001], np.int32),
        relu=True,
        pool=None,
        threshold=0,
        scale=np.ones(2),
        input_shape=(1, 4, 5),
        shift=2,
    )
    second = replace(
        first,
        name="second",
        weight=np.array([[[[-2]], [[254]]]], np.int16),
        bias=np.array([46_415], np.int32),
        pool=Pool("sum", (3, 3), (1, 1)),
        scale=np.array([4.3]),
        input_shape=(2, 4, 5),
        shift=0,
    )
    spec = Spec((1, 4, 5), 1.0, 1, Grid(3), (first, second), "")
    assert_all_equal(spec, changing_frames(6, spec, 0), neuron=neuron)


def test_a_wrap_is_exact_where_the_sum_and_the_limit_need_more_than_float32() -> None:
    """A state of 254 * 127 * 255, and three times as much and 254 in one step: 32,903,414, which
    float32 holds, below 2^25 and even. With the limit of 2^23 added it is no multiple of 4.
    """
    weight = np.array([254, 254, 254, 254, 2], np.int16).reshape(1, 5, 1, 1)
    spec = replace(one_by_one(5, weight=weight, relu=False, shift=0), input_gain=127)
    pixels = [[255, 0, 0, 0, 0], [255, 255, 255, 255, 1], [0, 0, 0, 0, 4]]
    frames = torch.tensor(pixels, dtype=torch.uint8).reshape(3, 5, 1, 1)
    run = assert_all_equal(spec, frames)
    assert run.overflows.flatten().tolist()[:2] == [0, 1]


def test_pooling_of_the_reference_by_hand() -> None:
    x = np.arange(9, dtype=np.int64).reshape(1, 3, 3)
    assert Pool("max", (2, 2), (1, 1)).apply_integers(x).tolist() == [[[4, 5], [7, 8]]]
    assert Pool("sum", (2, 2), (2, 2), (1, 1, 0, 0)).apply_integers(x).tolist() == [
        [[0, 3], [9, 24]]
    ]


@pytest.mark.lava
@pytest.mark.parametrize("loud", [False, True])
def test_lava_counts_what_the_integers_count(loud: bool) -> None:
    """Dense layers, a transposed convolution, pooling trees; biases begin with the first frame."""
    spec = random_spec(threshold=0 if loud else 2, pool=MAX_POOL, dense=True)
    spec = replace(spec, input_gain=128 if loud else 1)
    frames = moving_frames(3)
    found = lava_backend(spec).run(frames)
    lowered = lower_spec(spec)
    events = torch.zeros(len(frames), len(spec.layers), dtype=torch.int64)
    overflows = torch.zeros_like(events)
    expected = Reference(lowered.spec).run(frames)
    for index, part in enumerate(lowered.parts):
        events[:, part.origin] += expected.events[:, index + 1]
        overflows[:, part.origin] += expected.overflows[:, index]
    assert torch.equal(found.events[:, 1:], events)
    assert torch.equal(found.overflows, overflows)
    assert bool((overflows.sum(dim=1) > 0).all()) == loud


def test_a_sum_pool_is_exact_in_the_usual_range_too() -> None:
    assert_all_equal(random_spec(threshold=1, pool=SUM_POOL, dense=True), moving_frames(6))
