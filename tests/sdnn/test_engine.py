"""The engine on every vector unit of this processor, alone and with threads side by side.

Equality with the integer reference in messages and counts, on networks of every kind of layer. That
all backends agree is tested in ``test_reference.py`` and ``test_backends.py``.
"""

import itertools
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_results import assert_equal, drifting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import moving_frames, random_spec
from random_networks import operating_points

from ann2sdnn.graph.kinds import Convolution, Geometry, TransposedConvolution
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine import engine as engine_module
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.instructions.vector import PLAIN, VECTORS, Vector, host_vectors
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS
from ann2sdnn.sdnn.engine.loops.memory import KINDS
from ann2sdnn.sdnn.engine.loops.messages import NOT_PACKED
from ann2sdnn.sdnn.engine.run import BackendResult
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.grid import Grid, NeuronModel
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

NEURONS: tuple[NeuronModel, ...] = ("corrected", "stock")


@pytest.fixture(autouse=True)
def _threads_for_small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_NEURONS_PER_THREAD", 1)


# The first example compiles.
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    operating_points(),
    st.integers(0, 2**31),
    st.sampled_from(NEURONS),
    st.booleans(),
    st.booleans(),
    st.integers(0, 6),
    st.integers(1, 3),
)
def test_it_equals_the_integers(
    points: OperatingPoints,
    seed: int,
    neuron: NeuronModel,
    memoryless: bool,
    relu: bool,
    spike_exp: int,
    n_threads: int,
) -> None:
    for _, point in points:
        layers = tuple(replace(layer, relu=relu) for layer in point.layers)
        spec = replace(point, layers=layers, grid=Grid(spike_exp))
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


def convolution(geometry: Geometry, channels: int, outputs: int, side: int = 3) -> SpecLayer:
    """A layer of random weights on maps of 14 x 11, without zeros."""
    rng = np.random.default_rng(side * channels + outputs)
    shape = (outputs, channels // geometry.groups, side, side)
    if isinstance(geometry, TransposedConvolution):
        shape = (channels, outputs, side, side)
    weight = 2 * rng.integers(1, 100, shape) * rng.choice([-1, 1], shape)
    return SpecLayer(
        name="layer",
        geometry=geometry,
        weight=weight.astype(np.int16),
        bias=rng.integers(-3, 4, outputs).astype(np.int32),
        relu=True,
        pool=None,
        input_shape=(channels, 14, 11),
        threshold=2,
        scale=np.ones(outputs),
    )


WIDE = {
    "3x3, 16 outputs": convolution(Convolution(pads=(1, 1, 1, 1)), 20, 16),
    "3x3, 32 outputs": convolution(Convolution(pads=(1, 1, 1, 1)), 20, 32),
    "3x3, 64 outputs": convolution(Convolution(pads=(1, 1, 1, 1)), 20, 61),
    "3x3, 48 outputs": convolution(Convolution(pads=(1, 1, 1, 1)), 5, 48),
    "dilated": convolution(Convolution(pads=(2, 2, 2, 2), dilation=(2, 2)), 20, 32),
    "strided": convolution(Convolution((2, 2), (1, 1, 1, 1)), 20, 32),
    "strided and dilated": convolution(Convolution((2, 2), (2, 2, 2, 2), (2, 2)), 20, 16),
    "higher than wide": convolution(Convolution(pads=(2, 1, 2, 1)), 7, 16, 5),
    "transposed": convolution(TransposedConvolution((2, 2), (0, 0, 1, 1)), 20, 32),
    "transposed by 3": convolution(TransposedConvolution((3, 3)), 20, 16),
    "depthwise": convolution(Convolution(pads=(1, 1, 1, 1), groups=20), 20, 40),
    "depthwise, one output": convolution(Convolution(pads=(1, 1, 1, 1), groups=35), 35, 35),
    "depthwise, strided": convolution(Convolution((2, 2), (1, 1, 1, 1), groups=20), 20, 20),
    "depthwise, one pixel": convolution(Convolution(groups=20), 20, 40, 1),
    "two inputs each": convolution(Convolution(pads=(1, 1, 1, 1), groups=20), 40, 20),
    "two inputs each, strided": convolution(Convolution((2, 2), (0, 1, 1, 0), groups=5), 10, 5),
    "strided by 3": convolution(Convolution((3, 3), (2, 2, 2, 2)), 3, 20, 5),
    "three inputs each": convolution(Convolution(pads=(1, 1, 1, 1), groups=7), 21, 14),
    "one pixel": convolution(Convolution(), 70, 33, 1),
}


@pytest.mark.parametrize("vector", host_vectors(), ids=lambda vector: vector.name)
@pytest.mark.parametrize("layer", WIDE.values(), ids=WIDE)
def test_many_channels_equal_the_integers(layer: SpecLayer, vector: Vector) -> None:
    """So that pixels send many messages, and blocks of outputs are whole and cut."""
    spec = Spec(layer.input_shape, 1.0, 3, Grid(6), (layer,), "")
    frames = drifting(spec.input_shape, 1)
    expected = Reference(spec).run(frames, keep_messages=True)
    assert_equal(Engine(spec, vector=vector).run(frames, keep_messages=True), expected)


@pytest.mark.parametrize("vector", host_vectors(), ids=lambda vector: vector.name)
@pytest.mark.parametrize("width", [5, 37])
@pytest.mark.parametrize("layer", WIDE.values(), ids=WIDE)
def test_rows_in_which_nearly_all_send_equal_the_integers(
    layer: SpecLayer, width: int, vector: Vector
) -> None:
    """They are multiplied whole, some columns at a time, the last of which reach back."""
    shape = (layer.input_shape[0], 9, width)
    spec = Spec(shape, 1.0, 3, Grid(6), (replace(layer, input_shape=shape),), "")
    rng = np.random.default_rng(width)
    frames = torch.from_numpy(rng.integers(0, 256, (3, *shape)).astype(np.uint8))
    expected = Reference(spec).run(frames, keep_messages=True)
    for n_threads in (1, 2):
        engine = Engine(spec, vector=vector, n_threads=n_threads)
        assert_equal(engine.run(frames, keep_messages=n_threads == 1), expected)


def test_maps_of_rows_hold_nothing_of_other_maps() -> None:
    """Layers share room, and frames change a part of the rows, of pixels, or of channels."""
    geometries = (
        (Convolution((2, 2), (1, 1, 1, 1)), 17, 3),
        (Convolution(groups=17), 34, 1),
        (Convolution(pads=(1, 1, 1, 1), groups=17), 17, 3),
        (Convolution(pads=(1, 1, 1, 1), groups=17), 17, 3),
        (Convolution(), 9, 1),
    )
    shape, layers = (3, 16, 37), list[SpecLayer]()
    for geometry, outputs, side in geometries:
        layer = convolution(geometry, shape[0], outputs, side)
        weight = np.clip(layer.weight // 8, -8, 8) * 2
        layers.append(replace(layer, weight=weight, input_shape=shape, threshold=0, relu=False))
        shape = layers[-1].output_shape
    spec = Spec((3, 16, 37), 1.0, 1, Grid(6), tuple(layers), "")
    rng = np.random.default_rng(0)
    frames = np.zeros((12, *spec.input_shape), np.uint8)
    for t in range(1, len(frames)):
        frames[t] = frames[t - 1]
        changes = rng.random((16, 37)) < rng.choice([0.05, 0.7, 1])
        changes[rng.random(16) < 0.3] = False
        chosen = changes & (rng.random((3, 1, 1)) < 0.8)
        frames[t] = np.where(chosen, rng.integers(0, 256, spec.input_shape), frames[t])
    expected = Reference(spec).run(torch.from_numpy(frames), keep_messages=True)
    for n_threads in (1, 2):
        engine = Engine(spec, n_threads=n_threads)
        found = engine.run(torch.from_numpy(frames), keep_messages=n_threads == 1)
        assert_equal(found, expected)


@pytest.mark.parametrize("layer", WIDE.values(), ids=WIDE)
def test_every_pixel_alone_equals_the_integers(layer: SpecLayer) -> None:
    """At a border, a pixel meets fewer taps than elsewhere, and may be alone in its row."""
    spec = Spec(layer.input_shape, 1.0, 3, Grid(6), (layer,), "")
    rows, columns = (0, 1, 7, 12, 13), (0, 1, 5, 9, 10)
    frames = torch.zeros((len(rows) * len(columns), *spec.input_shape), dtype=torch.uint8)
    for index, (row, column) in enumerate(itertools.product(rows, columns)):
        frames[index:, : 1 + index % 3, row, column] = 50
    expected = Reference(spec).run(frames, keep_messages=True)
    assert_equal(Engine(spec).run(frames, keep_messages=True), expected)


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 0, 1, 1)])
@pytest.mark.parametrize("relu", [True, False])
def test_pooling_equals_the_integers_with_threads(
    kind: str, kernel: tuple[int, int], pads: tuple[int, int, int, int], relu: bool
) -> None:
    """Windows that tile the map, overlap, leave rows over, and reach beyond it."""
    layer = convolution(Convolution(pads=(1, 1, 1, 1)), 4, 6)
    pooled = replace(layer, pool=Pool(kind, kernel, (2, 2), pads), relu=relu)  # type: ignore[arg-type]
    spec = Spec(layer.input_shape, 1.0, 3, Grid(6), (pooled,), "")
    frames = drifting(spec.input_shape, 2)
    expected = Reference(spec).run(frames)
    for n_threads in (1, 2, 3):
        assert_equal(Engine(spec, n_threads=n_threads).run(frames), expected)


def test_messages_beyond_16_bits_and_sums_beyond_32_are_exact() -> None:
    loud = random_spec(threshold=0)
    spec = Spec(loud.input_shape, 1.0, 128, loud.grid, loud.layers, "")
    quick = tuple(replace(layer, shift=0) for layer in spec.layers)
    spec = replace(spec, layers=quick)
    frames = moving_frames(6)
    expected = Reference(spec).run(frames, keep_messages=True)
    assert int(expected.oversized.sum()) > 0
    assert int(expected.overflows.sum()) > 0
    assert_equal(Engine(spec).run(frames, keep_messages=True), expected)


@pytest.mark.parametrize("gain", [1, 8, 128])
def test_rows_that_are_not_packed_are_exact_too(gain: int) -> None:
    """Nearly all neurons send, first a little, later more than the fast kernels hold."""
    first = convolution(Convolution(pads=(1, 1, 1, 1)), 3, 17)
    second = convolution(Convolution(pads=(1, 1, 1, 1), groups=17), 17, 17)
    layers = tuple(
        replace(one, input_shape=(one.input_shape[0], 9, 37), threshold=0, relu=False, shift=0)
        for one in (first, second, second)
    )
    spec = Spec((3, 9, 37), 1.0, gain, Grid(6), layers, "")
    rng = np.random.default_rng(gain)
    loud = [rng.integers(0, most, spec.input_shape) for most in (2, 3, 3, 9, 9, 60, 256, 256, 9)]
    frames = torch.from_numpy(np.array(loud, np.uint8))
    expected = Reference(spec).run(frames, keep_messages=True)
    assert gain < 128 or int(expected.oversized.sum()) > 0
    for n_threads in (1, 2):
        engine = Engine(spec, n_threads=n_threads)
        assert_equal(engine.run(frames, keep_messages=n_threads == 1), expected)
    memory, plane = engine._layout.memory, engine._layout.memory.planes[0]
    rows = memory.n_senders[plane["mapped"] : plane["mapped"] + plane["height"]]
    assert (rows == NOT_PACKED).all()


def test_steps_are_the_frames_of_a_run() -> None:
    spec, frames = random_spec(threshold=2), moving_frames(8)
    expected, engine = Engine(spec).run(frames), Engine(spec)
    for t, frame in enumerate(frames):
        step = engine.step(frame)
        assert torch.equal(step.output, expected.outputs[t])
        assert step.counts[:, MESSAGES].tolist() == expected.events[t].tolist()
        assert step.counts[1:, OPERATIONS].tolist() == expected.synops[t].tolist()


@pytest.mark.parametrize("memoryless", [(), (0,), (1, 2), (0, 1, 2, 3, 4)])
def test_a_loaded_state_goes_on_where_it_was_saved(memoryless: tuple[int, ...]) -> None:
    """Behind a memoryless layer a state is of one frame only."""
    spec, frames = random_spec(threshold=2), moving_frames(8)
    layers = tuple(
        replace(layer, is_stateful=index not in memoryless)
        for index, layer in enumerate(spec.layers)
    )
    spec = replace(spec, layers=layers)
    expected = Engine(spec).run(frames)
    first, second = Engine(spec), Engine(spec)
    first.run(frames[:4])
    second.load_state_dict(first.state_dict())
    found = second.run(frames[4:])
    assert torch.equal(found.outputs, expected.outputs[4:])
    assert torch.equal(found.events, expected.events[4:])


def test_a_frame_like_the_one_before_sends_nothing() -> None:
    engine, frames = Engine(random_spec(threshold=0)), moving_frames(2)
    engine.run(frames)
    step = engine.step(frames[-1])
    assert step.counts[:, : OPERATIONS + 1].sum() == 0


def test_engines_run_side_by_side_in_threads_of_python() -> None:
    """Each with its own state, and with threads of its own."""
    specs = [random_spec(threshold=k) for k in range(4)]
    frames = moving_frames(12)
    expected = [Engine(spec, n_threads=1).run(frames) for spec in specs]
    found: dict[int, BackendResult] = {}

    def run(index: int) -> None:
        found[index] = Engine(specs[index], n_threads=2).run(frames)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(found) == [0, 1, 2, 3]
    for index, result in found.items():
        assert_equal(result, expected[index])


def test_nothing_is_written_beyond_an_array() -> None:
    """Behind every array of the memory there is room, which stays as it was."""
    for layer in WIDE.values():
        spec = Spec(layer.input_shape, 1.0, 3, Grid(6), (layer,), "")
        engine = Engine(spec, n_threads=2)
        memory = engine._layout.memory
        arrays: list[np.ndarray[Any, Any]] = [getattr(memory, name) for name in KINDS]
        ends = [array[-64:].copy() for array in arrays]
        engine.run(drifting(spec.input_shape, 3))
        for before, array in zip(ends, arrays, strict=True):
            assert np.array_equal(before, array[-64:])


BOUNDS = """
import numpy as np, torch
from ann2sdnn.api import EventWindow, Stream
from ann2sdnn.sdnn.engine.engine import Engine
from branched_networks import branched_graph, branched_spec
from event_streams import random_events
from networks import moving_frames, random_spec
spec = random_spec(threshold=1)
for window in (EventWindow(events=1200), EventWindow(microseconds=1200)):
    stream = Stream(spec, window)
    for begin in range(0, 4000, 1000):
        x, y, t, *_ = random_events(4000, (16, 20), 0).part(begin, begin + 1000)
        stream.step_events(x, y, t)
    assert stream.frames >= 3
Engine(branched_spec(branched_graph(n_outputs=3), threshold=9), n_threads=1).run(moving_frames(4))
print(int(Engine(spec, n_threads=1).run(moving_frames(4)).events.sum()))
"""


def test_every_index_is_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With numba's own check, which compiles everything again."""
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tests), prepend=":")
    run = subprocess.run(
        [sys.executable, "-c", BOUNDS], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    expected = Engine(random_spec(threshold=1)).run(moving_frames(4)).events.sum()
    assert int(run.stdout) == int(expected)


def test_another_processor_than_this_one_gets_plain_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.CPU_NAME", "generic")
    assert host_vectors() == (PLAIN,)
    with pytest.warns(UserWarning, match="sends the same messages more slowly"):
        Engine(random_spec(threshold=1))


def test_the_plain_unit_is_always_there() -> None:
    assert host_vectors()[-1] is PLAIN
    assert set(host_vectors()) <= set(VECTORS)
