"""Counts the events of a recording that `prepare`'s filters would leave if it stopped now.

A recording with a given number of frames stops after the last event of its last frame. Which events
are left depends on the stop: a pixel becomes hot with its 10,000th event, and then all of its
events are dropped, with those that they supported. So events are filtered as they come, and
filtered again from the start whenever a pixel becomes hot. The recording stops where the number of
events left first reaches the number needed.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import numpy as np

from ann2sdnn.data.events.aedat import RawEvents
from ann2sdnn.data.events.filters import PLANE_PIXELS, EventFilters, HotPixels, to_plane
from ann2sdnn.data.events.interval import Interval

_END_OF_TIME_US = 1 << 62


class Survivors:
    """Counts the events after ``start_us`` that ``prepare``'s filters leave."""

    def __init__(self, start_us: int, needed: int) -> None:
        self.count = 0
        self._needed = needed
        self._interval = Interval(start_us, _END_OF_TIME_US)
        self._events_of = HotPixels()
        self._hot = np.zeros(PLANE_PIXELS, np.bool_)
        self._filters = EventFilters(self._interval, self._hot)

    def add(self, chunk: RawEvents, past: Callable[[], Iterator[RawEvents]]) -> int | None:
        """Count a chunk whose events are all after the start and inside the sensors.

        ``past`` reads the chunks before it again. Returns the number of the chunk's events that
        belong to the recording where it stops in this chunk, else None.
        """
        done = 0
        while done < len(chunk.t_us):
            rest = part_of(chunk, done, len(chunk.t_us))
            n, hot = self._events_of.add_until_hot(to_plane(rest, self._interval))
            found = self._filter(part_of(rest, 0, n - hot))
            if found is not None:
                return done + found
            done += n
            if hot:
                self._filter_again(chunk, done, past)
        return None

    def _filter(self, part: RawEvents) -> int | None:
        """Count a part in which no pixel becomes hot; returns how many of its events are needed."""
        before = deepcopy(self._filters) if self.count + len(part.t_us) >= self._needed else None
        left = len(self._filters.apply(part))
        if before is None or self.count + left < self._needed:
            self.count += left
            return None
        low, high = 0, len(part.t_us)  # too few events, and enough
        while high - low > 1:
            middle = (low + high) // 2
            left = len(deepcopy(before).apply(part_of(part, 0, middle)))
            low, high = (middle, high) if self.count + left < self._needed else (low, middle)
        self.count = self._needed
        return high

    def _filter_again(
        self, chunk: RawEvents, done: int, past: Callable[[], Iterator[RawEvents]]
    ) -> None:
        """Filter from the start without the pixel of the last event counted."""
        last = to_plane(part_of(chunk, done - 1, done), self._interval)
        self._hot[last.pixel] = True
        self._filters = EventFilters(self._interval, self._hot)
        self.count = sum(len(self._filters.apply(one)) for one in past())
        self.count += len(self._filters.apply(part_of(chunk, 0, done)))


def part_of(events: RawEvents, begin: int, end: int) -> RawEvents:
    """Polarity events ``begin`` to ``end`` (excluded)."""
    part = slice(begin, end)
    return RawEvents(events.address[part], events.t_us[part], events.special_us[:0], 0)
