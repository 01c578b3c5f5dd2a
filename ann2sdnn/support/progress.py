"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere.

Library functions take a ``Reporter`` and never print; the commands choose which.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO


class Task(Protocol):
    """One piece of work that is counted while it runs."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more units as done; ``note`` replaces the text beside the bar."""


class Reporter(Protocol):
    """Where progress goes."""

    def task(self, name: str, total: int, unit: str) -> AbstractContextManager[Task]:
        """Announce ``total`` units of work, counted by the task the context manager yields."""

    def message(self, text: str) -> None:
        """Say one line."""


@dataclass
class _Count:
    """A task that calls ``show`` with itself after every step."""

    name: str
    total: int
    unit: str
    show: Callable[["_Count"], object] = lambda count: None
    done: int = 0
    note: str = ""
    started: float = field(default_factory=time.monotonic)

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note
        self.show(self)

    @property
    def elapsed_s(self) -> float:
        return max(time.monotonic() - self.started, 1e-9)

    @property
    def rate(self) -> float:
        return self.done / self.elapsed_s

    def __str__(self) -> str:
        return f"{self.name}: {self.done}/{self.total} {self.unit}"


class SilentReporter:
    """Says nothing: the default of library functions."""

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Show nothing."""
        yield _Count(name, total, unit)

    def message(self, text: str) -> None:
        """Drop the line."""


class NoteReporter:
    """Progress of work inside a task, shown in the note beside that task."""

    def __init__(self, outer: Task) -> None:
        self.outer = outer

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Yield a task that counts in the outer task's note."""
        yield _Count(name, total, unit, lambda count: self.message(str(count)))

    def message(self, text: str) -> None:
        """Show the line as the note."""
        self.outer.advance(0, note=text)


class PlainReporter:
    """A line every ``every_s`` seconds while work runs, and one at its end."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 5.0) -> None:
        self.stream = stream or sys.stderr
        self.every_s = every_s

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Yield a task that writes plain lines."""
        last = time.monotonic()

        def show(count: _Count) -> None:
            nonlocal last
            now = time.monotonic()
            if count.done < total and now - last >= self.every_s:
                last = now
                left = f", {(total - count.done) / count.rate:.0f} s left" if count.done else ""
                self._line(count, left)

        count = _Count(name, total, unit, show)
        yield count
        self._line(count, f", {count.elapsed_s:.0f} s")

    def message(self, text: str) -> None:
        """Write one line."""
        self.stream.write(text + "\n")
        self.stream.flush()

    def _line(self, count: _Count, end: str) -> None:
        line = f"{count}, {count.rate:.1f} {count.unit}/s{end}"
        self.message(f"{line}  {count.note}".rstrip())


class BarReporter:
    """Progress bars with rate and time left, drawn by rich on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Yield a task drawn as one bar."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=18),
            TextColumn("{task.completed}/{task.total} {task.fields[rate]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task(name, total=total, rate=unit, note="")

            def show(count: _Count) -> None:
                digits = 1 if count.rate < 1000 else 0
                rate = f"{count.rate:,.{digits}f} {unit}/s"
                progress.update(bar, completed=count.done, rate=rate, note=count.note)

            yield _Count(name, total, unit, show)

    def message(self, text: str) -> None:
        """Write one line above the bar."""
        self.console.print(text, highlight=False, markup=False)


SILENT = SilentReporter()


@contextmanager
def said_if_slow(reporter: Reporter, text: str, *, after_s: float = 2.0) -> Iterator[None]:
    """Say ``text`` once where the work inside takes longer than ``after_s`` seconds."""
    timer = threading.Timer(after_s, reporter.message, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def reporter_for_terminal(*, quiet: bool) -> Reporter:
    """Bars when standard error is a terminal and ``quiet`` is false, plain lines otherwise."""
    return PlainReporter() if quiet or not sys.stderr.isatty() else BarReporter()
