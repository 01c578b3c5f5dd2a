"""What the simulation's own process and its host share: files in one folder.

- ``job.json``: ``Job``
- ``network.net``: the exported network
- ``input.npy``: the input's messages, int32 [W, H, C, T], or [C * H * W, T] before a dense layer
- ``layer_NN.npy``: what layer NN sent, int32, one entry a time step, [W, H, C] or [O]
- ``overflows.npy``: int64 [L, n_steps], how many states of each layer wrapped round
- ``progress.npy``: int64, twice the time step for each of lava's processes, one less inside it
- ``labels.json``: what those processes are, in the order of ``progress.npy``
- ``error.json``: ``label`` and ``message`` of what went wrong
- ``done``: exists when all time steps have run

Nothing here imports lava.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.spec.spec import NeuronModel

JOB, NETWORK, INPUT, OVERFLOWS = "job.json", "network.net", "input.npy", "overflows.npy"
PROGRESS, LABELS, ERROR, DONE, LOG = (
    "progress.npy",
    "labels.json",
    "error.json",
    "done",
    "lava.log",
)


@dataclass(frozen=True)
class Job:
    """One simulation of ``n_steps`` time steps.

    Layer l answers to frame t (from 0) in time step t + l + 2, because every layer takes a step.
    ``shm_prefix`` begins the names of its shared-memory segments.
    """

    n_steps: int
    model: NeuronModel
    released_convolution: bool
    shm_prefix: str

    def write(self, folder: Path) -> None:
        """Write job.json."""
        (folder / JOB).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read job.json."""
        return cls(**json.loads((folder / JOB).read_text(encoding="utf-8")))


def layer_file(folder: Path, index: int) -> Path:
    """Where layer ``index`` records its messages."""
    return folder / f"layer_{index:02d}.npy"


class Progress:
    """How far one of lava's processes has come, where its host can see it."""

    def __init__(self, file: NDArray[np.int64], index: int) -> None:
        self._file = file
        self._index = index

    def begin(self, time_step: int) -> None:
        """The process is inside ``time_step`` (from 1)."""
        self._file[self._index] = 2 * time_step - 1

    def end(self, time_step: int) -> None:
        """The process has finished ``time_step``."""
        self._file[self._index] = 2 * time_step
