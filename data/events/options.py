"""Options of the windows of events that become frames."""

from dataclasses import dataclass
from typing import Literal

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import CheckedOptions, choice, number

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
