"""Folder of a `train-ann` run: its files, state, history and record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ann2sdnn.ann.architectures import ARCHITECTURES, DHP19, Architecture
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.data.recordings.split import Split
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.training.run_folder import RunFolder
from ann2sdnn.support.training.state import EpochRow, RunState
from ann2sdnn.support.versions import versions


@dataclass(frozen=True)
class TrainEpoch(EpochRow):
    """One epoch of a run."""

    steps: int
    """Steps of the epoch."""
    loss: float
    """Squared error of the heat maps over that of predicting nothing, summed over the epoch."""
    learning_rate: float
    """The first layer's; on lava's grid in weight steps."""
    mpjpe_px: float | None
    """Error on validation pictures; None where the epoch was not validated."""
    operations_share: float | None
    """Share 0..1 of the dense operations that non-zero activations cause on validation pictures;
    None where the epoch was not validated."""
    seconds: float
    """Wall-clock time of the epoch and its validation."""
    data_wait_share: float
    """Share of the steps' time in which the device waited for data."""


@dataclass(kw_only=True)
class TrainState(RunState):
    """State of a run; ``weights`` and ``optimizer`` are those of its ``Learner``."""

    schema: ClassVar[int] = 4

    options: TrainOptions
    history: list[TrainEpoch] = field(default_factory=list)
    network: str = DHP19.name
    """Name of the architecture; runs of versions that had one only do not say it."""
    input_scale: float
    """Factor from a uint8 pixel to the float network's input."""
    final: dict[str, Any] = field(default_factory=dict)
    """Plan of the part on lava's grid (``ann.training.on_grid``); empty before that part."""
    elapsed_s: float = 0.0
    """Wall-clock time of the run so far."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network not in ARCHITECTURES:
            raise ValueError(f"a network {self.network}, expected {' or '.join(ARCHITECTURES)}")

    @property
    def architecture(self) -> Architecture:
        """The network's architecture."""
        return ARCHITECTURES[self.network]


class TrainFolder(RunFolder[TrainState]):
    """Folder of a `train-ann` run."""

    state_type = TrainState
    record_name = "train.json"
    others = ("last.safetensors", "model.onnx", "loss.png")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.checkpoint, self.onnx, self.curve = (path / name for name in self.others)


def run_record(
    state: TrainState,
    split: Split,
    baseline_px: float | None,
    n_pictures: int,
    data_sha256: str,
) -> dict[str, Any]:
    """Entries of ``train.json`` beside options and history.

    ``baseline_px``: validation error of the mean pose; ``n_pictures``: of the training side;
    ``data_sha256``: of all recordings (``sha256_of_all``).
    """
    return {
        "network": state.network,
        "seed": state.options.seed,
        "versions": versions(),
        "data_sha256": data_sha256,
        "train_subjects": split.train,
        "validation_subjects": split.validation,
        "validation_subjects_were_trained_on": split.validates_on_train,
        "test_subjects": split.test,
        "test_subjects_were_trained_on": split.tests_on_train,
        "train_pictures": n_pictures,
        "baseline_mean_pose_px": baseline_px,
        "mpjpe_px": state.history[-1].mpjpe_px,
        "operations_share": state.history[-1].operations_share,
        "model": "model.onnx holds the weights after the last epoch",
    }


def write_curve(path: Path, history: Sequence[TrainEpoch], baseline_px: float | None) -> None:
    """Draw training loss and validation error over the epochs as a PNG."""
    # Without pyplot there is no global state and no display to look for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axes, error_axes = figure.subplots(1, 2)
    loss_axes.plot([row.epoch for row in history], [row.loss for row in history], marker=".")
    loss_axes.axhline(1.0, color="grey", linestyle="--", label="predicting nothing")
    loss_axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    validated = [(row.epoch, row.mpjpe_px) for row in history if row.mpjpe_px is not None]
    error_axes.plot(*np.reshape(validated, (-1, 2)).T, marker=".", label="network")
    if baseline_px is not None:
        error_axes.axhline(baseline_px, color="grey", linestyle="--", label="mean pose")
    error_axes.set(xlabel="epoch", ylabel="validation MPJPE (px)", ylim=(0, None))
    for axes in (loss_axes, error_axes):
        axes.legend()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
