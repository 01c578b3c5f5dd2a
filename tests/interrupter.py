"""A reporter that interrupts what reports to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ann2sdnn.support.progress import SilentReporter, Task


class Interrupter(SilentReporter):
    """Presses Ctrl-C at the given step, counted over the whole run."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` steps."""
        self.left -= amount
        if self.left == 0:
            raise KeyboardInterrupt

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Steps of all tasks count together."""
        yield self
