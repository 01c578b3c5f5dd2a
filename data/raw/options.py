"""Options of `prepare`."""

from dataclasses import dataclass, field

from ann2sdnn.data.events.options import Windows
from ann2sdnn.support.options.fields import CheckedOptions, free, number
from ann2sdnn.support.options.limits import MOST_WORKERS


@dataclass(frozen=True)
class PrepareOptions(CheckedOptions):
    """How events become frames, and how many recordings are prepared at a time.

    Raises UsageError when there is no worker, or when windows overlap so much that their hops would
    fill the memory.
    """

    windows: Windows = field(default_factory=Windows)
    """How events are cut into frames."""
    workers: int = number(1, at_least=1, at_most=MOST_WORKERS, option="--workers")
    """Recordings prepared side by side."""
    scheduler: str | None = free(None, option="--scheduler")
    """Address of a Dask scheduler, such as tcp://host:8786, whose workers prepare instead.
    They see the same files under the same paths."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.windows.refuse_too_many_hops()
