"""Progress of long work: a bar with rate and time left on a terminal, plain lines elsewhere.

Library functions take a ``Reporter`` and never print; the commands choose which one.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress


class Task(Protocol):
    """One piece of work that is counted while it goes on."""

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Count ``amount`` more units as done; ``note`` replaces the text beside the bar."""


class Reporter(Protocol):
    """Where progress goes."""

    def task(self, name: str, total: int, unit: str) -> AbstractContextManager[Task]:
        """Announce ``total`` units of work, counted by the task the context manager yields."""

    def message(self, text: str) -> None:
        """Say one line."""


class _SilentTask:
    def advance(self, amount: int = 1, note: str = "") -> None:
        pass


class SilentReporter:
    """Says nothing: the default of library functions."""

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Count nothing."""
        yield _SilentTask()

    def message(self, text: str) -> None:
        """Drop the line."""


class NoteReporter:
    """Progress of work inside a task, told in the note beside that task."""

    def __init__(self, outer: Task) -> None:
        self.outer = outer

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Yield a task that counts in the outer one's note."""
        yield _NoteTask(self.outer, name, total, unit)

    def message(self, text: str) -> None:
        """Show the line as the note."""
        self.outer.advance(0, note=text)


class _NoteTask:
    def __init__(self, outer: Task, name: str, total: int, unit: str) -> None:
        self.outer, self.name, self.total, self.unit = outer, name, total, unit
        self.done = 0

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.outer.advance(0, note=f"{self.name}: {self.done}/{self.total} {self.unit}")


class PlainReporter:
    """A line every ``every_s`` seconds while work goes on, and one at its end."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 5.0) -> None:
        self.stream = stream or sys.stderr
        self.every_s = every_s

    @contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Yield a task that writes plain lines."""
        task = _PlainTask(self, name, total, unit)
        yield task
        task.finish()

    def message(self, text: str) -> None:
        """Write one line."""
        self.stream.write(text + "\n")
        self.stream.flush()


class _PlainTask:
    def __init__(self, reporter: PlainReporter, name: str, total: int, unit: str) -> None:
        self.reporter, self.name, self.total, self.unit = reporter, name, total, unit
        self.done, self.note = 0, ""
        self.started = self.last = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note
        now = time.monotonic()
        if self.done < self.total and now - self.last >= self.reporter.every_s:
            self.last = now
            self.reporter.message(self._line(now - self.started, finished=False))

    def finish(self) -> None:
        self.reporter.message(self._line(time.monotonic() - self.started, finished=True))

    def _line(self, elapsed_s: float, *, finished: bool) -> str:
        rate = self.done / elapsed_s if elapsed_s > 0 else 0.0
        line = f"{self.name}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s"
        if finished:
            line += f", {elapsed_s:.0f} s"
        elif rate > 0:
            line += f", {(self.total - self.done) / rate:.0f} s left"
        return f"{line}  {self.note}".rstrip()


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
            yield _BarTask(progress, name, total, unit)

    def message(self, text: str) -> None:
        """Write one line above the bar."""
        self.console.print(text, highlight=False)


class _BarTask:
    def __init__(self, progress: "Progress", name: str, total: int, unit: str) -> None:
        self.progress, self.unit, self.done, self.note = progress, unit, 0, ""
        self.started = time.monotonic()
        self.task = progress.add_task(name, total=total, rate=unit, note="")

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        rate = self.done / max(time.monotonic() - self.started, 1e-9)
        text = f"{rate:.1f} {self.unit}/s" if rate < 1000 else f"{rate:,.0f} {self.unit}/s"
        self.note = note or self.note
        self.progress.update(self.task, advance=amount, rate=text, note=self.note)


SILENT = SilentReporter()


def reporter_for_terminal(*, quiet: bool) -> Reporter:
    """Bars when standard error is a terminal and ``quiet`` is false, plain lines otherwise."""
    if quiet or not sys.stderr.isatty():
        return PlainReporter()
    return BarReporter()
