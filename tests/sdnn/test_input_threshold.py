"""The threshold of the input: what is sent, in every backend, and what receivers have."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from branched_networks import branched_graph, branched_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import moving_frames, random_spec

from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend, BackendResult, input_messages
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.file import read_points, write_points
from ann2sdnn.sdnn.spec.input_code import held
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError


def backends(spec: Spec, memoryless: bool) -> Iterator[Backend]:
    yield Engine(spec, memoryless=memoryless)
    if not memoryless:
        pytest.importorskip("lava.lib.dl")
        from ann2sdnn.sdnn.slayer.backend import SlayerBackend

        yield SlayerBackend(network_from_spec(spec), chunk_frames=3)


def assert_equal(one: BackendResult, other: BackendResult) -> None:
    assert torch.equal(one.outputs, other.outputs)
    assert torch.equal(one.events, other.events)
    assert torch.equal(one.synops, other.synops)
    assert one.messages is not None
    assert other.messages is not None
    for own, theirs in zip(one.messages, other.messages, strict=True):
        assert torch.equal(own, theirs)


def test_changes_below_the_threshold_wait_until_they_add_up() -> None:
    values = torch.tensor([3, 5, 7, 8, 7, 4, 0])
    assert held(values, torch.tensor(0), 4).tolist() == [0, 5, 5, 5, 5, 5, 0]
    spec = replace(random_spec(), input_gain=2, input_threshold=8)
    frames = torch.zeros(7, *spec.input_shape, dtype=torch.uint8)
    frames[:, 0, 0, 0] = values.to(torch.uint8)
    assert input_messages(spec, frames)[:, 0, 0, 0].tolist() == [0, 10, 0, 0, 0, 0, -10]


@pytest.mark.parametrize("threshold", [0, 1])
def test_thresholds_up_to_a_unit_send_every_change(threshold: int) -> None:
    values = torch.tensor([3, 4, 4, 3])
    assert torch.equal(held(values, torch.tensor(0), threshold), values)


@pytest.mark.parametrize("memoryless", [False, True])
@pytest.mark.parametrize("gain", [1, 3])
@pytest.mark.parametrize("branched", [False, True])
def test_backends_send_the_same(branched: bool, gain: int, memoryless: bool) -> None:
    spec = branched_spec(branched_graph()) if branched else random_spec()
    spec = replace(spec, input_gain=gain, input_threshold=40 * gain)
    frames = moving_frames(7)
    expected = Reference(spec, memoryless=memoryless).run(frames, keep_messages=True)
    every = Reference(replace(spec, input_threshold=0), memoryless=memoryless).run(frames)
    assert 0 < expected.events[1:, 0].sum() < 0.9 * every.events[1:, 0].sum()
    for backend in backends(spec, memoryless):
        assert_equal(backend.run(frames, keep_messages=True), expected)


def test_levels_with_a_mean_have_a_threshold_too() -> None:
    spec = replace(random_spec(), input_offset=(40,), input_threshold=30)
    spec = replace(spec, preprocessing=Preprocessing(mean=(40.0,)))
    frames = moving_frames(7)
    expected = Reference(spec).run(frames, keep_messages=True)
    for backend in backends(spec, False):
        assert_equal(backend.run(frames, keep_messages=True), expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 60), st.integers(1, 5), st.integers(0, 2**16))
def test_the_engine_continues_where_it_stopped(threshold: int, split: int, seed: int) -> None:
    spec = replace(random_spec(), input_threshold=threshold)
    frames = moving_frames(7, seed=seed)
    whole, parts = Engine(spec).run(frames), Engine(spec)
    first, state = parts.run(frames[:split]), parts.state_dict()
    again = Engine(spec)
    again.load_state_dict(state)
    rest = again.run(frames[split:])
    assert torch.equal(torch.cat([first.outputs, rest.outputs]), whole.outputs)
    assert torch.equal(torch.cat([first.events, rest.events]), whole.events)


@pytest.mark.parametrize("memoryless", [False, True])
def test_given_pixels_are_compared_with_what_was_sent(memoryless: bool) -> None:
    spec = replace(random_spec(), input_threshold=25)
    frames = moving_frames(9)
    expected = Engine(spec, memoryless=memoryless).run(frames)
    engine, before = Engine(spec, memoryless=memoryless), np.zeros(spec.input_shape, np.uint8)
    for t, frame in enumerate(frames.numpy()):
        changed = (frame != before).transpose(1, 2, 0).reshape(-1)
        values = frame.transpose(1, 2, 0).reshape(-1)[changed]
        step = engine.step_pixels(np.flatnonzero(changed), np.ascontiguousarray(values))
        assert torch.equal(step.output, expected.outputs[t])
        before = frame


def test_receivers_have_values_that_are_off_by_less_than_the_threshold() -> None:
    spec = replace(random_spec(), input_gain=1, input_threshold=25)
    frames = moving_frames(9)
    received = np.cumsum(input_messages(spec, frames), axis=0)
    assert 10 < np.abs(received - frames.numpy().astype(int)).max() < 25


def test_a_file_keeps_the_threshold_of_every_point(tmp_path: Path) -> None:
    lava = replace(random_spec(), input_threshold=5)
    engine = replace(lava, input_threshold=9)
    write_points(tmp_path / "sdnn.h5", OperatingPoints(lava, engine))
    again = read_points(tmp_path / "sdnn.h5")
    assert again.engine is not None
    assert (again.lava.input_threshold, again.engine.input_threshold) == (5, 9)


@pytest.mark.parametrize("threshold", [-1, 0.5, 2**15, True])
def test_a_threshold_that_no_message_reaches_is_refused(threshold: object) -> None:
    with pytest.raises(ModelError, match="an input threshold of"):
        replace(random_spec(), input_threshold=threshold)  # type: ignore[arg-type]
