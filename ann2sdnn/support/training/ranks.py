"""The processes of a training run: how they start on this machine, and how they end together.

Each process is a copy of the command, told by environment variables which one it is. Either
`torchrun` starts them, or the first process of a machine starts the others.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from ann2sdnn.support.errors import ProcessError, UsageError
from ann2sdnn.support.training.fabric import launched, make_fabric

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_STARTED_BY = "ANN2SDNN_STARTED_BY"  # in a process that another has started: that one's number
_POLL_S = 0.2
_NOTICE_S = 1.0  # until the main thread has noticed by itself that another process is gone
_VERDICT_S = 5.0  # until it is known which process is gone, once a connection was lost
_GRACE_S = 10.0  # for the main thread to end; it may wait in a library that hears no signal
_END_S = 60.0  # for processes to end once the run is over
_LOST = ("gloo", "nccl", "connection", "socket", "broken pipe", "tcpstore")


@contextmanager
def running_fabric(
    accelerator: str, devices: int, *, num_nodes: int = 1, precision: str = "32-true"
) -> "Iterator[Fabric]":
    """Lightning Fabric with all its processes started; they end when one of them fails.

    ``devices``: on each of ``num_nodes`` machines. Raises UsageError where they cannot be used or
    are not those that `torchrun` was told, and ProcessError where another process has ended before
    the run was over.
    """
    _check_torchrun(devices, num_nodes)
    fabric = make_fabric(accelerator, devices, num_nodes=num_nodes, precision=precision)
    if devices * num_nodes == 1:
        yield launched(fabric)
        return
    _end_with_starter()
    others = _Others(devices, num_nodes)
    with others:
        try:
            launched(fabric)
            others.have_joined = True
            yield fabric
        except (KeyboardInterrupt, RuntimeError) as error:
            sentence = others.verdict(error)
            if sentence is None:
                raise
            raise ProcessError(sentence) from error


def _check_torchrun(devices: int, num_nodes: int) -> None:
    """Raise UsageError where `torchrun` has started another number of processes."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    world, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if world != devices * num_nodes:
        raise UsageError(
            f"torchrun started {world} processes, {local} on this machine, and --devices {devices}"
            f" --num-nodes {num_nodes} asks for {devices * num_nodes}; expected --devices {local}"
            f" --num-nodes {world // local}"
        )


class _Others:
    """The other processes of this machine, where this one has to start them; else none.

    ``failure``: the sentence on the first that ended too early.
    """

    def __init__(self, devices: int, num_nodes: int) -> None:
        self.have_joined = False
        self.failure: str | None = None
        self._n, self._size = devices, devices * num_nodes
        self._starts = "LOCAL_RANK" not in os.environ
        self._processes: list[subprocess.Popen[bytes]] = []
        self._over, self._noticed = threading.Event(), threading.Event()
        self._before = dict(os.environ)
        known = all(name in os.environ for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"))
        if self._starts and num_nodes > 1 and not known:
            raise UsageError(
                f"--num-nodes {num_nodes}: the machines do not know each other; start the command"
                " with torchrun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each of them"
            )

    def __enter__(self) -> None:
        if not self._starts:
            return
        environment = os.environ
        environment.setdefault("MASTER_ADDR", "127.0.0.1")
        environment.setdefault("MASTER_PORT", str(_free_port()))
        environment.setdefault("NODE_RANK", "0")
        environment["WORLD_SIZE"], environment["LOCAL_RANK"] = str(self._size), "0"
        command = [sys.executable, *sys.orig_argv[1:]]
        for rank in range(1, self._n):
            own = {**environment, "LOCAL_RANK": str(rank), _STARTED_BY: str(os.getpid())}
            # In a session of its own: Ctrl-C is for the first process, which ends the others.
            self._processes.append(
                subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, start_new_session=True)
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._wait()
        self._over.set()
        self._kill()
        os.environ.clear()
        os.environ.update(self._before)
        if kind is None and self.failure is not None:
            raise ProcessError(self.failure)

    def verdict(self, error: BaseException) -> str | None:
        """Why the run ends, where ``error`` is one that another process has caused."""
        lost = isinstance(error, RuntimeError) and _is_lost_connection(error)
        deadline = time.monotonic() + (_VERDICT_S if lost else 0.0)
        while self.failure is None and time.monotonic() < deadline:
            time.sleep(_POLL_S / 4)
        if self.failure is None and lost:
            reason = str(error).splitlines()[0].rstrip(".")
            return (
                f"another process of this training has ended ({reason}), so the run ends; that"
                " one's own message says why"
            )
        self._noticed.set()
        return self.failure

    def _watch(self) -> None:
        while not self._over.wait(_POLL_S):
            self.failure = self._first_failure()
            if self.failure is None:
                continue
            self._kill()
            if not self._noticed.wait(_NOTICE_S):
                interrupt_main()
                if not self._over.wait(_GRACE_S):
                    sys.stderr.write(f"ann2sdnn: {self.failure}\n")
                    sys.stderr.flush()
                    os._exit(2)
            return

    def _first_failure(self) -> str | None:
        for rank, process in enumerate(self._processes, start=1):
            code = process.poll()
            if code is None or (code == 0 and self.have_joined):
                continue
            how = f"with exit code {code}; its own message says why"
            if code < 0:
                how = f"by signal {-code}, perhaps for want of memory"
            return (
                f"process {rank} of the {self._n} of this machine, counted from 0, has ended {how};"
                " the run ends with it, and --resume continues after the last finished epoch"
            )
        return None

    def _wait(self) -> None:
        deadline = time.monotonic() + _END_S
        while any(each.poll() is None for each in self._processes):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_S / 4)
        self.failure = self._first_failure()

    def _kill(self) -> None:
        """End the others, which write nothing."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def _is_lost_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    return any(word in text for word in _LOST)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _end_with_starter() -> None:
    """Where another process has started this one: end when that one has ended."""
    starter = os.environ.get(_STARTED_BY)
    if starter is not None and int(starter) == os.getppid():
        threading.Thread(target=_exit_with, args=(int(starter),), daemon=True).start()


def _exit_with(starter: int) -> None:
    while os.getppid() == starter:
        time.sleep(_POLL_S)
    os._exit(1)
