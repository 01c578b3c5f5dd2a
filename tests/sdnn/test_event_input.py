"""The engine's input as changed pixels, against the same input as frames."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_results import Unwired, assert_same_steps, pixel_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import moving_frames, random_spec
from random_networks import operating_points
from torch import Tensor

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.engine import engine as engine_module
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.instructions.vector import host_vectors
from ann2sdnn.sdnn.engine.loops.frames import MESSAGES, OPERATIONS
from ann2sdnn.sdnn.engine.loops.memory import KINDS
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.support.errors import DataError


@pytest.fixture(autouse=True)
def _threads_for_small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_NEURONS_PER_THREAD", 1)


def drifting(shape: Shape, seed: int, n: int = 5) -> Tensor:
    """Noise that stays in most pixels, and in all of them from the third frame to the fourth."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (n, *shape)).astype(np.uint8)
    frames *= rng.random(frames.shape) < 0.5
    for t in range(1, n):
        stays = rng.random(shape) < (1 if t == 3 else 0.8)
        np.copyto(frames[t], frames[t - 1], where=stays)
    return torch.from_numpy(frames)


# The first example compiles.
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(operating_points(), st.integers(0, 2**31), st.booleans(), st.integers(1, 3))
def test_changed_pixels_equal_frames(
    points: OperatingPoints, seed: int, memoryless: bool, n_threads: int
) -> None:
    """Memory or none in the input and the layers, all vector units, threads side by side."""
    for _, spec in points:
        frames = drifting(spec.input_shape, seed)
        for vector in host_vectors():
            engines = [
                Engine(spec, memoryless=memoryless, vector=vector, n_threads=n_threads)
                for _ in range(2)
            ]
            assert_same_steps(engines[0], engines[1], frames)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_several_channels_of_a_pixel_send_together(channels: int) -> None:
    first = replace(
        random_spec().layers[0],
        input_shape=(channels, 16, 20),
        weight=np.full((6, channels, 3, 3), 2, np.int16),
    )
    spec = replace(random_spec(), layers=(first,), input_shape=first.input_shape)
    assert_same_steps(Engine(spec), Engine(spec), drifting(spec.input_shape, channels))


def test_frames_and_changed_pixels_take_turns() -> None:
    spec, frames = random_spec(threshold=2), moving_frames(8)
    expected, engine = Engine(spec), Engine(spec)
    for t, (frame, (at, values)) in enumerate(zip(frames, pixel_steps(frames), strict=True)):
        found = engine.step(frame) if t % 3 == 0 else engine.step_pixels(at, values)
        step = expected.step(frame)
        assert torch.equal(found.output, step.output)
        assert found.counts.tolist() == step.counts.tolist()


def test_no_changed_pixels_send_nothing() -> None:
    engine, frames = Engine(random_spec(threshold=0)), moving_frames(2)
    engine.run(frames)
    nothing = np.empty(0, np.int64), np.empty(0, np.uint8)
    assert engine.step_pixels(*nothing).counts[:, [MESSAGES, OPERATIONS]].sum() == 0


@pytest.mark.parametrize("index", [0, 1])
def test_a_network_that_runs_layer_by_layer_takes_changed_pixels(index: int) -> None:
    spec = random_spec(threshold=2)
    layers = list(spec.layers)
    known = layers[index].geometry
    assert isinstance(known, Convolution)
    unwired = Unwired(known.stride, known.pads, known.dilation, known.groups)
    layers[index] = replace(layers[index], geometry=unwired)
    spec = replace(spec, layers=tuple(layers))
    assert Engine(spec)._foreign
    assert_same_steps(Engine(spec), Engine(spec), moving_frames(5))


@pytest.mark.parametrize(
    ("at", "values", "found"),
    [
        ([0, 320], [1, 1], "pixels that do not ascend within 0 to 319; sort them"),
        ([-1, 0], [1, 1], "pixels that do not ascend within 0 to 319"),
        ([1, 1], [1, 1], "pixels that do not ascend"),
        ([2, 1], [1, 1], "pixels that do not ascend"),
        ([1, 2], [1], r"pixels int64 \[2\] with values uint8 \[1\]; expected int64 \[n\]"),
        ([[1], [2]], [[1], [2]], "pixels that do not ascend"),
    ],
)
def test_other_pixels_are_refused_and_change_nothing(at: Any, values: Any, found: str) -> None:
    engine, other = Engine(random_spec()), Engine(random_spec())
    with pytest.raises(DataError, match=found):
        engine.step_pixels(np.array(at, np.int64), np.array(values, np.uint8))
    for name, value in other.state_dict().items():
        assert torch.equal(engine.state_dict()[name], value)


def test_pixels_of_another_type_are_refused() -> None:
    with pytest.raises(DataError, match=r"pixels int32 \[1\] with values uint8 \[1\]"):
        Engine(random_spec()).step_pixels(np.zeros(1, np.int32), np.zeros(1, np.uint8))


def test_nothing_is_written_beyond_an_array() -> None:
    """The last pixels of all, in every channel."""
    spec = random_spec()
    engine = Engine(spec)
    arrays = [getattr(engine._layout.memory, name) for name in KINDS]
    ends = [array[-64:].copy() for array in arrays]
    size = int(np.prod(spec.input_shape))
    engine.step_pixels(np.arange(size), np.full(size, 255, np.uint8))
    for before, array in zip(ends, arrays, strict=True):
        assert np.array_equal(before, array[-64:])
