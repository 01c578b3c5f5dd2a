"""A sliding window against windows that are counted again each time, and against recordings."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from event_streams import Columns, PlainWindow, calls, random_events
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.data.events.columns import GivenEvents
from ann2sdnn.data.events.options import EventWindow, Windows
from ann2sdnn.data.events.sliding import SlidingWindow
from ann2sdnn.data.events.windows import Events, labelled_frames
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.support.errors import DataError, UsageError


class Picture:
    """What a window's changes make of a picture that begins with zeros."""

    def __init__(self, window: EventWindow, shape: Shape) -> None:
        self.sliding, self.shape = SlidingWindow(window, shape), shape
        self.flat = np.zeros(int(np.prod(shape)), np.uint8)
        self.n_changes = 0

    def add(self, events: Columns, until: int | None = None) -> NDArray[np.uint8] | None:
        """The picture [C, H, W] after ``events``; None before the window is full."""
        cameras = events.camera if self.sliding._window.cameras else None
        self.sliding.add(GivenEvents(events.x, events.y, events.t, events.p, cameras), until)
        if not self.sliding.is_full:
            return None
        at, values = self.sliding.changes()
        assert (np.diff(at) > 0).all()
        self.flat[at] = values
        self.n_changes = len(at)
        channels, height, width = self.shape
        return self.flat.reshape(height, width, channels).transpose(2, 0, 1)


def assert_same(found: Any, expected: Any) -> None:
    assert (found is None) == (expected is None)
    if found is not None:
        np.testing.assert_array_equal(found, expected, strict=True)


WINDOWS = st.one_of(
    st.builds(lambda n: {"events": n}, st.integers(1, 150)),
    st.builds(lambda n: {"microseconds": n}, st.integers(1, 150)),
)


@settings(max_examples=60, deadline=None)
@given(st.data(), WINDOWS, st.integers(0, 2**31))
def test_it_equals_windows_that_are_counted_each_time(
    data: st.DataObject, length: dict[str, Any], seed: int
) -> None:
    """One camera or several, one channel or two, and sensors larger than the network's input."""
    shape: Shape = (data.draw(st.integers(1, 2)), 5, data.draw(st.sampled_from([7, 64, 70])))
    more = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 3)))
    sensor = (shape[1] + more[0], shape[2] + more[1])
    cameras = data.draw(st.sampled_from([(), (3, 0)[: shape[0]]]))
    scale = data.draw(st.sampled_from([None, 0.7, (0.5, 2.0)[: shape[0]]]))
    window = EventWindow(**length, scale=scale, sensor=sensor, cameras=cameras)
    events = random_events(data.draw(st.integers(0, 200)), sensor, seed, 4)
    parts = data.draw(calls(len(events)))
    until = None
    if window.microseconds is not None and len(events) and data.draw(st.booleans()):
        # The time that it is may be that of the next event, and go on without any.
        last = [int(events.t[end - 1]) if end else 0 for _, end in parts]
        following = [int(events.t[end]) if end < len(events) else 10**5 for _, end in parts]
        until = [data.draw(st.integers(a, b)) for a, b in zip(last, following, strict=True)]
        until = np.maximum.accumulate(until).tolist()
        assume_started(parts, until)
    picture, plain = Picture(window, shape), PlainWindow(window, shape, events)
    expected = list(plain.frames([end for _, end in parts], until))
    for index, (begin, end) in enumerate(parts):
        now = None if until is None else until[index]
        assert_same(picture.add(events.part(begin, end), now), expected[index])


def assume_started(parts: list[tuple[int, int]], until: list[int]) -> None:
    """Without events time does not begin in ``PlainWindow``: calls before the first are cut."""
    while parts and parts[0][1] == 0:
        del parts[0], until[0]


def test_a_window_of_microseconds_empties_as_time_passes() -> None:
    picture = Picture(EventWindow(microseconds=100, scale=1.0), (1, 4, 6))
    nothing = random_events(0, (4, 6), 0)
    one = Columns(*(np.array([value]) for value in (2, 1, 50, 1, 0)))
    assert picture.add(nothing, until=0) is None
    assert picture.add(one, until=60) is None
    shown = picture.add(nothing, until=149)
    assert shown is not None
    assert shown[0, 1, 2] == 85
    assert shown.sum() == 85
    shown = picture.add(nothing, until=150)
    assert shown is not None
    assert shown.sum() == 0
    assert picture.n_changes == 1


def test_only_pixels_of_events_that_come_or_leave_are_looked_at() -> None:
    events = random_events(3000, (260, 344), 1)
    picture = Picture(EventWindow(events=1000), (1, 260, 344))
    picture.add(events.part(0, 1000))
    for begin, end in ((1000, 1000), (1000, 1001), (1001, 1100), (1100, 3000)):
        picture.add(events.part(begin, end))
        assert picture.n_changes <= 2 * (end - begin)
        assert (picture.n_changes > 0) == (end > begin)


@pytest.mark.parametrize("cameras", [(2,), (3, 0), (0, 1, 2, 3)])
@pytest.mark.parametrize("hop", [250, 500, 2000])
def test_frames_are_those_of_a_recording_of_fixed_scale(cameras: tuple[int, ...], hop: int) -> None:
    windows = Windows(2000, hop, normalise="fixed")
    given = random_events(9000, (260, 346), 2, 4)
    events = Events(
        given.x.astype(np.uint16), given.y.astype(np.uint16), given.camera.astype(np.uint8), given.t
    )
    labels = np.zeros((10, 13, 3))
    frames = [one.frame for one in labelled_frames([events], labels, 0, windows)]
    assert len(frames) == (9000 - 2000) // hop + 1
    window = EventWindow(events=2000, sensor=(260, 346), cameras=cameras)
    picture, expected = Picture(window, (len(cameras), 260, 344)), iter(frames)
    for begin, end in pairwise(range(0, 9000 + 1, hop)):
        shown = picture.add(given.part(begin, end))
        if shown is not None:
            frame = next(expected)[:, :344, list(cameras)]
            np.testing.assert_array_equal(shown, frame.transpose(2, 0, 1), strict=True)
    assert next(expected, None) is None


def test_the_scale_does_not_depend_on_how_calls_are_cut() -> None:
    events = random_events(500, (20, 30), 3)
    for window in (EventWindow(events=200), EventWindow(microseconds=300)):
        scales = []
        for step in (1, 7, 500):
            sliding = SlidingWindow(window, (1, 20, 30))
            for begin in range(0, 500, step):
                part = events.part(begin, begin + step)
                sliding.add(GivenEvents(part.x, part.y, part.t))
            scales.append(sliding.state_dict()["scale"].tolist())
        assert scales[0] == scales[1] == scales[2] != []


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.uint64, "list", "tensor"])
def test_columns_are_whole_numbers_of_any_type(kind: Any) -> None:
    events = random_events(60, (5, 6), 4)
    expected, found = (Picture(EventWindow(events=50), (2, 5, 6)) for _ in range(2))
    columns: Any = (
        [column.astype(kind) for column in events] if kind not in ("list", "tensor") else None
    )
    if kind == "list":
        columns = [column.tolist() for column in events]
    if kind == "tensor":
        columns = [torch.from_numpy(column) for column in events]
    x, y, t, p, _ = columns
    found.sliding.add(GivenEvents(x, y, t, p))
    expected.sliding.add(GivenEvents(events.x, events.y, events.t, 2 * events.p - 1))
    ours, theirs = found.sliding.changes(), expected.sliding.changes()
    assert ours.at.tolist() == theirs.at.tolist() != []
    assert ours.values.tolist() == theirs.values.tolist()


GOOD: dict[str, Any] = {"x": [1, 2], "y": [1, 2], "t": [5, 6], "p": [0, 1], "camera": None}


@pytest.mark.parametrize(
    ("changes", "until", "found"),
    [
        ({"x": [1, 6]}, None, r"event 1 of 2 has x = 6; expected 0 to 5: drop events outside"),
        ({"x": [-1, 0]}, None, "event 0 of 2 has x = -1; expected 0 to 5"),
        ({"y": [1, 5]}, None, "event 1 of 2 has y = 5; expected 0 to 4"),
        ({"t": [6, 5]}, None, "event 1 of 2 has t = 5 and comes after 6; expected events in order"),
        ({"t": [3, 5]}, None, "event 0 of 2 has t = 3 and comes after 4"),
        ({"t": [5, 2**62]}, None, r"has t = 4611686018427387904; expected microseconds"),
        ({"p": [0, 2]}, None, "event 1 of 2 has p = 2; expected 0 or 1, or -1 or 1"),
        ({"p": None}, None, "events without polarity for an input of two channels; give p"),
        ({"p": [0.0, 1.0]}, None, r"event p is float64 \[2\]; expected whole numbers \[n\]"),
        ({"x": [1.5, 2]}, None, r"event x is float64 \[2\]"),
        ({"x": [True, False]}, None, r"event x is bool \[2\]"),
        ({"x": 1}, None, r"event x is int64 \[\]; expected whole numbers \[n\]"),
        ({"x": [1]}, None, r"event columns have the shapes \[\(1,\), \(2,\)\]; expected one"),
        ({"camera": [0, 0]}, None, "events with cameras for a window that names none"),
        ({}, 5, "events until 5, after one of 6; expected the time in microseconds"),
        ({}, 6.5, r"events until 6\.5"),
    ],
)
def test_other_events_are_refused_and_change_nothing(
    changes: dict[str, Any], until: Any, found: str
) -> None:
    window, other = (SlidingWindow(EventWindow(microseconds=100), (2, 5, 6)) for _ in range(2))
    for one in (window, other):
        one.add(GivenEvents([3], [3], [4], [1]))
    columns = GOOD | changes
    with pytest.raises(DataError, match=found) as caught:
        window.add(GivenEvents(*columns.values()), until)
    assert "\n" not in str(caught.value)
    assert_same_state(window, other)


def test_cameras_that_do_not_fit_are_refused() -> None:
    window = SlidingWindow(EventWindow(events=3, cameras=(2,)), (1, 5, 6))
    with pytest.raises(DataError, match="without cameras for a window that names some"):
        window.add(GivenEvents([0], [0], [0]))
    with pytest.raises(DataError, match="has camera = -1; expected 0 or more"):
        window.add(GivenEvents([0], [0], [0], camera=[-1]))


def test_a_window_that_counts_events_takes_no_time() -> None:
    window = SlidingWindow(EventWindow(events=3), (1, 5, 6))
    with pytest.raises(UsageError, match="until is for windows of microseconds"):
        window.add(GivenEvents([0], [0], [0]), 5)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, "a window of None events and None microseconds; expected one of the two"),
        ({"events": 5, "microseconds": 5}, "a window of 5 events and 5 microseconds"),
        ({"events": 0}, "events 0; expected a whole number of events from 1"),
        ({"microseconds": 1.5}, "microseconds 1.5; expected a whole number"),
        ({"events": 5, "scale": 0.0}, r"a scale of 0\.0; expected a number of events above 0"),
        ({"events": 5, "scale": (1.0, np.nan)}, "a scale of"),
        ({"events": 5, "scale": "1"}, "a scale of 1"),
        ({"events": 5, "cameras": (1, 1)}, "cameras 1,1; expected different whole numbers"),
        ({"events": 5, "sensor": (5,)}, "sensor 5; expected height x width"),
        (
            {"events": 5, "sensor": (5, 5)},
            "a sensor of 5x5 pixels for a network whose input is 5x6",
        ),
        ({"events": 5, "cameras": (1,)}, "a window of 1 cameras for a network whose input has 2"),
        ({"events": 5, "scale": (1.0,)}, "scales .* for a network whose input has 2 channels"),
    ],
)
def test_windows_that_do_not_fit_are_refused(options: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        SlidingWindow(EventWindow(**options), (2, 5, 6))


def test_an_input_of_three_channels_needs_cameras() -> None:
    with pytest.raises(UsageError, match="expected one, or two for both polarities, or a camera"):
        SlidingWindow(EventWindow(events=5), (3, 5, 6))


def assert_same_state(first: SlidingWindow, second: SlidingWindow) -> None:
    ours, theirs = first.state_dict(), second.state_dict()
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert first.is_full == second.is_full


@settings(max_examples=30, deadline=None)
@given(WINDOWS, st.integers(0, 300), st.integers(0, 2**31))
def test_a_loaded_window_goes_on_where_it_was_saved(
    length: dict[str, Any], cut: int, seed: int
) -> None:
    """Before it is full, when nothing has been shown yet, and after."""
    window, shape = EventWindow(**length), (2, 15, 16)
    events = random_events(300, (15, 16), seed)
    whole, first, second = (Picture(window, shape) for _ in range(3))
    whole.add(events.part(0, cut))
    first.add(events.part(0, cut))
    second.flat[:] = first.flat
    second.sliding.load_state_dict(first.sliding.state_dict())
    assert_same_state(second.sliding, whole.sliding)
    for begin in range(cut, 300, 10):
        part = events.part(begin, min(begin + 10, 300))
        assert_same(second.add(part), whole.add(part))
    assert_same_state(second.sliding, whole.sliding)
    second.sliding.reset()
    assert_same_state(second.sliding, SlidingWindow(window, shape))


def test_a_window_of_many_events_grows() -> None:
    """From few events on, around the end of the first ring, to many in a short time."""
    events = random_events(9000, (260, 344), 5)
    events.t[:1800] -= 100 * np.arange(1800, 0, -1)
    for window in (EventWindow(events=5000), EventWindow(microseconds=10_000)):
        picture = Picture(window, (1, 260, 344))
        plain = PlainWindow(window, (1, 260, 344), events)
        ends = [700, 1500, 1800, 3000, 8000, 9000]
        for begin, end, frame in zip([0, *ends], ends, plain.frames(ends), strict=False):
            assert_same(picture.add(events.part(begin, end)), frame)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("form", [51, 0, 5, 6, 1, 5, 6], "the state is that of another window"),
        ("pixels", [30] * 50, "the state's window is damaged"),
        ("pixels", [-2] * 50, "the state's window is damaged"),
        ("pixels", [0] * 49, "the state's window is damaged"),
        ("times", list(range(50, 0, -1)), "the state's window is damaged"),
        ("span", [], "the state's window is damaged"),
        ("span", [2000, 0], "the state's window is damaged"),
        ("scale", [0.0], "the state's window is damaged"),
        ("scale", [], "the state's window is damaged"),
        ("scale", [1.0, 1.0], "the state's window is damaged"),
        ("times", None, "the state holds no window of events"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(
    name: str, value: list[Any] | None, found: str
) -> None:
    window, other = (SlidingWindow(EventWindow(events=50), (1, 5, 6)) for _ in range(2))
    events = random_events(70, (5, 6), 6)
    for one in (window, other):
        one.add(GivenEvents(events.x, events.y, events.t))
    state = window.state_dict()
    if value is None:
        del state[name]
    else:
        state[name] = torch.tensor(value, dtype=state[name].dtype)
    with pytest.raises(DataError, match=found):
        window.load_state_dict(state)
    assert_same_state(window, other)


def test_a_state_of_another_scale_is_refused() -> None:
    state = SlidingWindow(EventWindow(events=50, scale=1.0), (1, 5, 6)).state_dict()
    with pytest.raises(
        DataError, match=r"has the scale \[1\.0\]; expected that of the stream, \[2"
    ):
        SlidingWindow(EventWindow(events=50, scale=2.0), (1, 5, 6)).load_state_dict(state)
    SlidingWindow(EventWindow(events=50, scale=(1.0,)), (1, 5, 6)).load_state_dict(state)
