"""Cuts events into frames of a constant count, as DHP19's published Matlab code does.

Every ``window_events`` events over the four cameras together make one frame of four images of
per-pixel event counts (polarity ignored). Each image is scaled by three standard deviations of
its own non-zero counts (``normalise``), and the frame's label is the mean of the 100 Hz label rows
it spans. Source: Calabrese et al., CVPR Workshops 2019, and the Matlab code of its repository
(``ExtractEventsToFramesAndMeanLabels.m``).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import Counts, deviations, normalise
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.support.errors import DataError

LABEL_PERIOD_US = 10_000
FRAME_SHAPE = (SENSOR_HEIGHT, SENSOR_WIDTH, N_CAMERAS)


@dataclass(frozen=True)
class Events:
    """Events in order of time, in the coordinates of a frame (row 0 at the top).

    ``x`` [n] column 0..345, ``y`` [n] row 0..259, ``camera`` [n] channel 0..3, ``t_us`` [n]
    microseconds. Raises DataError when the arrays differ in length or leave the sensor.
    """

    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    camera: NDArray[np.uint8]
    t_us: NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {self.x.shape, self.y.shape, self.camera.shape, self.t_us.shape}
        if len(lengths) != 1 or self.x.ndim != 1:
            raise DataError(f"event columns have the shapes {sorted(lengths)}, expected one [n]")
        for name, column, limit in (
            ("x", self.x, SENSOR_WIDTH),
            ("y", self.y, SENSOR_HEIGHT),
            ("camera", self.camera, N_CAMERAS),
        ):
            if len(column) and not 0 <= int(column.min()) <= int(column.max()) < limit:
                raise DataError(f"event {name} lies outside 0..{limit - 1}; filter events first")

    def __len__(self) -> int:
        return len(self.t_us)


@dataclass(frozen=True)
class CountFrame:
    """One full window: ``counts`` [260, 346, 4] and the time of its last event.

    ``hops``: event counts that are new since the previous window; for a recording's first window,
    all of them. ``previous_us``: time of the last event before the window, None for the first.
    """

    counts: Counts
    hops: tuple[Counts, ...]
    previous_us: int | None
    end_us: int


@dataclass(frozen=True)
class LabelledFrame:
    """One window with the label ``xyz_mm`` [3, 13], NaN where a joint was never seen.

    ``scale`` [4] holds the deviations that its counts are scaled by.
    """

    window: CountFrame
    scale: NDArray[np.float64]
    xyz_mm: NDArray[np.float64]

    @property
    def frame(self) -> NDArray[np.uint8]:
        """The frame [260, 346, 4]."""
        return normalise(self.window.counts, self.scale)

    @property
    def end_us(self) -> int:
        """Time of the last event."""
        return self.window.end_us


class Accumulator:
    """Counts events into frames as they arrive, in chunks of any size."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        # No pixel can have more events than the window, so 16 bits mostly do.
        small = windows.window_events < 1 << 16
        self._dtype: np.dtype[np.integer[Any]] = np.dtype(np.uint16 if small else np.int64)
        self._filling: Counts = np.zeros(FRAME_SHAPE, self._dtype)
        self._filled = 0
        self._window: Counts = np.zeros(FRAME_SHAPE, self._dtype)
        self._hops: deque[Counts] = deque()
        self._hop_ends_us: deque[int | None] = deque([None])

    def add(self, events: Events) -> Iterator[CountFrame]:
        """Count ``events`` and yield the frames that became full; consume it to the end."""
        begin = 0
        while begin < len(events):
            end = min(begin + self._windows.hop - self._filled, len(events))
            _count(
                self._filling.reshape(-1),
                events.x[begin:end],
                events.y[begin:end],
                events.camera[begin:end],
            )
            self._filled += end - begin
            begin = end
            if self._filled == self._windows.hop:
                frame = self._close_hop(int(events.t_us[end - 1]))
                if frame is not None:
                    yield frame

    def _close_hop(self, end_us: int) -> CountFrame | None:
        hop, self._filling, self._filled = self._filling, np.zeros(FRAME_SHAPE, self._dtype), 0
        self._hop_ends_us.append(end_us)
        if self._windows.hops_per_window == 1:
            return CountFrame(hop, (hop,), self._hop_ends_us.popleft(), end_us)
        self._hops.append(hop)
        np.add(self._window, hop, out=self._window)
        if len(self._hops) < self._windows.hops_per_window:
            return None
        previous_us = self._hop_ends_us.popleft()
        new = tuple(self._hops) if previous_us is None else (hop,)
        frame = CountFrame(self._window.copy(), new, previous_us, end_us)
        np.subtract(self._window, self._hops.popleft(), out=self._window)
        return frame


def label_row(t_us: int, start_us: int) -> int:
    """Row (0-based) of the label at ``t_us``: (t - start) / 10 ms, halves rounded up.

    Matlab computes it in uint32, whose division rounds to the nearest integer.
    """
    return (t_us - start_us + LABEL_PERIOD_US // 2) // LABEL_PERIOD_US


def mean_label(labels_mm: NDArray[np.float64], first: int, last: int) -> NDArray[np.float64]:
    """Mean of the label rows ``first`` to ``last``, both included, ignoring NaN.

    ``labels_mm`` [n, 13, 3] gives [3, 13], NaN where a coordinate is NaN in every row.
    """
    rows = labels_mm[first : last + 1]
    valid = ~np.isnan(rows)
    count = valid.sum(axis=0)
    total = np.where(valid, rows, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).T


def labelled_frames(
    chunks: Iterable[Events],
    labels_mm: NDArray[np.float64],
    start_us: int,
    windows: Windows,
) -> Iterator[LabelledFrame]:
    """Yield frames with their labels until the events or the labels [n, 13, 3] run out.

    A frame's label is the mean of the rows from the end of the window before it (row 0 for the
    first) to its own end. Raises DataError when the labels do not have 13 joints.
    """
    if labels_mm.ndim != 3 or labels_mm.shape[1:] != (N_JOINTS, 3):
        raise DataError(f"labels have the shape {labels_mm.shape}, expected [n, {N_JOINTS}, 3]")
    accumulator = Accumulator(windows)
    scale: NDArray[np.float64] | None = None
    for chunk in chunks:
        for window in accumulator.add(chunk):
            last = label_row(window.end_us, start_us)
            if last >= len(labels_mm):
                return
            previous_us = start_us if window.previous_us is None else window.previous_us
            label = mean_label(labels_mm, label_row(previous_us, start_us), last)
            if scale is None or windows.normalise == "frame":
                scale = deviations(window.counts)
            yield LabelledFrame(window, scale, label)


@numba.njit(cache=True)
def _count(counts, x, y, camera):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        pixel = np.int64(y[i]) * SENSOR_WIDTH + np.int64(x[i])
        counts[pixel * N_CAMERAS + np.int64(camera[i])] += 1
