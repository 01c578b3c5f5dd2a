"""Events for the tests, and a slow way from them to frames: every window is counted again."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import deviations, normalise
from ann2sdnn.data.events.options import EventWindow
from ann2sdnn.graph.geometry import Shape

Ints = NDArray[np.int64]


class Columns(NamedTuple):
    """Columns [n] of events in order of time."""

    x: Ints
    y: Ints
    t: Ints
    p: Ints
    camera: Ints

    def part(self, begin: int, end: int) -> "Columns":
        return Columns(*(column[begin:end] for column in self))

    def __len__(self) -> int:
        return len(self.t)


def random_events(n: int, size: tuple[int, int], seed: int, n_cameras: int = 1) -> Columns:
    """Half of them anywhere in ``size`` (height, width), half in a corner; some at one time."""
    rng = np.random.default_rng(seed)
    (height, width), corner = size, rng.random(n) < 0.5
    x = np.where(corner, rng.integers(0, 1 + width // 3, n), rng.integers(0, width, n))
    y = np.where(corner, rng.integers(0, 1 + height // 3, n), rng.integers(0, height, n))
    t = 1000 + np.cumsum(rng.integers(0, 4, n))
    return Columns(x, y, t, rng.integers(0, 2, n), rng.integers(0, n_cameras, n))


@st.composite
def calls(draw: st.DrawFn, n_events: int) -> list[tuple[int, int]]:
    """Where ``n_events`` events are cut: [begin, end) of each call, some of them empty."""
    cuts = draw(st.lists(st.integers(0, n_events), min_size=1, max_size=8))
    ends = [0, *sorted(cuts), n_events]
    return list(pairwise(ends))


class PlainWindow:
    """The pictures of a window, each made from all of its events."""

    def __init__(self, window: EventWindow, shape: Shape, events: Columns) -> None:
        self.window, self.shape, self.events = window, shape, events
        self.sensor = window.sensor or shape[1:]

    def frames(
        self, ends: list[int], until: list[int] | None = None
    ) -> Iterator[NDArray[np.uint8] | None]:
        """The frame [C, H, W] after the first ``ends`` events each; None before it is full.

        ``until``: what time it is then; by default the last event's.
        """
        scale = self._given_scale()
        for index, end in enumerate(ends):
            now = until[index] if until is not None else self._last(end)
            if not self._is_full(end, now):
                yield None
                continue
            if scale is None:
                scale = deviations(self._first_full(end, now))
            counts = self._counts(end, now)
            height, width = self.shape[1:]
            yield normalise(counts, scale).transpose(2, 0, 1)[:, :height, :width]

    def _last(self, end: int) -> int:
        return int(self.events.t[end - 1]) if end else -(10**9)

    def _is_full(self, end: int, now: int) -> bool:
        if self.window.events is not None:
            return end >= self.window.events
        assert self.window.microseconds is not None
        return end > 0 and now - int(self.events.t[0]) >= self.window.microseconds

    def _first_full(self, end: int, now: int) -> Ints:
        """Counts at the event that fills the window, or at ``now`` where time does."""
        for first in range(1, end + 1):
            if self._is_full(first, self._last(first)):
                return self._counts(first, self._last(first))
        return self._counts(end, now)

    def _counts(self, end: int, now: int) -> Ints:
        """[H, W, C] of the sensor."""
        events = self.events.part(0, end)
        if self.window.events is not None:
            events = events.part(max(0, end - self.window.events), end)
        else:
            assert self.window.microseconds is not None
            inside = events.t > now - self.window.microseconds
            events = Columns(*(column[inside] for column in events))
        counts = np.zeros((*self.sensor, self.shape[0]), np.int64)
        for x, y, _, p, camera in zip(*events, strict=True):
            channel = 0 if self.shape[0] == 1 else int(p)
            if self.window.cameras:
                if camera not in self.window.cameras:
                    continue
                channel = self.window.cameras.index(camera)
            counts[y, x, channel] += 1
        return counts

    def _given_scale(self) -> NDArray[np.float64] | None:
        if self.window.scale is None:
            return None
        return np.broadcast_to(np.asarray(self.window.scale, float), self.shape[:1])
