"""Kills commands at random moments and fills their disk: `python benchmarks/interruption.py`.

Each command runs once undisturbed, then again and again with `kill -9` after a random part of that
time, and on disks with room for a part of what it writes (a small tmpfs as root, else a limit on
the size of files). Afterwards:

- what the command writes as a whole is not there, is the old one or the new one; every file that
  is there is whole (hidden files, which begin with a dot, are what a killed process was writing);
- no process and no shared memory of it is left;
- the same command, with --resume where a training has a state, ends in what the undisturbed run
  wrote: the same arrays and weights bit for bit.

Prints a row per command and exits with 1 where anything else was found.
"""

import argparse
import hashlib
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Runner = Callable[[tuple[str, ...], Path], "subprocess.CompletedProcess[str]"]
"""Runs a command in a folder to its end."""

_PROGRAM = (sys.executable, "-c", "from ann2sdnn.cli.app import main; main()")
_SHARED = Path("/dev/shm")
_HALF = ".out.*"  # the output until it is whole
_POLL_S = 0.002
_LEAVING_S = 20  # how long workers may take to see that their parent is gone
_ROOM = (0.05, 0.4, 0.9)  # of what a command writes
_TRAINING = ("--batch-size", "2", "--crop", "32x32", "--workers", "0")
_FRAMES = ("--movements", "1", "--frames", "8", "--kinds", "walk", "--workers", "1")
_EVALUATE = ("evaluate", "sdnn", "--data", "data", "--split", "all")
_CONVERT = ("convert", "run/model.onnx", "--calibrate", "data", "--split", "all")


@dataclass(frozen=True)
class Command:
    """``arguments`` without the output, which is `out` in the working folder.

    ``older``: what is added to write another state, which is there when the command begins; nothing
    where it writes file by file and goes on where it was.
    """

    arguments: tuple[str, ...]
    older: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The command's."""
        return self.arguments[0]

    @property
    def learns(self) -> bool:
        """Whether it can be resumed with --resume."""
        return self.name.startswith("train")


_VALIDATE = ("--validation-frames", "2", "--verified-frames", "2")
_CHUNKS = ("--chunk-frames", "2", "--chunks", "1")
COMMANDS = {
    command.name: command
    for command in (
        Command(("synth", "out", "--subjects", "2", *_FRAMES), ("--seed", "7")),
        Command(("prepare", "raw", "out")),
        Command((*("train-ann", "--data", "data", "--out", "out", "--epochs", "3"), *_TRAINING)),
        Command((*_CONVERT, "--frames", "4", "--out", "out"), ("--frames", "3")),
        Command(
            (
                *("train-sdnn", "sdnn", "--data", "data", "--out", "out", "--epochs", "2"),
                *(*_VALIDATE, *_CHUNKS, *_TRAINING),
            )
        ),
        Command((*_EVALUATE, "--frames", "2", "--out", "out"), ("--frames", "1")),
    )
}


@dataclass
class Result:
    """What was found of one command. ``ended``: trials in which it had ended before the signal."""

    name: str
    trials: int = 0
    ended: int = 0
    full: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        numbers = f"{self.trials:>8}{self.ended:>8}{self.full:>12}  {len(self.faults)}"
        return "\n    ".join((f"{self.name:<12}{numbers}", *self.faults))


def make_world(folder: Path) -> None:
    """Recordings, raw recordings, a trained network and a conversion, for the commands to read."""
    for arguments in (
        ("synth", "data", "--subjects", "4", *_FRAMES, "--raw", "raw"),
        ("train-ann", "--data", "data", "--out", "run", "--epochs", "1", *_TRAINING),
        (*_CONVERT, "--frames", "4", "--out", "sdnn"),
    ):
        done = run(arguments, folder)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")


def run(
    arguments: tuple[str, ...], folder: Path, limit: Callable[[], None] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command in ``folder`` to its end; ``limit`` is called in its process before."""
    return subprocess.run(
        (*_PROGRAM, *arguments),
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )


def contents(out: Path) -> dict[str, str]:
    """Every file in ``out`` that is not hidden: what it holds, without times and dates.

    Raises ValueError for a file that is not whole.
    """
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in Path(name).parts):
            try:
                found[name] = _content(path)
            except Exception as error:
                raise ValueError(f"{name} is damaged: {error}") from error
    return found


def _content(path: Path) -> str:
    read = _READERS.get(path.suffix)
    return path.suffix if read is None else read(path)


def _of_tensors(path: Path) -> str:
    from safetensors.numpy import load_file

    arrays = load_file(path)
    parts = [name.encode() + arrays[name].tobytes() for name in sorted(arrays)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _of_json(path: Path) -> str:
    json.loads(path.read_text())
    return "JSON"


def _of_picture(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()
    return "a picture"


def _of_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_page(path: Path) -> str:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("it has no end")
    return "a page"


def _of_arrays(path: Path) -> str:
    import h5py
    import numpy as np

    digest = hashlib.sha256()

    def add(name: str, item: object) -> None:
        digest.update(name.encode())
        if isinstance(item, h5py.Dataset):
            digest.update(np.asarray(item[()]).tobytes())

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return digest.hexdigest()


# Files of other kinds are compared by name.
_READERS: dict[str, Callable[[Path], str]] = {
    **{".h5": _of_arrays, ".safetensors": _of_tensors, ".onnx": _of_bytes},
    **{".json": _of_json, ".html": _of_page},
    **dict.fromkeys((".png", ".gif", ".webp"), _of_picture),
}


class Trials:
    """Disturbs one command in the folder ``world``; ``undisturbed`` runs it otherwise."""

    def __init__(self, command: Command, world: Path, undisturbed: Runner = run) -> None:
        self.command, self.world, self.out = command, world, world / "out"
        self._run = undisturbed
        self.result = Result(command.name)
        started = time.monotonic()
        self._finish(command.arguments)
        self.seconds = time.monotonic() - started
        self.expected = contents(self.out)
        self.n_bytes = sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file())
        self.older: dict[str, str] = {}
        if command.older:
            self._clear()
            self._finish((*command.arguments, *command.older))
            self.older = contents(self.out)
            shutil.move(self.out, self.world / "older")

    def kill(self, after_s: float, once: str | None = None) -> None:
        """Kill the command ``after_s`` after its start, look at what it left, and finish it.

        ``once``: after the file of this name is among those that it writes, before they are moved
        to their place.
        """
        arguments = self._prepared(with_older=self.result.trials % 2 == 1)
        before = _shared_memory()
        process = subprocess.Popen(
            (*_PROGRAM, *arguments),
            cwd=self.world,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        half = None if once is None else f"{_HALF}/{once}"
        while half and process.poll() is None and not any(self.world.glob(half)):
            time.sleep(_POLL_S)
        time.sleep(after_s)
        self.result.ended += process.poll() is not None
        process.kill()  # nothing where it has ended
        process.wait()
        self.result.trials += 1
        where = f"killed {after_s:.2f} s after {once or 'its start'}"
        left = _wait_for_none(lambda: _in_session(process.pid))
        if left:
            self._fault(where, f"left the processes {left}")
        memory = _wait_for_none(lambda: sorted(_shared_memory() - before))
        if memory:
            self._fault(where, f"left shared memory {memory}")
        self._look(where)
        self._finish_and_compare(where)

    def fill(self, share: float, *, with_limit: bool) -> None:
        """Run the command with room for ``share`` of what it writes.

        ``with_limit``: by a limit on the size of each file, where no file system can be mounted.
        """
        arguments = self._prepared(with_older=False)
        where = f"with room for {share:.0%}"
        if with_limit:
            sizes = [path.stat().st_size for path in self.out.rglob("*")] or [self.n_bytes]
            most = int(share * max(sizes))
            done = run(
                arguments,
                self.world,
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
            )
            self._judge_full(done, where)
            return
        with _small_disk(self.world, int(share * self.n_bytes)) as disk:
            moved = tuple(f"{disk}/out" if word == "out" else word for word in arguments)
            done = run(moved, self.world)
            self.out = disk / "out"
            try:
                self._judge_full(done, where)
            finally:
                self.out = self.world / "out"

    def _judge_full(self, done: "subprocess.CompletedProcess[str]", where: str) -> None:
        self.result.full += 1
        told = [line for line in done.stderr.splitlines() if line.startswith("ann2sdnn: ")]
        if done.returncode not in {1, 2} or "Traceback" in done.stderr or len(told) > 1:
            self._fault(where, f"exit code {done.returncode}: {done.stderr.strip()[-200:]}")
        self._look(where)

    def _look(self, where: str) -> None:
        """Note what is neither the old state nor the new one."""
        if not self.out.exists():
            if self.command.older and self._had_older and self._is_one_folder:
                self._fault(where, "the old folder is gone")
            return
        try:
            found = contents(self.out)
        except ValueError as error:
            self._fault(where, str(error))
            return
        if self._is_one_folder and found not in (self.expected, self.older, {}):
            self._fault(where, f"a part of the folder: {sorted(found)}")

    @property
    def _is_one_folder(self) -> bool:
        return self.command.name in {"synth", "convert"}

    def _prepared(self, *, with_older: bool) -> tuple[str, ...]:
        """Clear the output, put the old one there where asked for, and give the arguments."""
        self._clear()
        self._had_older = with_older and bool(self.command.older)
        if not self._had_older:
            return self.command.arguments
        shutil.copytree(self.world / "older", self.out)
        return (*self.command.arguments, "--force")

    def _clear(self) -> None:
        for path in (self.out, *self.world.glob(_HALF)):
            shutil.rmtree(path, ignore_errors=True)

    def _finish(self, arguments: tuple[str, ...]) -> None:
        done = self._run(arguments, self.world)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")

    def _finish_and_compare(self, where: str) -> None:
        has_state = self.command.learns and (self.out / "state.safetensors").is_file()
        ways = ["--resume"] if has_state else [] if self.command.name == "prepare" else ["--force"]
        done = self._run((*self.command.arguments, *ways), self.world)
        if done.returncode:
            self._fault(where, f"not to be finished: {done.stderr.strip()[-300:]}")
        elif contents(self.out) != self.expected:
            found = contents(self.out)
            names = {*found, *self.expected}
            other = sorted(name for name in names if found.get(name) != self.expected.get(name))
            self._fault(where, f"finished, it differs from the undisturbed run in {other}")

    def _fault(self, where: str, what: str) -> None:
        self.result.faults.append(f"{where}: {what}")


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


def _wait_for_none(left: Callable[[], list[str]]) -> list[str]:
    """What is left once nothing is, or after some time."""
    deadline = time.monotonic() + _LEAVING_S
    while (found := left()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@contextmanager
def _small_disk(world: Path, n_bytes: int) -> Iterator[Path]:
    disk = world / "disk"
    disk.mkdir(exist_ok=True)
    size = max(n_bytes, 1 << 16)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def can_mount(world: Path) -> bool:
    """Whether this process may mount a file system."""
    try:
        with _small_disk(world, 1 << 20):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def main() -> int:
    """Disturb the commands that the arguments name, all by default."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="COMMAND", help=f"of {', '.join(COMMANDS)}")
    arguments.add_argument("--trials", type=int, default=10, help="kills per command (10)")
    arguments.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    given = arguments.parse_args()
    rng = random.Random(given.seed)
    n_faults = 0
    sys.stdout.write(f"{'command':<12}{'killed':>8}{'ended':>8}{'full disks':>12}  faults\n")
    with tempfile.TemporaryDirectory() as name:
        world = Path(name)
        make_world(world)
        mounts = can_mount(world)
        for chosen in given.names or COMMANDS:
            shutil.rmtree(world / "older", ignore_errors=True)
            trials = Trials(COMMANDS[chosen], world)
            for _ in range(given.trials):
                trials.kill(rng.uniform(0, trials.seconds))
            for share in _ROOM:
                trials.fill(share, with_limit=not mounts)
            sys.stdout.write(f"{trials.result}\n")
            sys.stdout.flush()
            n_faults += len(trials.result.faults)
    return int(n_faults > 0)


if __name__ == "__main__":
    sys.exit(main())
