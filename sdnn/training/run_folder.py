"""Folder of a `train-sdnn` run: its files, state and history."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.support.training.run_folder import RunFolder
from ann2sdnn.support.training.state import EpochRow, RunState

PICTURES = "pictures"


@dataclass(frozen=True)
class SdnnEpoch(EpochRow):
    """One epoch of a run; epoch 0 is the network before training.

    ``loss``, ``synops_per_frame`` and ``excess`` are of the training windows over the epoch; the
    others are of whole validation pictures, run by the engine. Operations and messages are without
    the first frame of each sequence, in which everything is sent.
    """

    steps: int
    """Steps of the run so far."""
    loss: float | None
    """Squared error of the heat maps over that of predicting nothing."""
    synops_per_frame: float | None
    """Synaptic operations per frame."""
    excess: float | None
    """Range penalty."""
    mpjpe_px: float | None
    """Validation error; None where no joint is visible."""
    validation_synops_per_frame: float
    """Synaptic operations per frame."""
    events_per_frame: list[float]
    """Messages per frame, of the input and each layer [L + 1]."""
    overflows: int
    """States and messages that left their bits."""
    thresholds: list[float]
    """Threshold of each layer [L], in units of what is sent."""
    seconds: float
    """Wall-clock time of the epoch."""
    relative_error: float | None = None
    """Validation error against the ANN's outputs; None with poses, and in older files."""


@dataclass(kw_only=True)
class SdnnRunState(RunState):
    """State of a run, at the end of an epoch: no network has a state then."""

    schema: ClassVar[int] = 2
    first_epoch: ClassVar[int] = 0

    options: SdnnTrainOptions
    history: list[SdnnEpoch] = field(default_factory=list)
    spec_sha256: str
    """SHA-256 of the spec that is trained."""


class SdnnRunFolder(RunFolder[SdnnRunState]):
    """Folder of a `train-sdnn` run, besides the conversion that it ends with."""

    state_type = SdnnRunState
    record_name = "training.json"
    others = ("training.png", f"{PICTURES}/epoch-*.png")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.curves = path / self.others[0]

    def picture(self, epoch: int) -> Path:
        """The sheet of pictures after ``epoch``."""
        return self.path / PICTURES / f"epoch-{epoch:03d}.png"
