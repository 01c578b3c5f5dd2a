"""The files that the simulation's process and its host share, in one folder.

- ``job.json``: ``Job``
- ``network.net``: the exported network
- ``input.npy``: the input's messages, int32 [W, H, C, T], or [C * H * W, T] before a dense layer
- ``layer_NN.npy``: messages of layer NN, int32, one entry per time step, [W, H, C] or [O]
- ``overflows.npy``: int64 [L, n_steps], number of states that wrapped
- ``progress.npy``: one int64 per lava process: 2t after time step t, 2t - 1 during it
- ``labels.json``: names of those processes, in the same order
- ``error.json``: ``label`` of the process that failed, and ``message``
- ``done``: exists when all time steps have run

Nothing here imports lava.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.spec.grid import NeuronModel

JOB, NETWORK, INPUT, OVERFLOWS = "job.json", "network.net", "input.npy", "overflows.npy"
PROGRESS, LABELS, ERROR = "progress.npy", "labels.json", "error.json"
DONE, LOG = "done", "lava.log"
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Job:
    """One simulation of ``n_steps`` time steps.

    Every layer takes a step, so layer l answers frame t (from 0) in time step t + l + 2.
    """

    n_steps: int
    model: NeuronModel
    shm_prefix: str
    """Begins the names of the shared-memory segments."""
    host: int
    """The process that started the simulation, by its id; the simulation ends with it."""
    biases_wait: bool = False
    """Whether a layer's bias acts from the step in which the first frame reaches it, as in the
    engine, and not from the first step, as on the chip."""

    def bias_from(self, layer: int) -> int:
        """The time step (from 1) in which the bias of ``layer`` (from 0) begins to act."""
        return layer + 2 if self.biases_wait else 1

    def write(self, folder: Path) -> None:
        """Write job.json."""
        (folder / JOB).write_text(json.dumps(asdict(self)), encoding="utf-8")

    def remove_shared_memory(self) -> None:
        """Delete the segments that a killed process left."""
        for segment in _SHARED_MEMORY.glob(f"{self.shm_prefix}*"):
            segment.unlink(missing_ok=True)

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read job.json."""
        return cls(**json.loads((folder / JOB).read_text(encoding="utf-8")))


def layer_file(folder: Path, index: int) -> Path:
    """The file of the messages of layer ``index``."""
    return folder / f"layer_{index:02d}.npy"


class Progress:
    """The progress of one lava process, in a file that its host reads."""

    def __init__(self, file: NDArray[np.int64], index: int) -> None:
        self._file = file
        self._index = index

    def begin(self, time_step: int) -> None:
        """The process is inside ``time_step`` (from 1)."""
        self._file[self._index] = 2 * time_step - 1

    def end(self, time_step: int) -> None:
        """The process has finished ``time_step``."""
        self._file[self._index] = 2 * time_step
