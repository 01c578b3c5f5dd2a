"""Filters the events of a DHP19 file before they become frames.

In the order of ``extract_from_aedat.m`` of the data set's repository (SensorsINI/DHP19): events
between start and stop and inside the sensor, mirrored and flipped into one plane; hot pixels;
background activity; the two infrared lamps. The plane holds the four cameras side by side,
260 rows of 1384 pixels: pixel = row * 1384 + camera * 346 + column.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.events.aedat import CAMERA_MASK, X_MASK, X_SHIFT, Y_MASK, Y_SHIFT, RawEvents
from ann2sdnn.data.events.interval import Interval
from ann2sdnn.data.events.windows import Events
from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, SENSOR_WIDTH

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

_NO_PIXELS = np.zeros(PLANE_PIXELS, np.bool_)


@dataclass(frozen=True)
class PlaneEvents:
    """Events as ``pixel`` [n] of the plane and ``t_us`` [n], in the order of the file."""

    pixel: Pixels
    t_us: NDArray[np.int64]


def to_plane(raw: RawEvents, interval: Interval, hot: PixelMask | None = None) -> PlaneEvents:
    """Keep the events strictly inside ``interval`` and the sensors, and place them in the plane.

    column = 345 - x, row = 259 - y. Those of ``hot`` pixels [359840] are dropped.
    """
    pixel, t_us = np.empty(len(raw.t_us), np.int32), np.empty(len(raw.t_us), np.int64)
    between = interval.start_us, interval.stop_us
    dropped = _NO_PIXELS if hot is None else hot
    n = _to_plane((raw.address, raw.t_us), between, dropped, pixel, t_us)
    return PlaneEvents(pixel[:n], t_us[:n])


class HotPixels:
    """Counts a recording's events per pixel."""

    def __init__(self) -> None:
        self._counts = np.zeros(PLANE_PIXELS, np.int64)

    def add(self, events: PlaneEvents) -> None:
        """Count more events."""
        _count(self._counts, events.pixel)

    def add_until_hot(self, events: PlaneEvents) -> tuple[int, bool]:
        """Count events up to the first that makes a pixel hot; (their number, whether one did)."""
        n = _count_until(self._counts, events.pixel, HOT_PIXEL_EVENTS)
        return abs(n), n < 0

    def mask(self) -> PixelMask:
        """Mask [359840] of the pixels with 10^4 events or more."""
        return self._counts >= HOT_PIXEL_EVENTS


class BackgroundFilter:
    """Drops events without a recent event nearby: the background activity of the sensor.

    As ``BackgroundFilter.m`` does it (an adaptation of jAER's ``BackgroundActivityFilter``, in
    its corrected form): every event, whether it is kept or not, stamps its time on its 8
    neighbours but not on its own pixel; events on the outer border of the plane stamp nothing;
    neighbours reach across the edge between two cameras. An event is kept if the stamp it finds
    is at most 70 ms old. (In Matlab, pixels never stamped count as stamped at time 0.)
    The events of ``hidden`` pixels [359840] support others as well, but are dropped.
    """

    def __init__(self, hidden: PixelMask | None = None) -> None:
        self._stamps_us = np.full(PLANE_PIXELS, _NEVER_US, np.int64)
        self._hidden = _NO_PIXELS if hidden is None else hidden

    def keep(self, events: PlaneEvents) -> PlaneEvents:
        """The supported events of the next chunk of a recording."""
        pixel, t_us = np.empty_like(events.pixel), np.empty_like(events.t_us)
        pixels = self._stamps_us, self._hidden
        n = _keep_supported(events.pixel, events.t_us, pixels, pixel, t_us)
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
        self._background = BackgroundFilter(hidden=lamp_mask())

    def apply(self, raw: RawEvents) -> Events:
        """Filter the next chunk of the recording."""
        return to_events(self._background.keep(to_plane(raw, self._interval, self._hot)))


@numba.njit(cache=True)
def _to_plane(columns, between, dropped, pixel, kept_us):  # type: ignore[no-untyped-def]
    address, t_us = columns
    start_us, stop_us = between
    n = 0
    for i in range(len(t_us)):
        word = np.int32(address[i] & np.uint32(0x7FFFFFFF))
        x, y = word >> X_SHIFT & X_MASK, word >> Y_SHIFT & Y_MASK
        camera = word & CAMERA_MASK
        inside = x < SENSOR_WIDTH and y < SENSOR_HEIGHT and camera < N_CAMERAS
        if inside and start_us < t_us[i] < stop_us:
            row, column = SENSOR_HEIGHT - 1 - y, SENSOR_WIDTH - 1 - x
            at = row * PLANE_WIDTH + camera * SENSOR_WIDTH + column
            # Written first and counted after, here and below, so that there is no branch to
            # mispredict.
            pixel[n], kept_us[n] = at, t_us[i]
            n += not dropped[at]
    return n


@numba.njit(cache=True)
def _count(counts, pixel):  # type: ignore[no-untyped-def]
    for i in range(len(pixel)):
        counts[pixel[i]] += 1


@numba.njit(cache=True)
def _count_until(counts, pixel, most):  # type: ignore[no-untyped-def]
    """Events counted, negative if the last of them brought its pixel to ``most``."""
    for i in range(len(pixel)):
        counts[pixel[i]] += 1
        if counts[pixel[i]] == most:
            return -(i + 1)
    return len(pixel)


@numba.njit(cache=True)
def _keep_supported(pixel, t_us, pixels, kept, kept_us):  # type: ignore[no-untyped-def]
    stamps_us, hidden = pixels
    n = 0
    for i in range(len(pixel)):
        at, now = np.int64(pixel[i]), t_us[i]
        kept[n], kept_us[n] = at, now
        n += (now - stamps_us[at] <= SUPPORT_US) & (not hidden[at])
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
