"""Ways to start a command: a process with everything imported, or a new interpreter."""

import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Protocol

Arguments = tuple[str, ...]
Done = subprocess.CompletedProcess[str]

_PROGRAM = (sys.executable, "-c", "from ann2sdnn.cli.app import main; main()")
_POLL_S = 0.01
# Modules that say which process this is.
_OWN = ("__main__", "__mp_main__")


class Process(Protocol):
    """A command that runs, in a session of its own."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""

    def kill(self) -> None:
        """Send SIGKILL; nothing happens where it has ended."""

    def wait(self) -> int:
        """Wait for its end; the exit code."""


class Starter(Protocol):
    """Starts commands in a folder. ``largest``: limit on the size of each file, in bytes."""

    def start(self, arguments: Arguments, folder: Path) -> Process:
        """Start the command; what it prints is lost."""

    def run(self, arguments: Arguments, folder: Path, largest: int | None = None) -> Done:
        """Run the command to its end."""


class NewInterpreters:
    """Starts commands as a shell does; importing takes seconds."""

    def start(self, arguments: Arguments, folder: Path) -> Process:
        """Start the command; what it prints is lost."""
        return subprocess.Popen(
            (*_PROGRAM, *arguments),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, arguments: Arguments, folder: Path, largest: int | None = None) -> Done:
        """Run the command to its end."""
        return subprocess.run(
            (*_PROGRAM, *arguments),
            check=False,
            cwd=folder,
            capture_output=True,
            text=True,
            preexec_fn=None if largest is None else lambda: _limit(largest),
        )


class Forks:
    """Forks this process, which imports what the commands that ended have imported.

    So a killed command has hardly imported, and moments are spread over its work. This process
    must have one thread.
    """

    def start(self, arguments: Arguments, folder: Path) -> Process:
        """Start the command; what it prints is lost."""
        return _Forked(arguments, folder)

    def run(self, arguments: Arguments, folder: Path, largest: int | None = None) -> Done:
        """Run the command to its end, and import here what it imported."""
        with own_folder() as place:
            code = _Forked(arguments, folder, place, largest).wait()
            imported = place / _MODULES
            if imported.is_file():
                _import(imported.read_text().split())
            texts = [(place / stream).read_text(errors="replace") for stream in _STREAMS]
        return subprocess.CompletedProcess(arguments, code, *texts)


@contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder, which is deleted after the block, and only by this process.

    A ``TemporaryDirectory`` is deleted by every forked process that ends, too.
    """
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


_STREAMS = ("stdout", "stderr")
_MODULES = "modules"


class _Forked:
    """``place``: folder for what it prints, and for the names of the modules it imported."""

    def __init__(
        self,
        arguments: Arguments,
        folder: Path,
        place: Path | None = None,
        largest: int | None = None,
    ) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _be(arguments, folder, place, largest)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(_POLL_S)
        return code


def _be(arguments: Arguments, folder: Path, place: Path | None, largest: int | None) -> NoReturn:
    """Become the command, in a forked process."""
    from ann2sdnn.cli.app import main
    from ann2sdnn.support.processes.leaving import leave

    os.setsid()
    os.chdir(folder)
    for number, stream in enumerate(_STREAMS, start=1):
        path = Path(os.devnull) if place is None else place / stream
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if largest is not None:
        _limit(largest)
    sys.argv = ["ann2sdnn", *arguments]
    with suppress(SystemExit):
        main()
    if place is not None:
        (place / _MODULES).write_text("\n".join(sys.modules))
    leave(0)


def _import(names: list[str]) -> None:
    """Import modules, in the order in which another process has."""
    for name in names:
        if name not in sys.modules and name not in _OWN:
            try:
                importlib.import_module(name)
            except Exception:  # not every module is a file
                continue


def _limit(largest: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``done`` is true, at most ``seconds``; whether it is."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
