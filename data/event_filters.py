"""The filters between a DHP19 event file and its frames.

In the order of ``extract_from_aedat.m`` of the data set's repository (SensorsINI/DHP19): events
between start and stop and inside the sensor, mirrored and flipped into one plane; hot pixels;
background activity; the two infrared lamps. The plane holds the four cameras side by side,
260 rows of 1384 pixels: pixel = row * 1384 + camera * 346 + column.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.accumulate import Events
from ann2sdnn.data.aedat import RawEvents
from ann2sdnn.data.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH
from ann2sdnn.data.special_events import Interval

PLANE_WIDTH = N_CAMERAS * SENSOR_WIDTH
PLANE_PIXELS = SENSOR_HEIGHT * PLANE_WIDTH
HOT_PIXEL_EVENTS = 10_000
SUPPORT_US = 70_000

# Columns and rows of the lamps in Matlab's 1-based plane, bounds excluded.
_LAMPS = (((780, 810), (115, 145)), ((1252, 1259), (136, 144)))
# Long before any event, and far enough from the ends of int64 to be subtracted.
_NEVER_US = -(1 << 62)

Pixels = NDArray[np.int32]
PixelMask = NDArray[np.bool_]


@dataclass(frozen=True)
class PlaneEvents:
    """Events as ``pixel`` [n] of the plane and ``t_us`` [n], in the order of the file."""

    pixel: Pixels
    t_us: NDArray[np.int64]


def to_plane(raw: RawEvents, interval: Interval) -> PlaneEvents:
    """Keep the events strictly inside ``interval`` and the sensors, and place them in the plane.

    column = 345 - x, row = 259 - y.
    """
    pixel, t_us = np.empty(len(raw.t_us), np.int32), np.empty(len(raw.t_us), np.int64)
    between = interval.start_us, interval.stop_us
    n = _to_plane((raw.x, raw.y, raw.camera, raw.t_us), between, pixel, t_us)
    return PlaneEvents(pixel[:n], t_us[:n])


class HotPixels:
    """Counts a recording's events pixel by pixel."""

    def __init__(self) -> None:
        self._counts = np.zeros(PLANE_PIXELS, np.int64)

    def add(self, events: PlaneEvents) -> None:
        """Count some more events."""
        _count(self._counts, events.pixel)

    def mask(self) -> PixelMask:
        """Which pixels [359840] had 10^4 events or more."""
        return self._counts >= HOT_PIXEL_EVENTS


def drop_pixels(events: PlaneEvents, dropped: PixelMask) -> PlaneEvents:
    """Leave out the events of the pixels that ``dropped`` [359840] marks."""
    pixel, t_us = np.empty_like(events.pixel), np.empty_like(events.t_us)
    n = _drop(events.pixel, events.t_us, dropped, pixel, t_us)
    return PlaneEvents(pixel[:n], t_us[:n])


class BackgroundFilter:
    """Drops events without a recent one nearby: the background activity of the sensor.

    As ``BackgroundFilter.m`` does it (an adaptation of jAER's ``BackgroundActivityFilter``, in
    its corrected form): every event, whether it is kept or not, stamps its time on its 8
    neighbours but not on its own pixel; events on the outer border of the plane stamp nothing;
    neighbours reach across the edge between two cameras. An event is kept if the stamp it finds
    is at most 70 ms old. (In Matlab, pixels never stamped count as stamped at time 0.)
    """

    def __init__(self) -> None:
        self._stamps_us = np.full(PLANE_PIXELS, _NEVER_US, np.int64)

    def keep(self, events: PlaneEvents) -> PlaneEvents:
        """The supported events of the next chunk of a recording."""
        pixel, t_us = np.empty_like(events.pixel), np.empty_like(events.t_us)
        n = _keep_supported(events.pixel, events.t_us, self._stamps_us, pixel, t_us)
        return PlaneEvents(pixel[:n], t_us[:n])


def lamp_mask() -> PixelMask:
    """The pixels [359840] of the two infrared lamps."""
    mask = np.zeros((SENSOR_HEIGHT, PLANE_WIDTH), bool)
    for (left, right), (top, bottom) in _LAMPS:
        mask[top : bottom - 1, left : right - 1] = True
    return mask.reshape(-1)


def to_events(events: PlaneEvents) -> Events:
    """Split the plane into its cameras again."""
    n = len(events.pixel)
    x, y, camera = np.empty(n, np.uint16), np.empty(n, np.uint16), np.empty(n, np.uint8)
    _split(events.pixel, x, y, camera)
    return Events(x, y, camera, events.t_us)


class EventFilters:
    """The whole chain for one recording whose interval and hot pixels are known."""

    def __init__(self, interval: Interval, hot: PixelMask) -> None:
        self._interval = interval
        self._hot = hot
        self._background = BackgroundFilter()
        self._lamps = lamp_mask()

    def apply(self, raw: RawEvents) -> Events:
        """Filter the next chunk of the recording."""
        events = drop_pixels(to_plane(raw, self._interval), self._hot)
        return to_events(drop_pixels(self._background.keep(events), self._lamps))


@numba.njit(cache=True)
def _to_plane(columns, between, pixel, kept_us):  # type: ignore[no-untyped-def]
    x, y, camera, t_us = columns
    start_us, stop_us = between
    n = 0
    for i in range(len(t_us)):
        inside = x[i] < SENSOR_WIDTH and y[i] < SENSOR_HEIGHT and camera[i] < N_CAMERAS
        if inside and start_us < t_us[i] < stop_us:
            row = SENSOR_HEIGHT - 1 - np.int32(y[i])
            column = SENSOR_WIDTH - 1 - np.int32(x[i])
            pixel[n] = row * PLANE_WIDTH + np.int32(camera[i]) * SENSOR_WIDTH + column
            kept_us[n] = t_us[i]
            n += 1
    return n


@numba.njit(cache=True)
def _count(counts, pixel):  # type: ignore[no-untyped-def]
    for i in range(len(pixel)):
        counts[pixel[i]] += 1


@numba.njit(cache=True)
def _drop(pixel, t_us, dropped, kept, kept_us):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(len(pixel)):
        # Written in any case, so that there is no branch to mispredict.
        kept[n], kept_us[n] = pixel[i], t_us[i]
        n += not dropped[pixel[i]]
    return n


@numba.njit(cache=True)
def _keep_supported(pixel, t_us, stamps_us, kept, kept_us):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(len(pixel)):
        at, now = np.int64(pixel[i]), t_us[i]
        kept[n], kept_us[n] = at, now
        n += now - stamps_us[at] <= SUPPORT_US
        row, column = at // PLANE_WIDTH, at % PLANE_WIDTH
        if 0 < row < SENSOR_HEIGHT - 1 and 0 < column < PLANE_WIDTH - 1:
            above, below = at - PLANE_WIDTH, at + PLANE_WIDTH
            for middle in (above, at, below):
                stamps_us[middle - 1] = now
                stamps_us[middle + 1] = now
            stamps_us[above] = now
            stamps_us[below] = now
    return n


@numba.njit(cache=True)
def _split(pixel, x, y, camera):  # type: ignore[no-untyped-def]
    for i in range(len(pixel)):
        row, column = pixel[i] // PLANE_WIDTH, pixel[i] % PLANE_WIDTH
        y[i] = row
        camera[i] = column // SENSOR_WIDTH
        x[i] = column % SENSOR_WIDTH
