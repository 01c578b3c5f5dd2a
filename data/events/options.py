"""Options of the windows of events that become frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, choice, number, numbers, size

WINDOW_EVENTS = 30_000
MOST_HOPS = 512  # per window: each takes 0.7 MB while events are counted
Normalisation = Literal["frame", "fixed"]


@dataclass(frozen=True)
class Windows(CheckedOptions):
    """The windows of frames; raises UsageError when the hop does not divide the window."""

    panel = "Frames"

    # A recording of DHP19 has some millions of events.
    window_events: int = number(
        WINDOW_EVENTS, at_least=1, at_most=10**8, unit="events", option="--window-events"
    )
    """Events per frame, over all four cameras."""
    hop_events: int | None = number(
        None, at_least=1, at_most=10**8, unit="events", option="--hop-events"
    )
    """Events from one frame to the next, a divisor of the window; without it windows are disjoint,
    as in DHP19."""
    normalise: Normalisation = choice("frame", option="--normalise")
    """Deviation that scales counts: of each frame, or of the recording's first frame (fixed)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_events % self.hop:
            raise UsageError(
                f"--hop-events {self.hop}; expected a divisor of the window of"
                f" {self.window_events} events"
            )

    def refuse_too_many_hops(self) -> None:
        """Raise UsageError where the hops of a window would fill the memory that holds them."""
        if self.hops_per_window > MOST_HOPS:
            raise UsageError(
                f"--hop-events {self.hop}; a window of {self.window_events} events would be"
                f" {self.hops_per_window} hops long, expected {MOST_HOPS} at most"
            )

    @property
    def hop(self) -> int:
        """Events from one frame to the next."""
        return self.window_events if self.hop_events is None else self.hop_events

    @property
    def hops_per_window(self) -> int:
        """Hops per window; 1 where windows do not overlap."""
        return self.window_events // self.hop


@dataclass(frozen=True)
class EventWindow(CheckedOptions):
    """The window that slides over a stream of events, and what becomes of its counts.

    A pixel's value is floor(min(255, count * 255 / (3 s))), as in ``normalise``, with one s per
    channel for the whole stream. Raises UsageError unless the window has one length, in events or
    in microseconds, and for a scale that is not positive.
    """

    events: int | None = number(None, at_least=1, at_most=10**8, unit="events")
    """Events in the window, over all cameras together."""
    microseconds: int | None = number(None, at_least=1, at_most=10**12, unit="microseconds")
    """Time that an event stays in the window."""
    scale: float | Sequence[float] | None = None
    """s in events, of all channels or of each; None takes the deviations of the first full window,
    as ``Windows.normalise`` "fixed" does. Give it where that window may show next to nothing."""
    sensor: tuple[int, int] | None = size(None)
    """Height and width of the sensor in pixels, where the network sees its upper left part only.
    Events of the rest fill the window, too."""
    cameras: tuple[int, ...] = numbers((), at_least=0, at_most=255, distinct=True)
    """The camera that each channel of the network's input shows, where there are several cameras.
    Events of cameras that no channel shows fill the window, too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.events is None) == (self.microseconds is None):
            raise UsageError(
                f"a window of {self.events} events and {self.microseconds} microseconds; expected"
                " one of the two lengths"
            )
        scale = np.asarray(1.0 if self.scale is None else self.scale)
        is_number = scale.dtype.kind in "iuf" and scale.ndim == int(
            isinstance(self.scale, Sequence)
        )
        if not is_number or not (np.isfinite(scale) & (scale > 0)).all():
            raise UsageError(
                f"a scale of {self.scale}; expected a number of events above 0, or one per channel"
            )
