"""A window that slides over events, updated event by event, and the pixels that change with it.

No picture is built or searched: a step costs what its events cost, those that enter and those that
leave.
"""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.data.events.changes import count, empty_image, take_touched, touch_all
from ann2sdnn.data.events.columns import LATEST_US, GivenEvents, PlacedEvents, place_events
from ann2sdnn.data.events.normalise import deviations
from ann2sdnn.data.events.options import EventWindow
from ann2sdnn.support.errors import DataError, UsageError

_ENDLESS = 1 << 62
_LEAST_CAPACITY = 1024


class Changes(NamedTuple):
    """Pixels of a network's input that may have changed."""

    at: NDArray[np.int64]
    """[n], ascending: (row * W + column) * C + channel."""
    values: NDArray[np.uint8]
    """[n]: what they are now."""


class _Ring(NamedTuple):
    """The window's events, oldest first, from ``span[0]`` on and around the end."""

    pixels: NDArray[np.int64]
    """[capacity], a power of 2: index of the pixel among the counts; -1 where it has none."""
    times: NDArray[np.int64]
    """[capacity], microseconds."""
    span: NDArray[np.int64]
    """Position of the oldest event, and the number of events."""


class _Limits(NamedTuple):
    """What the loop needs of a window."""

    most: int
    """Events in the window."""
    stay_us: int
    """Time that an event stays."""
    width: int
    """Of the sensor."""
    channels: int


class SlidingWindow:
    """The last events of a stream as an input of ``input_shape`` (C, H, W), uint8.

    Raises UsageError where the window does not fit such an input.
    """

    def __init__(self, window: EventWindow, input_shape: tuple[int, int, int]) -> None:
        self._window, self._shape = window, input_shape
        height, width = window.sensor or input_shape[1:]
        self._sensor = (height, width)
        _check_fit(window, input_shape, self._sensor)
        self._limits = _Limits(
            window.events or _ENDLESS, window.microseconds or _ENDLESS, width, input_shape[0]
        )
        self._image = empty_image(input_shape[0] * height * width)
        n_pixels = int(np.prod(input_shape))
        self._at, self._values = np.empty(n_pixels, np.int64), np.empty(n_pixels, np.uint8)
        self.reset()

    def reset(self) -> None:
        """Forget all events, and a scale that was taken from them."""
        for values in self._image:
            values[:] = 0
        self._ring = _ring(_LEAST_CAPACITY)
        self._start_us: int | None = None
        self._now_us = -LATEST_US
        self._scale = self._given_scale()

    @property
    def is_full(self) -> bool:
        """Whether the window has had all its events, or its time has passed."""
        return self._fills(int(self._ring.span[1]), self._start_us, self._now_us)

    def add(self, given: GivenEvents, until_us: int | None = None) -> None:
        """Let events enter, and others leave.

        ``until_us``: the time that it is now, for windows of microseconds; without it, that of the
        last event. Raises DataError, and changes nothing, for what ``place_events`` refuses and
        for a time before an event's; UsageError for a time where the window counts events.
        """
        events = place_events(
            given, self._sensor, self._shape[0], self._window.cameras, self._now_us
        )
        self._check_time(events, until_us)
        filling = self._filling(events)
        self._make_room(len(events.t_us))
        self._slide(events, 0, filling)
        self._slide(events, filling, len(events.t_us))
        if until_us is not None:
            self._now_us = int(until_us)
            if self._start_us is None:
                self._start_us = self._now_us
            _leave_old(self._ring, self._image, self._now_us - self._limits.stay_us)
            self._fix_scale()

    def changes(self) -> Changes:
        """The pixels whose counts changed since the last call; they hold until the next one.

        The window must be full.
        """
        assert self._scale is not None
        sizes = (self._limits.width, *self._shape[1:])
        n = take_touched(self._image, self._scale, sizes, self._at, self._values)
        return Changes(self._at[:n], self._values[:n])

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of the window's events and scale, by name."""
        first, n = self._ring.span
        order = (first + np.arange(n)) & (len(self._ring.pixels) - 1)
        span = [] if self._start_us is None else [self._start_us, self._now_us]
        values: dict[str, NDArray[Any]] = {
            "form": self._form(),
            "pixels": self._ring.pixels[order],
            "times": self._ring.times[order],
            "span": np.array(span, np.int64),
            "scale": np.empty(0) if self._scale is None else self._scale.copy(),
        }
        return {name: torch.from_numpy(one) for name, one in values.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the events of a ``state_dict`` of a window of the same form.

        Raises DataError, and changes nothing, for another state.
        """
        values = {name: one.numpy() for name, one in state.items()}
        self._check_state(values)
        self.reset()
        pixels, times, scale = values["pixels"], values["times"], values["scale"]
        self._make_room(len(pixels))
        self._ring.pixels[: len(pixels)], self._ring.times[: len(times)] = pixels, times
        self._ring.span[1] = len(pixels)
        np.add.at(self._image.counts, pixels[pixels >= 0], 1)
        if len(values["span"]):
            self._start_us, self._now_us = (int(time) for time in values["span"])
        self._scale = scale.copy() if len(scale) else self._scale
        touch_all(self._image)  # how much of it a network has seen is not known here

    def _fills(self, n_events: int, start_us: int | None, now_us: int) -> bool:
        if self._window.events is not None:
            return n_events == self._limits.most
        return start_us is not None and now_us - start_us >= self._limits.stay_us

    def _given_scale(self) -> NDArray[np.float64] | None:
        if self._window.scale is None:
            return None
        scale = np.asarray(self._window.scale, np.float64)
        return np.broadcast_to(scale, self._shape[:1]).copy()

    def _check_time(self, events: PlacedEvents, until_us: int | None) -> None:
        if until_us is None:
            return
        if self._window.microseconds is None:
            raise UsageError("until is for windows of microseconds; this one counts its events")
        last_us = int(events.t_us[-1]) if len(events.t_us) else self._now_us
        given: Any = until_us
        if not isinstance(given, Integral) or not last_us <= until_us < LATEST_US:
            raise DataError(
                f"events until {until_us}, after one of {last_us}; expected the time in"
                " microseconds, not before the last event's"
            )

    def _filling(self, events: PlacedEvents) -> int:
        """How many of ``events`` it takes to fill the window; all where they do not."""
        n = len(events.t_us)
        if self.is_full or n == 0:
            return n
        if self._window.events is not None:
            return min(n, self._limits.most - int(self._ring.span[1]))
        start_us = int(events.t_us[0]) if self._start_us is None else self._start_us
        return min(n, int(np.searchsorted(events.t_us, start_us + self._limits.stay_us)) + 1)

    def _slide(self, events: PlacedEvents, begin: int, end: int) -> None:
        if begin == end:
            return
        _slide(self._ring, self._image, events, (begin, end), self._limits)
        if self._start_us is None:
            self._start_us = int(events.t_us[begin])
        self._now_us = int(events.t_us[end - 1])
        self._fix_scale()

    def _fix_scale(self) -> None:
        if self._scale is None and self.is_full:
            self._scale = deviations(self._image.counts.reshape(*self._sensor, self._shape[0]))

    def _make_room(self, n_events: int) -> None:
        """Room for so many more events, or for as many as the window holds."""
        first, n = (int(one) for one in self._ring.span)
        needed = min(n + n_events, self._limits.most)
        if needed <= len(self._ring.pixels):
            return
        old, self._ring = self._ring, _ring(needed)
        order = (first + np.arange(n)) & (len(old.pixels) - 1)
        self._ring.pixels[:n], self._ring.times[:n] = old.pixels[order], old.times[order]
        self._ring.span[1] = n

    def _form(self) -> NDArray[np.int64]:
        window = self._window
        numbers = (window.events or 0, window.microseconds or 0, *self._sensor, *self._shape)
        return np.array([*numbers, *window.cameras], np.int64)

    def _check_state(self, values: Mapping[str, NDArray[Any]]) -> None:
        own = {name: one.numpy() for name, one in self.state_dict().items()}
        if {name: one.dtype for name, one in values.items()} != {
            name: one.dtype for name, one in own.items()
        } or any(one.ndim != 1 for one in values.values()):
            raise DataError("the state holds no window of events; load one of such a stream")
        if not np.array_equal(values["form"], own["form"]):
            raise DataError("the state is that of another window; load one of the same form")
        scale, given = values["scale"], self._given_scale()
        if given is not None and not np.array_equal(scale, given):
            raise DataError(
                f"the state's window has the scale {scale.tolist()}; expected that of the stream,"
                f" {given.tolist()}"
            )
        pixels, times, span = values["pixels"], values["times"], values["span"]
        fits = bool(
            len(pixels) == len(times) <= self._limits.most
            and ((pixels >= -1) & (pixels < len(self._image.counts))).all()
            and len(span) in ((2,) if len(pixels) else (0, 2))
            and (np.diff(np.concatenate((span[:1], times, span[1:]))) >= 0).all()
            and ((span > -LATEST_US) & (span < LATEST_US)).all()
            and len(scale) in (0, self._shape[0])
            and (np.isfinite(scale) & (scale > 0)).all()
        )
        start_us, now_us = span.tolist() if len(span) == 2 else (None, 0)
        fits &= len(scale) > 0 or not self._fills(len(pixels), start_us, now_us)
        if not fits:
            raise DataError("the state's window is damaged; load another state")


def _check_fit(
    window: EventWindow, input_shape: tuple[int, int, int], sensor: tuple[int, int]
) -> None:
    channels, height, width = input_shape
    if window.cameras and len(window.cameras) != channels:
        raise UsageError(
            f"a window of {len(window.cameras)} cameras for a network whose input has {channels}"
            " channels; name one camera per channel"
        )
    if not window.cameras and channels > 2:
        raise UsageError(
            f"events for a network whose input has {channels} channels; expected one, or two for"
            " both polarities, or a camera per channel: give EventWindow its cameras"
        )
    if sensor[0] < height or sensor[1] < width:
        raise UsageError(
            f"a sensor of {sensor[0]}x{sensor[1]} pixels for a network whose input is"
            f" {height}x{width}; expected one as large or larger"
        )
    if isinstance(window.scale, Sequence) and len(window.scale) != channels:
        raise UsageError(
            f"scales {window.scale} for a network whose input has {channels} channels; give one"
            " number, or one per channel"
        )


def _ring(needed: int) -> _Ring:
    capacity = max(_LEAST_CAPACITY, 1 << (needed - 1).bit_length())
    return _Ring(np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.zeros(2, np.int64))


@numba.njit(nogil=True, cache=True, _nrt=False)
def _leave(ring, image):  # type: ignore[no-untyped-def]
    """The oldest event leaves."""
    pixel = ring.pixels[ring.span[0]]
    if pixel >= 0:
        count(image, pixel, -1)
    ring.span[0] = (ring.span[0] + 1) & (len(ring.pixels) - 1)
    ring.span[1] -= 1


@numba.njit(nogil=True, cache=True, _nrt=False)
def _leave_old(ring, image, last_us):  # type: ignore[no-untyped-def]
    """Events of ``last_us`` or before leave."""
    while ring.span[1] > 0 and ring.times[ring.span[0]] <= last_us:
        _leave(ring, image)


@numba.njit(nogil=True, cache=True, _nrt=False)
def _slide(ring, image, events, between, limits):  # type: ignore[no-untyped-def]
    """Events ``between[0]`` to ``between[1]`` - 1 enter, and others leave, each in its turn."""
    for i in range(between[0], between[1]):
        if ring.span[1] == limits.most:
            _leave(ring, image)
        _leave_old(ring, image, events.t_us[i] - limits.stay_us)
        pixel = np.int64(-1)
        if events.channel[i] >= 0:
            pixel = (events.y[i] * limits.width + events.x[i]) * limits.channels + events.channel[i]
            count(image, pixel, 1)
        place = (ring.span[0] + ring.span[1]) & (len(ring.pixels) - 1)
        ring.pixels[place], ring.times[place] = pixel, events.t_us[i]
        ring.span[1] += 1
