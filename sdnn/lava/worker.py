"""The process of a simulation: `python -m ann2sdnn.sdnn.lava.worker FOLDER` (``job.py``).

lava forks one process per part of the network. Here nothing else runs, torch has one thread, and
the host can end the whole process group.
"""

import json
import multiprocessing.shared_memory
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ann2sdnn.sdnn.lava import job as lava_job
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.job import Job, Progress, layer_file
from ann2sdnn.sdnn.lava.kernels import sigma_delta
from ann2sdnn.sdnn.netx.extras import read_extras

# Slots of a channel between two processes; lava's default of 64 takes 32 times the memory.
_CHANNEL_SLOTS = 2
_POLL_SECONDS = 0.1


def main(folder: Path) -> None:
    """Run the job of ``folder``; errors are written to error.json."""
    job = Job.read(folder)
    torch.set_num_threads(1)
    # The only way to find the segments of a run that was killed is by their names.
    multiprocessing.shared_memory._SHM_NAME_PREFIX = f"/{job.shm_prefix}"  # type: ignore[attr-defined]
    try:
        _run(folder, job)
    except Exception as error:
        write_error(folder, "the simulation", f"{error}\n{traceback.format_exc()}")
        raise


def write_error(folder: Path, label: str, message: str) -> None:
    """Write error.json, unless it exists."""
    path = folder / lava_job.ERROR
    if not path.exists():
        temporary = path.with_suffix(".writing")
        temporary.write_text(json.dumps({"label": label, "message": message}), encoding="utf-8")
        temporary.replace(path)


def _run(folder: Path, job: Job) -> None:
    from ann2sdnn.sdnn.lava.models import RunConfiguration
    from ann2sdnn.sdnn.lava.network import load_network

    network = load_network(folder / lava_job.NETWORK)
    source, labels = _wire(folder, job, network)
    (folder / lava_job.LABELS).write_text(json.dumps(list(labels.values())), encoding="utf-8")
    _compile_kernel()
    configuration = RunConfiguration(corrected=job.model == "corrected")
    executable = source.compile(configuration, {"pypy_channel_size": _CHANNEL_SLOTS})
    names = [labels.get(process.id, process.name) for process in executable.proc_builders]
    watch = threading.Thread(target=_watch, args=(source, names, folder, job), daemon=True)
    watch.start()
    steps = import_lava("lava.magma.core.run_conditions").RunSteps
    source.create_runtime(executable=executable)
    source.run(condition=steps(num_steps=job.n_steps, blocking=True))
    (folder / lava_job.DONE).touch()
    source.stop()


def _wire(folder: Path, job: Job, network: Any) -> tuple[Any, dict[int, str]]:
    """Connect source, network and sink; returns the source, and process names by id."""
    from ann2sdnn.sdnn.lava.models import BIAS_FROM, OVERFLOWS, PROGRESS, RECORD

    source = import_lava("lava.proc.io.source").RingBuffer(data=np.load(folder / lava_job.INPUT))
    source.s_out.connect(network.inp)
    names = read_extras(folder / lava_job.NETWORK).names
    labels: dict[int, str] = {}
    parts = [
        (name, part, process)
        for name, layer in zip(names, network.layers, strict=True)
        for part, process in (("synapses", layer.synapse), ("neurons", layer.neuron))
    ]
    progress = _new_file(folder / lava_job.PROGRESS, np.int64, (len(parts),))
    for index, (name, part, process) in enumerate(parts):
        labels[process.id] = f"layer {name}, its {part}"
        process.proc_params[PROGRESS] = Progress(progress, index)
    overflows = _new_file(folder / lava_job.OVERFLOWS, np.int64, (len(names), job.n_steps))
    for index, layer in enumerate(network.layers):
        layer.neuron.proc_params[OVERFLOWS] = overflows[index]
        layer.neuron.proc_params[BIAS_FROM] = job.bias_from(index)
        record = _new_file(layer_file(folder, index), np.int32, (job.n_steps, *layer.out.shape))
        if index + 1 < len(network.layers):
            layer.neuron.proc_params[RECORD] = record
        else:
            sink = import_lava("lava.proc.io.sink").RingBuffer(shape=layer.out.shape, buffer=1)
            sink.proc_params[RECORD] = record
            network.out.connect(sink.a_in)
            labels[sink.id] = "the output's sink"
    labels[source.id] = "the input's source"
    return source, labels


def _new_file(path: Path, dtype: type, shape: tuple[int, ...]) -> Any:
    # Untyped in some versions of numpy.
    open_memmap: Any = np.lib.format.open_memmap
    return open_memmap(path, "w+", dtype, shape)


def _compile_kernel() -> None:
    """Compile once, before the processes are forked."""
    arrays = [np.zeros(1, np.int32) for _ in range(5)]
    for synaptic in (np.zeros(1, np.int64), np.zeros(1, np.int32)):
        sigma_delta(synaptic, *arrays[:4], 6, arrays[4])


def _watch(source: Any, names: list[str], folder: Path, job: Job) -> None:
    """End everything when one of lava's processes dies, or when the host is gone."""
    while not (folder / lava_job.DONE).exists():
        time.sleep(_POLL_SECONDS)
        if os.getppid() != job.host:  # killed, so it removes nothing itself
            job.remove_shared_memory()
            shutil.rmtree(folder, ignore_errors=True)
            os.killpg(os.getpgrp(), signal.SIGKILL)
        infrastructure = getattr(source.runtime, "_messaging_infrastructure", None)
        actors = [] if infrastructure is None else list(infrastructure.actors)
        for index, actor in enumerate(actors):
            died = _why_dead(actor)
            if died is not None and not (folder / lava_job.DONE).exists():
                label = names[index] if index < len(names) else "the runtime service"
                write_error(folder, label, died)
                os._exit(1)


def _why_dead(actor: Any) -> str | None:
    """The reason why the process ``actor`` ended; None while it runs."""
    if actor.exitcode is None:
        return None
    if actor.exitcode < 0:
        return f"it was ended by {signal.Signals(-actor.exitcode).name}"
    exception = actor.exception
    if exception is None:
        return f"it ended with exit code {actor.exitcode}"
    error, trace = exception
    return f"{type(error).__name__}: {error}\n{trace}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
