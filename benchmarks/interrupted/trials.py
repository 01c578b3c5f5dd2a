"""Disturbs one command again and again, and notes what it leaves that it should not."""

import ctypes
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interrupted.commands import Command
from interrupted.contents import contents
from interrupted.starting import Arguments, Done, Starter, wait_until

_SHARED = Path("/dev/shm")
_NEW_MOUNTS = 0x20000  # CLONE_NEWNS
_HALF = ".out.*"  # the output until it is whole
_LEAVING_S = 20  # how long workers may take to see that their parent is gone
_PAGE = 4096  # bytes that a tmpfs gives at once
_ROOMY = 1 << 26  # bytes, for all that a command writes
_POLL_S = 0.002


@dataclass
class Result:
    """What was found of one command. ``ended``: trials in which it had ended before the signal.

    ``seconds``: of the quickest undisturbed run.
    """

    name: str
    seconds: float = 0.0
    trials: int = 0
    ended: int = 0
    full: int = 0
    resumed: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        numbers = f"{self.seconds:>6.1f}{self.trials:>8}{self.ended:>8}"
        numbers += f"{self.resumed:>9}{self.full:>12}  {len(self.faults)}"
        return "\n    ".join((f"{self.name:<12}{numbers}", *self.faults))


HEADER = f"{'command':<12}{'s':>6}{'killed':>8}{'ended':>8}{'resumed':>9}{'full disks':>12}  faults"


class Trials:
    """Disturbs one command in the folder ``world``; ``starter`` starts it.

    ``undisturbed`` runs it to its end where it is not disturbed. Raises SystemExit where the
    command fails without being disturbed.
    """

    def __init__(
        self,
        command: Command,
        world: Path,
        starter: Starter,
        undisturbed: Callable[[Arguments, Path], Done] | None = None,
    ) -> None:
        self.command, self.world, self.out = command, world, world / "out"
        self._starter, self._run = starter, undisturbed or starter.run
        self.result = Result(command.name)
        self._had_older = False
        self._clear()
        self._finish(command.arguments)  # with what is imported and compiled only once
        self._clear()
        started = time.monotonic()
        self._finish(command.arguments)
        self.result.seconds = time.monotonic() - started  # less where the machine was busy now
        self.expected = contents(self.out)
        self.n_pages = sum(-(-path.stat().st_size // _PAGE) for path in _files(self.out))
        self.older: dict[str, str] = {}
        if command.older is not None:
            self._clear()
            self._finish((*command.arguments, *command.older))
            self.older = contents(self.out)
            shutil.rmtree(self._kept, ignore_errors=True)
            shutil.move(self.out, self._kept)

    def kill(self, after_s: float, once: str | None = None) -> None:
        """Kill the command ``after_s`` after its start, look at what it left, and finish it.

        ``once``: after the file of this name is among those that it writes, before they are moved
        to their place.
        """
        arguments = self._prepared(with_older=self.result.trials % 2 == 1)
        before = _shared_memory()
        process = self._starter.start(arguments, self.world)
        half = None if once is None else f"{_HALF}/{once}"
        while half and process.poll() is None and not any(self.world.glob(half)):
            time.sleep(_POLL_S)
        time.sleep(after_s)
        self.result.ended += process.poll() is not None
        process.kill()
        process.wait()
        self.result.trials += 1
        where = f"killed {after_s:.2f} s after {once or 'its start'}"
        if not wait_until(lambda: not _in_session(process.pid), _LEAVING_S):
            self._fault(where, f"left the processes {_in_session(process.pid)}")
        if not wait_until(lambda: _shared_memory() <= before, _LEAVING_S):
            self._fault(where, f"left shared memory {sorted(_shared_memory() - before)}")
        self._look(where)
        self._finish_and_compare(where)

    def fill(self, share: float, *, with_limit: bool) -> None:
        """Run the command with room for ``share`` of what it writes, then finish it with more.

        ``with_limit``: by a limit on the size of each file, where no file system can be mounted.
        """
        arguments = self._prepared(with_older=False)
        where = f"with room for {share:.0%}"
        self.result.full += 1
        if with_limit:
            largest = int(share * _PAGE * self.n_pages)
            self._judge_full(self._starter.run(arguments, self.world, largest), where)
            self._finish_and_compare(where)
            return
        disk = self.world / "disk"
        with small_disk(disk, max(1, int(share * self.n_pages)) * _PAGE):
            self.out = disk / "out"
            try:
                self._judge_full(self._starter.run(self._placed(arguments), self.world), where)
                _mount(disk, _ROOMY, "remount,")
                self._finish_and_compare(where)
            finally:
                self.out = self.world / "out"

    def _judge_full(self, done: Done, where: str) -> None:
        told = [line for line in done.stderr.splitlines() if line.startswith("ann2sdnn: ")]
        if done.returncode not in {1, 2} or "Traceback" in done.stderr or len(told) > 1:
            self._fault(where, f"exit code {done.returncode}: {done.stderr.strip()[-200:]}")
        self._look(where)

    def _look(self, where: str) -> None:
        """Note what is neither the old state nor the new one."""
        try:
            found = contents(self.out) if self.out.exists() else {}
        except ValueError as error:
            self._fault(where, str(error))
            return
        lost = sorted(set(self.older) - set(found)) if self._had_older else []
        if lost:
            self._fault(where, f"of the old folder, {lost} are gone")
        elif self.command.whole and found not in (self.expected, self.older, {}):
            self._fault(where, f"a part of the folder: {sorted(found)}")
        elif not self.command.learns:  # a training keeps what each epoch has made
            self._compare_files(found, where)

    def _compare_files(self, found: dict[str, str], where: str) -> None:
        other = [
            name
            for name, content in found.items()
            if content not in (self.expected.get(name), self.older.get(name))
        ]
        if other:
            self._fault(where, f"neither old nor new are {other}")

    @property
    def _kept(self) -> Path:
        return self.world / "older"

    def _prepared(self, *, with_older: bool) -> Arguments:
        """Clear the output, put the old one there where asked for, and give the arguments."""
        self._clear()
        self._had_older = with_older and self.command.older is not None
        if not self._had_older:
            return self.command.arguments
        shutil.copytree(self._kept, self.out)
        return (*self.command.arguments, "--force")

    def _placed(self, arguments: Arguments) -> Arguments:
        """``arguments`` with the place of the output, which may be another disk."""
        place = self.out.relative_to(self.world).as_posix()
        return tuple(
            place + word.removeprefix("out") if word.split("/")[0] == "out" else word
            for word in arguments
        )

    def _clear(self) -> None:
        for path in (self.out, *self.world.glob(_HALF)):
            shutil.rmtree(path, ignore_errors=True)

    def _finish(self, arguments: Arguments) -> None:
        done = self._run(arguments, self.world)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")

    def _finish_and_compare(self, where: str) -> None:
        has_state = self.command.learns and (self.out / "state.safetensors").is_file()
        self.result.resumed += has_state
        ways = ("--resume",) if has_state else self.command.again
        started = time.monotonic()
        done = self._run((*self._placed(self.command.arguments), *ways), self.world)
        if ways == ("--force",):  # it did everything again
            self.result.seconds = min(self.result.seconds, time.monotonic() - started)
        if done.returncode:
            self._fault(where, f"not to be finished: {done.stderr.strip()[-300:]}")
            return
        found = contents(self.out)
        names = sorted({*found, *self.expected})
        other = [name for name in names if found.get(name) != self.expected.get(name)]
        if other:
            self._fault(where, f"finished, it differs from the undisturbed run in {other}")

    def _fault(self, where: str, what: str) -> None:
        self.result.faults.append(f"{where}: {what}")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _in_session(session: int) -> list[str]:
    """Command lines of the processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, own, *_ = path.read_text().rpartition(")")[2].split()
            if int(own) == session and state != "Z":
                found.append((path.parent / "cmdline").read_text().replace("\0", " ")[:80])
        except (OSError, ValueError):
            continue
    return found


def _shared_memory() -> set[str]:
    return {path.name for path in _SHARED.iterdir()} if _SHARED.is_dir() else set()


@contextmanager
def small_disk(disk: Path, n_bytes: int) -> Iterator[None]:
    """Mount a tmpfs of ``n_bytes`` at ``disk`` for the block; needs the rights to do so."""
    disk.mkdir(exist_ok=True)
    _mount(disk, n_bytes)
    try:
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _mount(disk: Path, n_bytes: int, options: str = "") -> None:
    options += f"size={n_bytes}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)


def own_mounts() -> bool:
    """Give this process file systems that no other sees: an empty /dev/shm, and small disks.

    False where it may not mount; then other programs' shared memory is seen here too.
    """
    if ctypes.CDLL(None).unshare(_NEW_MOUNTS):
        return False
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if _SHARED.is_dir():
        subprocess.run(["mount", "-t", "tmpfs", "none", str(_SHARED)], check=True)
    return True
