"""The backends agree with the ANN without rounding, and with each other, bit by bit, with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lava_backends import slayer_backend
from networks import (
    MAX_POOL,
    SUM_POOL,
    assert_equal_messages,
    moving_frames,
    network_from_graph,
    random_spec,
    small_graph,
)

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend, MessageCounter
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

AVERAGE_POOL = Pool("average", (2, 2), (2, 2))
MakeBackend = Callable[..., Backend]


def slayer_of(spec: Spec, **options: int) -> Backend:
    return slayer_backend(network_from_spec(spec), **options)


BOTH = [Engine, pytest.param(slayer_of, marks=pytest.mark.lava)]
CHUNKED = [(Engine, {}), pytest.param(slayer_of, {"chunk_frames": 3}, marks=pytest.mark.lava)]


@pytest.mark.lava
@pytest.mark.parametrize("pool", [MAX_POOL, AVERAGE_POOL])
@pytest.mark.parametrize("dense", [False, True])
def test_without_rounding_the_sdnn_is_the_ann(pool: Pool, dense: bool) -> None:
    graph = small_graph(pool=pool, dense=dense)
    assert_sdnn_is_ann(graph, moving_frames(9))


def assert_sdnn_is_ann(graph: Graph, frames: torch.Tensor) -> None:
    """Frame by frame to float rounding; the outputs must change from frame to frame."""
    ann = FloatNetwork(graph)
    expected = ann(ann.encode(frames))
    run = slayer_backend(network_from_graph(graph)).run(frames)
    assert float((expected[1:] - expected[:-1]).abs().max()) > 0.05 * float(expected.max())
    tolerance = 1e-5 * float(expected.abs().max())
    assert float((run.outputs - expected).abs().max()) < tolerance


@pytest.mark.lava
@pytest.mark.parametrize("threshold", [0, 1, 6])
@pytest.mark.parametrize("pool", [MAX_POOL, SUM_POOL])
@pytest.mark.parametrize("dense", [False, True])
def test_engine_and_slayer_send_the_same_messages(threshold: int, pool: Pool, dense: bool) -> None:
    spec = random_spec(threshold=threshold, pool=pool, dense=dense)
    run = assert_equal_messages(Engine(spec), slayer_of(spec), moving_frames(10))
    assert bool((run.events.sum(dim=0) > 0).all()), "a silent layer compares nothing"


@pytest.mark.lava
def test_they_agree_where_states_leave_24_bits_and_float32_would_round() -> None:
    """Large inputs wrap the states round; both backends wrap alike and count it."""
    spec = random_spec(threshold=0)
    loud = Spec(spec.input_shape, spec.input_scale, 128, spec.grid, spec.layers, "")
    run = assert_equal_messages(Engine(loud), slayer_of(loud), moving_frames(10))
    assert int(run.overflows.sum()) > 0


@pytest.mark.parametrize(("make", "options"), CHUNKED)
def test_chunks_of_a_recording_continue_where_they_stopped(
    make: MakeBackend, options: dict[str, int]
) -> None:
    backend = make(random_spec(threshold=2), **options)
    frames = moving_frames(10)
    whole = backend.run(frames)
    backend.reset()
    parts = [backend.run(frames[:4]), backend.run(frames[4:])]
    assert torch.equal(whole.outputs, torch.cat([part.outputs for part in parts]))
    assert torch.equal(whole.events, torch.cat([part.events for part in parts]))


@pytest.mark.parametrize("make", BOTH)
def test_reset_forgets(make: MakeBackend) -> None:
    backend = make(random_spec(threshold=2))
    frames = moving_frames(6)
    first = backend.run(frames).outputs
    assert not torch.equal(backend.run(frames).outputs, first)
    backend.reset()
    assert torch.equal(backend.run(frames).outputs, first)


def test_memoryless_is_a_reset_before_every_frame() -> None:
    spec = random_spec(threshold=2)
    frames = moving_frames(6)
    memoryless = Engine(spec, memoryless=True).run(frames)
    engine = Engine(spec)
    for t, frame in enumerate(frames):
        engine.reset()
        alone = engine.run(frame[None])
        assert torch.equal(memoryless.outputs[t], alone.outputs[0])
        assert torch.equal(memoryless.events[t], alone.events[0])


def test_operations_are_counted_as_a_plain_loop_counts_them() -> None:
    """3x3 kernel, padding 1, one zero weight; a message at a corner meets 4 taps, less the zero."""
    weight = np.full((2, 1, 3, 3), 2, np.int16)
    weight[0, 0, 1, 1] = 0
    layer = SpecLayer(
        name="only",
        geometry=Convolution(pads=(1, 1, 1, 1)),
        weight=weight,
        bias=None,
        relu=True,
        pool=None,
        threshold=0,
        scale=np.ones(2),
        input_shape=(1, 4, 5),
    )
    spec = Spec((1, 4, 5), 1.0, 64, Grid(6), (layer,), "")
    corner, edge, inside = (torch.zeros(1, 1, 4, 5, dtype=torch.uint8) for _ in range(3))
    corner[0, 0, 0, 0] = edge[0, 0, 0, 2] = inside[0, 0, 2, 2] = 1
    for frames, expected in ((corner, 2 * 4 - 1), (edge, 2 * 6 - 1), (inside, 2 * 9 - 1)):
        run = Engine(spec).run(frames)
        assert run.synops.tolist() == [[expected]]
        assert run.events[0, 0] == 1
    # Dense: 18 taps less one zero inside (2x3 pixels), fewer at 4 corners and 10 edge pixels.
    assert MessageCounter(network_from_spec(spec)).dense_macs == 6 * 17 + 4 * 7 + 10 * 11


@pytest.mark.lava
def test_the_pose_network_is_the_ann_in_slayer(tmp_path: Path) -> None:
    """The 17 layers at 64x80, from float weights: equal to the ANN to float rounding."""
    torch.manual_seed(0)
    write_onnx(tmp_path / "model.onnx", PoseNet().weights(), 1 / 255)
    graph = read_onnx(tmp_path / "model.onnx", input_size=(64, 80))
    assert_sdnn_is_ann(graph, moving_frames(3, (1, 64, 80)))
