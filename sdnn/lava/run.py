"""Runs a network file in lava-nc's fixed-point simulation, in processes of its own.

lava forks one process per synapse and per population. All belong to the process group of one
``worker``. The group and its shared memory are removed however the run ends.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.lava import job as lava_job
from ann2sdnn.sdnn.lava.importing import check_lava
from ann2sdnn.sdnn.lava.job import Job, layer_file
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.support.errors import SimulationError
from ann2sdnn.support.integers import narrowed
from ann2sdnn.support.progress import SILENT, Reporter, Task

_POLL_SECONDS = 0.2
# Until the first time step: importing lava, building and forking about fifty processes.
_BUILD_SECONDS = 600.0
# The kernel takes a moment to release many gigabytes.
_END_SECONDS = 30.0
# One thread per library: lava's processes already share the cores.
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


@dataclass(frozen=True, eq=False)
class LavaRun:
    """Messages and overflows of a run.

    Layer l answers frame t (from 0) in entry t + l + 1. Earlier entries are messages that its bias
    causes before the first frame reaches it.
    """

    layers: tuple[NDArray[np.int32], ...]
    """Messages [n_steps, C, H, W] per layer, read from files as needed."""
    overflows: NDArray[np.int64]
    """[L, n_steps]; only the corrected neuron counts them."""
    seconds: float
    """From the first time step to the last."""

    def answers(self, layer: int, n_frames: int) -> NDArray[np.int32]:
        """Messages of ``layer`` from its first time step to its answer to the last frame."""
        return self.layers[layer][: n_frames + layer + 1]


@contextmanager
def run_lava(
    network: Path,
    messages: NDArray[np.int32],
    *,
    model: NeuronModel = "corrected",
    biases_wait: bool = False,
    hang_seconds: float = 300.0,
    reporter: Reporter = SILENT,
) -> Iterator[LavaRun]:
    """Run ``network``, a file of `export`, on the input's ``messages`` int32 [T, C, H, W].

    ``biases_wait``: as in ``Job``; those of the stock ``model`` never wait. The messages of the run
    are deleted at the end of the block. Raises SimulationError with the layer when a process dies,
    or when ``hang_seconds`` pass without progress after the first time step (ten minutes before
    it).
    """
    check_lava()
    with tempfile.TemporaryDirectory(prefix="ann2sdnn-lava-") as name:
        folder = Path(name)
        n_layers = _prepare(folder, network, messages)
        prefix = f"a2s{secrets.token_hex(2)}_"
        job = Job(len(messages) + n_layers, model, prefix, os.getpid(), biases_wait)
        job.write(folder)
        seconds = _simulate(folder, job, hang_seconds, reporter)
        layers = tuple(_read(layer_file(folder, i)) for i in range(n_layers))
        yield LavaRun(layers, np.load(folder / lava_job.OVERFLOWS), seconds)


def _prepare(folder: Path, network: Path, messages: NDArray[np.int32]) -> int:
    from ann2sdnn.sdnn.netx.export import first_layer_is_dense
    from ann2sdnn.sdnn.netx.extras import read_extras

    n_layers = len(read_extras(network).names)
    shutil.copyfile(network, folder / lava_job.NETWORK)
    quiet = np.zeros((n_layers, *messages.shape[1:]), np.int32)
    given = narrowed(messages, np.int32, "the input of lava's simulation: a message")
    padded = np.concatenate([given, quiet])
    ordered = (
        padded.reshape(len(padded), -1).T
        if first_layer_is_dense(network)
        else padded.transpose(3, 2, 1, 0)
    )
    np.save(folder / lava_job.INPUT, np.ascontiguousarray(ordered))
    return n_layers


def _read(path: Path) -> NDArray[np.int32]:
    recorded: NDArray[np.int32] = np.load(path, mmap_mode="r")
    if recorded.ndim == 2:
        return recorded[:, :, None, None]
    return recorded.transpose(0, 3, 2, 1)


def _simulate(folder: Path, job: Job, hang_seconds: float, reporter: Reporter) -> float:
    """Seconds from the first time step to the last."""
    with (folder / lava_job.LOG).open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "ann2sdnn.sdnn.lava.worker", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **_ONE_THREAD},
            start_new_session=True,
        )
    try:
        with reporter.task("lava-nc", job.n_steps, "time steps") as task:
            return _follow(worker, folder, job, hang_seconds, task)
    finally:
        end_group(worker)
        job.remove_shared_memory()


def end_group(worker: "subprocess.Popen[bytes]") -> None:
    """End the worker and every process that it started, and wait until they are gone."""
    deadline = time.monotonic() + _END_SECONDS
    while True:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        if not _group_lives(worker.pid) or time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS / 10)


def _group_lives(group: int) -> bool:
    """Whether a process of ``group`` runs that is not a zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state ppid pgrp ..., and the name may hold spaces.
            state, _, its_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False


def _follow(
    worker: "subprocess.Popen[bytes]", folder: Path, job: Job, hang_seconds: float, task: Task
) -> float:
    """Wait for the end; SimulationError when there is none."""
    n_done, started = 0, time.monotonic()
    moved, seen = started, np.zeros(0, np.int64)
    while True:
        finished = worker.poll() is not None
        beats = _beats(folder)
        now = time.monotonic()
        if not np.array_equal(beats, seen):
            if not seen.any() and beats.any():
                started = now
            moved, seen = now, beats
        n_now = int(beats.min()) // 2 if beats.size else 0
        task.advance(n_now - n_done)
        n_done = n_now
        if (folder / lava_job.DONE).exists():
            return now - started
        if (folder / lava_job.ERROR).exists() or finished:
            raise _failure(folder, worker)
        patience = hang_seconds if beats.any() else _BUILD_SECONDS
        if now - moved > patience:
            raise _hang(folder, beats, patience)
        time.sleep(_POLL_SECONDS)


def _beats(folder: Path) -> NDArray[np.int64]:
    """Twice the time step of each process; empty before the network is built."""
    path = folder / lava_job.PROGRESS
    if not (folder / lava_job.LABELS).exists():
        return np.zeros(0, np.int64)
    beats: NDArray[np.int64] = np.array(np.load(path, mmap_mode="r"))
    return beats


def _failure(folder: Path, worker: "subprocess.Popen[bytes]") -> SimulationError:
    path = folder / lava_job.ERROR
    if path.exists():
        error = json.loads(path.read_text(encoding="utf-8"))
        return SimulationError(
            f"lava's simulation died in {error['label']}: {error['message'].strip()}"
        )
    log = (folder / lava_job.LOG).read_text(encoding="utf-8", errors="replace").strip()
    return SimulationError(
        f"lava's simulation ended with exit code {worker.returncode} before its last time step;"
        f" it said: {log[-2000:] or 'nothing'}"
    )


def _hang(folder: Path, beats: NDArray[np.int64], seconds: float) -> SimulationError:
    if not beats.any():
        return SimulationError(
            f"lava's simulation was not built within {seconds:g} seconds; try a smaller --crop"
        )
    labels = json.loads((folder / lava_job.LABELS).read_text(encoding="utf-8"))
    # All others wait for the slowest process, so the first one that is behind is the cause.
    slowest = int(np.argmin(beats))
    step = int(beats[slowest]) // 2 + 1
    return SimulationError(
        f"lava's simulation has not moved for {seconds:g} seconds; it waits in time step {step} for"
        f" {labels[slowest]}"
    )
