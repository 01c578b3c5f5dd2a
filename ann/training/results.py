"""What a training run leaves to look at: ``train.json`` and a curve."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.run_folder import EpochRecord
from ann2sdnn.data.recordings.split import Split
from ann2sdnn.support.files.writing import atomic_file, write_text

SCHEMA = 1

_PACKAGES = ("ann2sdnn", "torch", "lightning-fabric", "numpy", "onnx")


def train_record(
    options: TrainOptions,
    split: Split,
    history: Sequence[EpochRecord],
    baseline_px: float | None,
    n_samples: int,
) -> dict[str, Any]:
    """Collect what ``train.json`` says about a run so far."""
    return {
        "schema": SCHEMA,
        "seed": options.seed,
        "options": options.to_json(),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "train_subjects": split.train,
        "test_subjects": split.test,
        "test_subjects_were_trained_on": split.shared,
        "train_pictures": n_samples,
        "baseline_mean_pose_px": baseline_px,
        "mpjpe_px": history[-1].mpjpe_px if history else None,
        "model": "model.onnx holds the weights after the last epoch",
        "history": [asdict(record) for record in history],
    }


def write_train_record(path: Path, record: dict[str, Any]) -> None:
    """Replace ``train.json``."""
    write_text(path, json.dumps(record, indent=2) + "\n")


def write_curve(path: Path, history: Sequence[EpochRecord], baseline_px: float | None) -> None:
    """Draw loss and validation error over the epochs as a PNG."""
    # Without pyplot there is no global state and no display to look for.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    loss_axes, error_axes = figure.subplots(1, 2)
    loss_axes.plot([one.epoch for one in history], [one.loss for one in history], marker=".")
    loss_axes.axhline(1.0, color="grey", linestyle="--", label="predicting nothing")
    loss_axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    loss_axes.legend()
    validated = [one for one in history if one.mpjpe_px is not None]
    error_axes.plot(
        [one.epoch for one in validated],
        [one.mpjpe_px or 0.0 for one in validated],
        marker=".",
        label="network",
    )
    if baseline_px is not None:
        error_axes.axhline(baseline_px, color="grey", linestyle="--", label="mean pose")
    error_axes.set(xlabel="epoch", ylabel="validation MPJPE (px)", ylim=(0, None))
    error_axes.legend()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
