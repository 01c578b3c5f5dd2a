"""Times a stream per call, with events and with frames of the same windows.

    python benchmarks/events.py DIR DATA --threads 1

DIR is a conversion for one camera of DHP19, DATA recordings with overlapping windows
(`ann2sdnn synth --hop-events`); the first of them, as its front camera sees it, gives the events:
those of a hop in random order. The window is the last 7,500 events. Both streams get the same
windows by turns. Medians in milliseconds, after the window's first picture:

- events, frame: a whole call, `copy=False`;
- events in: checks, window, changed pixels, and their messages;
- frame in: the messages of a frame that is there;
- count: the frame from the window's counts, which events do without.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.api import EventWindow, Stream, load
from ann2sdnn.data.events.columns import GivenEvents
from ann2sdnn.data.events.normalise import normalise
from ann2sdnn.data.events.sliding import Changes, SlidingWindow
from ann2sdnn.data.pose.cameras import FRONT_CHANNELS
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.loops.events import encode_pixels
from ann2sdnn.sdnn.engine.loops.frames import N_TOTALS, run_step
from ann2sdnn.sdnn.spec.spec import Spec

WINDOW_EVENTS = 7500
CALLS = (1, 100, 7500 // 8, 1000, 3750)
MOST_CALLS = 60
Column = NDArray[np.int64]
T = TypeVar("T")


def recorded(data: Path, width: int) -> tuple[Column, Column]:
    """Columns and rows of all events of one camera's recording, as the network sees it."""
    hops = open_recordings(data)[0].hops()[:, FRONT_CHANNELS[0], :, :width]
    rng = np.random.default_rng(0)
    pixels = [
        rng.permutation(np.repeat(np.arange(hop.size), hop.reshape(-1).astype(np.int64)))
        for hop in hops
    ]
    row, column = np.divmod(np.concatenate(pixels), width)
    return column, row


def calls(x: Column, y: Column, n: int) -> Iterator[GivenEvents]:
    """Events of one call after another, the first of which fills the window."""
    for begin in (0, *range(WINDOW_EVENTS, len(x) - n, n)):
        part = slice(begin, begin + (n if begin else WINDOW_EVENTS))
        yield GivenEvents(x[part], y[part], np.arange(len(x))[part])


class Contest:
    """A stream of events and one of frames, and their inputs alone."""

    def __init__(self, spec: Spec) -> None:
        window = EventWindow(events=WINDOW_EVENTS)
        self._by_events, self._by_frames = Stream(spec, window), Stream(spec)
        self._own = SlidingWindow(window, spec.input_shape)
        self._inputs = Engine(spec), Engine(spec)
        self._frame = np.zeros(spec.input_shape, np.uint8)
        self._counts = np.zeros((*spec.input_shape[1:], 1), np.int32)
        self._first = 0
        self._totals = np.zeros((1, N_TOTALS), np.int64)

    def call(self, events: GivenEvents) -> dict[str, float]:
        """Milliseconds of each."""
        took = {}
        output, took["events"] = timed(
            lambda: self._by_events.step_events(events.x, events.y, events.t_us, copy=False)
        )
        changes, took["events in"] = timed(lambda: self._encode_events(events))
        self._frame.reshape(-1)[changes.at] = changes.values
        self._counts.reshape(-1)[:] = self._own._image.counts
        _, took["count"] = timed(lambda: normalise(self._counts, np.ones(1)))
        other, took["frame"] = timed(lambda: self._by_frames.step(self._frame, copy=False))
        _, took["frame in"] = timed(self._encode_frame)
        self._first = self._first or self._by_events.messages
        assert output is not None
        assert torch.equal(output, other)
        return took

    @property
    def messages_per_call(self) -> float:
        """Of the input and all layers, without the first call."""
        return (self._by_events.messages - self._first) / (self._by_events.frames - 1)

    def _encode_events(self, events: GivenEvents) -> Changes:
        self._own.add(events)
        changes = self._own.changes()
        engine = self._inputs[0]
        memory, totals = engine._layout.memory, self._totals[0]
        encode_pixels(memory, engine._ends, changes.at, changes.values, totals)
        return changes

    def _encode_frame(self) -> None:
        engine = self._inputs[1]
        run_step(
            engine._tag,
            engine._layout.memory,
            engine._ends,
            self._frame,
            0,
            self._totals,
            0,
            engine._scratch(),
        )


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What ``work`` returns, and the milliseconds it took."""
    start = perf_counter()
    result = work()
    return result, 1000 * (perf_counter() - start)


def report(spec: Spec, data: Path) -> str:
    """One line per number of events; messages are those of the input and all layers, per call."""
    names = ("events", "frame", "events in", "frame in", "count")
    lines = [f"{'per call':>8s}{'messages':>10s}" + "".join(f"{name:>11s}" for name in names)]
    x, y = recorded(data, spec.input_shape[2])
    for n in CALLS:
        contest, rows = Contest(spec), []
        for events in itertools.islice(calls(x, y, n), MOST_CALLS + 1):
            rows.append(contest.call(events))
        middle = [float(np.median([row[name] for row in rows[1:]])) for name in names]
        lines.append(
            f"{n:8d}{contest.messages_per_call:10,.0f}" + "".join(f"{ms:11.3f}" for ms in middle)
        )
    return "\n".join(lines)


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("conversion", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(report(load(arguments.conversion).spec, arguments.data))  # noqa: T201


if __name__ == "__main__":
    main()
