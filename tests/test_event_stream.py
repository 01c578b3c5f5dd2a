"""A stream of events against a stream of frames that show the same windows."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from event_streams import Columns, PlainWindow, calls, random_events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import random_spec
from random_networks import operating_points

import ann2sdnn as a2s
from ann2sdnn.api import Stream
from ann2sdnn.calibration.thresholds.rules import MeanDelta
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.events.filters import EventFilters
from ann2sdnn.data.events.interval import Interval
from ann2sdnn.data.events.options import EventWindow, Windows
from ann2sdnn.data.events.windows import Events, labelled_frames
from ann2sdnn.data.synthetic.movements.catalogue import CATALOGUE
from ann2sdnn.data.synthetic.scene import make_scene
from ann2sdnn.data.synthetic.stream import raw_events
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import DataError, UsageError


def sent(stream: Stream) -> tuple[int, int, int]:
    return stream.frames, stream.messages, stream.operations


def assert_same_state(ours: Stream, theirs: Stream) -> None:
    """What ``theirs`` holds, which may be a stream of frames."""
    own = ours.state_dict()
    for name, value in theirs.state_dict().items():
        assert torch.equal(own[name], value), name


# The first example compiles.
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(operating_points(), st.integers(0, 2**31), st.integers(1, 100), st.data())
def test_events_equal_frames(
    points: OperatingPoints, seed: int, length: int, data: st.DataObject
) -> None:
    """Outputs, messages, operations and states, for windows of both kinds, and with memory or
    without."""
    scale = data.draw(st.sampled_from([None, 1.5]))
    window = data.draw(
        st.sampled_from([EventWindow(length, scale=scale), EventWindow(None, length, scale=scale)])
    )
    for _, spec in points:
        events = random_events(150, spec.input_shape[1:], seed)
        parts = data.draw(calls(len(events)))
        plain = PlainWindow(window, spec.input_shape, events)
        ours, theirs = Stream(spec, window), Stream(spec)
        for (begin, end), frame in zip(parts, plain.frames([end for _, end in parts]), strict=True):
            x, y, t, p, _ = events.part(begin, end)
            output = ours.step_events(x, y, t, p)
            assert (output is None) == (frame is None)
            if frame is not None:
                assert output is not None
                assert torch.equal(output, theirs.step(frame.copy()))
            assert sent(ours) == sent(theirs)
        assert_same_state(ours, theirs)


def two_cameras() -> Spec:
    """One layer that sees two cameras of DHP19's size."""
    spec = random_spec(threshold=3)
    rng = np.random.default_rng(0)
    first = replace(
        spec.layers[0],
        input_shape=(2, 260, 344),
        weight=(2 * rng.integers(-60, 60, (6, 2, 3, 3))).astype(np.int16),
    )
    return replace(spec, layers=(first,), input_shape=first.input_shape)


def recorded_events(n_chunks: int) -> Iterator[Events]:
    """The events of a moving person before four cameras, filtered as a recording's are."""
    filters = EventFilters(Interval(-1, 1 << 40), np.zeros(260 * 1384, np.bool_))
    for chunk in islice(raw_events(make_scene(0, 1, CATALOGUE[0])), n_chunks):
        yield filters.apply(chunk)


def test_a_recording_as_events_equals_its_frames() -> None:
    """Windows over four cameras of which the network sees two, on a sensor wider than its input."""
    chunks = list(recorded_events(6))
    x, y, t, camera = (
        np.concatenate([getattr(one, name) for one in chunks])
        for name in ("x", "y", "t_us", "camera")
    )
    events = Columns(x, y, t, np.zeros_like(t), camera)
    windows = Windows(4000, 500, normalise="fixed")
    frames = [one.frame for one in labelled_frames(chunks, np.zeros((200, 13, 3)), 0, windows)]
    assert len(frames) > 20
    spec = two_cameras()
    window = EventWindow(events=4000, sensor=(260, 346), cameras=(2, 3))
    ours, theirs, shown = Stream(spec, window), Stream(spec), iter(frames)
    for begin, end in pairwise(range(0, len(events) + 1, 500)):
        part = events.part(begin, end)
        output = ours.step_events(part.x, part.y, part.t, camera=part.camera)
        if output is not None:
            frame = next(shown)[:, :344, [2, 3]].transpose(2, 0, 1)
            assert torch.equal(output, theirs.step(np.ascontiguousarray(frame)))
            assert sent(ours) == sent(theirs)
    assert next(shown, None) is None
    assert ours.frames == len(frames)
    assert_same_state(ours, theirs)


SPEC = random_spec(threshold=2)
WINDOW = EventWindow(events=120)
SIZE = (16, 20)


def feed(stream: Stream, events: Columns, step: int = 40) -> list[Any]:
    """Outputs of calls with ``step`` events each."""
    parts = [events.part(begin, begin + step) for begin in range(0, len(events), step)]
    return [stream.step_events(part.x, part.y, part.t, part.p) for part in parts]


def assert_same_outputs(found: list[Any], expected: list[Any]) -> None:
    assert [one is None for one in found] == [one is None for one in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours is None or torch.equal(ours, theirs)


@pytest.mark.parametrize("cut", [0, 80, 120, 280])
def test_a_saved_stream_goes_on_from_its_state(cut: int) -> None:
    """Saved before its window is full, when it just is, and later; and reset."""
    events = random_events(400, SIZE, 1)
    stream = Stream(SPEC, WINDOW)
    expected = feed(stream, events)
    first, second = Stream(SPEC, WINDOW), Stream(SPEC, WINDOW)
    feed(first, events.part(0, cut))
    feed(second, events.part(100, 300))
    second.load_state_dict(first.state_dict())
    rest = feed(second, events.part(cut, 400))
    assert_same_outputs(rest, expected[cut // 40 :])
    assert_same_state(second, stream)
    second.reset()
    assert sent(second) == (0, 0, 0)
    assert_same_outputs(feed(second, events), expected)
    assert sent(second) == sent(stream)


def test_states_of_other_streams_are_refused() -> None:
    events = random_events(200, SIZE, 2)
    stream, frames = Stream(SPEC, WINDOW), Stream(SPEC)
    feed(stream, events)
    state = stream.state_dict()
    with pytest.raises(DataError, match="the state is that of a stream of events"):
        frames.load_state_dict(state)
    with pytest.raises(DataError, match="the state holds no window of events"):
        stream.load_state_dict(frames.state_dict())
    with pytest.raises(DataError, match="the state is that of another window"):
        stream.load_state_dict(state | {"window.form": state["window.form"] + 1})
    assert_same_state(stream, Stream(SPEC, WINDOW))  # as at its beginning
    with pytest.raises(DataError, match="the state is that of another network"):
        stream.load_state_dict(state | {"input.pixels": torch.zeros(1, 16, 21, dtype=torch.uint8)})
    assert_same_state(stream, Stream(SPEC, WINDOW))


def test_a_call_without_events_shows_the_window_again() -> None:
    stream, nothing = Stream(SPEC, WINDOW), random_events(0, SIZE, 0)
    assert stream.step_events(nothing.x, nothing.y, nothing.t) is None
    assert stream.frames == 0
    *_, last = feed(stream, random_events(200, SIZE, 3))
    before = sent(stream)
    again = stream.step_events([], [], [])
    assert again is not None
    assert torch.equal(again, last)
    assert sent(stream) == (before[0] + 1, *before[1:])


def test_without_a_copy_the_output_is_the_streams_own() -> None:
    stream, events = Stream(SPEC, WINDOW), random_events(200, SIZE, 4)
    feed(stream, events.part(0, 120))
    later = [events.part(120, 160), events.part(160, 200)]
    own = [stream.step_events(one.x, one.y, one.t, copy=False) for one in later]
    assert own[0] is not None
    assert own[1] is not None
    assert own[0].data_ptr() == own[1].data_ptr()
    other = Stream(SPEC, WINDOW)
    assert torch.equal(own[1], feed(other, events)[-1])


def test_refused_events_change_nothing() -> None:
    events = random_events(400, SIZE, 5)
    stream, other = Stream(SPEC, WINDOW), Stream(SPEC, WINDOW)
    for one in (stream, other):
        feed(one, events.part(0, 200))
    x, y, t, *_ = events.part(200, 240)
    for columns in ((x + 20, y, t), (x, y, t[::-1] - 10**6), (x, y[:3], t), (x * 0.5, y, t)):
        with pytest.raises(DataError):
            stream.step_events(*columns)
    assert sent(stream) == sent(other)
    assert_same_state(stream, other)
    assert_same_outputs(feed(stream, events.part(200, 400)), feed(other, events.part(200, 400)))


def test_streams_take_either_frames_or_events() -> None:
    with pytest.raises(UsageError, match="a stream of events takes no frames"):
        Stream(SPEC, WINDOW).step(np.zeros((1, *SIZE), np.uint8))
    with pytest.raises(UsageError, match="a stream of frames takes no events"):
        Stream(SPEC).step_events([0], [0], [0])


def test_a_converted_network_streams_events_by_polarity() -> None:
    """From the API: two channels, which the polarity chooses."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.ReLU())
    network = a2s.from_torch(net, torch.zeros(1, 2, 12, 14), input_scale=1 / 255)
    events = random_events(600, (12, 14), 6)
    plain = PlainWindow(EventWindow(events=200), (2, 12, 14), events)
    frames = np.stack([one for one in plain.frames(list(range(200, 601, 25))) if one is not None])
    sdnn = a2s.to_sdnn(network, frames, options=ConvertOptions(thresholds=MeanDelta(0.5)))
    expected = sdnn.run(frames)
    stream = sdnn.stream(window=a2s.EventWindow(events=200))
    found = [one for one in feed(stream, events, 25) if one is not None]
    assert torch.equal(torch.stack(found), expected.outputs)
    assert stream.messages == int(expected.events.sum())
    assert stream.operations == int(expected.synops.sum())
