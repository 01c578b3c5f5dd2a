"""Events as a user gives them, in columns: checked, and placed in a network's channels."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ann2sdnn.support.errors import DataError

LATEST_US = 1 << 61
"""Bound of times, which compiled loops may subtract from one another."""

_Column = NDArray[np.int64]
_NOTHING = np.empty(0, np.int64)


class GivenEvents(NamedTuple):
    """Columns [n] of whole numbers; None where there is none."""

    x: ArrayLike
    y: ArrayLike
    t_us: ArrayLike
    polarity: ArrayLike | None = None
    """False or True, 0 or 1, or -1 or 1."""
    camera: ArrayLike | None = None


class PlacedEvents(NamedTuple):
    """Events inside a sensor, in order of time; each column int64 [n]."""

    x: _Column
    y: _Column
    channel: _Column
    """-1: no channel shows the event's camera."""
    t_us: _Column


def place_events(
    given: GivenEvents,
    sensor: tuple[int, int],
    n_channels: int,
    cameras: tuple[int, ...],
    earliest_us: int,
) -> PlacedEvents:
    """Check ``given`` and choose the channel of each event.

    ``sensor``: height and width in pixels. ``cameras``: the camera that each channel shows; without
    any, polarity chooses one of two channels. Raises DataError for columns of another form, for an
    event outside the sensor, and for one before ``earliest_us`` or the event before it.
    """
    named = {
        "x": given.x,
        "y": given.y,
        "t": given.t_us,
        "p": given.polarity,
        "camera": given.camera,
    }
    columns = {name: _column(name, one) for name, one in named.items() if one is not None}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1:
        raise DataError(f"event columns have the shapes {sorted(shapes)}; expected one [n]")
    _check_presence(given, n_channels, cameras)
    x, y, t_us = columns["x"], columns["y"], columns["t"]
    polarity, camera = columns.get("p", _NOTHING), columns.get("camera", _NOTHING)
    wrong = _first_wrong((x, y, t_us), polarity, camera, sensor, earliest_us)
    if wrong >= 0:
        at = int(wrong)
        before_us = int(t_us[at - 1]) if at else earliest_us
        values = {name: int(column[at]) for name, column in columns.items()}
        raise DataError(f"event {at} of {len(x)} {_problem(values, sensor, before_us)}")
    if cameras:
        channel = np.full(len(x), -1, np.int64)
        for index, one in enumerate(cameras):
            channel[camera == one] = index
    elif n_channels > 1:
        channel = (polarity > 0).astype(np.int64)
    else:
        channel = np.zeros(len(x), np.int64)
    return PlacedEvents(x, y, channel, t_us)


def _column(name: str, values: ArrayLike) -> _Column:
    column: NDArray[Any] = np.asarray(values)
    kinds = "iub" if name == "p" else "iu"
    if column.ndim != 1 or (column.size and column.dtype.kind not in kinds):
        raise DataError(
            f"event {name} is {column.dtype} {list(column.shape)}; expected whole numbers [n]"
        )
    # What 64 bits with a sign do not hold becomes negative.
    return np.ascontiguousarray(column, np.int64)


def _check_presence(given: GivenEvents, n_channels: int, cameras: tuple[int, ...]) -> None:
    if cameras and given.camera is None:
        raise DataError("events without cameras for a window that names some; give camera")
    if given.camera is not None and not cameras:
        raise DataError("events with cameras for a window that names none; name those to show")
    if n_channels > 1 and not cameras and given.polarity is None:
        raise DataError("events without polarity for an input of two channels; give p")


def _problem(values: dict[str, int], sensor: tuple[int, int], before_us: int) -> str:
    """What is wrong with one event, in the words of an error."""
    height, width = sensor
    for name, limit in (("x", width), ("y", height)):
        if not 0 <= values[name] < limit:
            return (
                f"has {name} = {values[name]}; expected 0 to {limit - 1}: drop events outside the"
                " sensor, or give the window its sensor"
            )
    if values.get("p", 0) not in (-1, 0, 1):
        return f"has p = {values['p']}; expected 0 or 1, or -1 or 1"
    if values.get("camera", 0) < 0:
        return f"has camera = {values['camera']}; expected 0 or more"
    if not abs(values["t"]) < LATEST_US:
        return f"has t = {values['t']}; expected microseconds, less than 2^61"
    return (
        f"has t = {values['t']} and comes after {before_us}; expected events in order of time: sort"
        " them, or reset the stream"
    )


@numba.njit(nogil=True, cache=True, _nrt=False)
def _first_wrong(placed, polarity, camera, sensor, earliest_us):  # type: ignore[no-untyped-def]
    """Position of the first event with something wrong, or -1; see ``_problem``."""
    x, y, t_us = placed
    height, width = sensor
    before = earliest_us
    for i in range(len(x)):
        fits = 0 <= x[i] < width and 0 <= y[i] < height
        if not fits or t_us[i] < before or not -LATEST_US < t_us[i] < LATEST_US:
            return i
        before = t_us[i]
    for i in range(len(polarity)):
        if not -1 <= polarity[i] <= 1:
            return i
    for i in range(len(camera)):
        if camera[i] < 0:
            return i
    return -1
