"""The folder of a training run: what lies in it, and how a run is put down and picked up again."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.support.files.state import Content, read_state, write_tensors
from ann2sdnn.support.files.targets import check_run_folder
from ann2sdnn.support.files.writing import files_in, remove_own

SCHEMA = 2


@dataclass(frozen=True)
class EpochRecord:
    """One line of a run's history.

    ``loss``: mean over the epoch's steps of the squared error of the heat maps, divided by that
    of predicting nothing. ``learning_rate``: the first layer's, on lava's grid in weight steps.
    ``mpjpe_px`` is None where the epoch was not validated.
    ``data_wait_share``: share of the steps' time in which the device waited for data.
    """

    epoch: int
    steps: int
    loss: float
    learning_rate: float
    mpjpe_px: float | None
    seconds: float
    data_wait_share: float


@dataclass
class RunState:
    """Everything a run needs to continue as if it had never stopped.

    There is no random state in it: initial weights, data order and augmentation each follow from
    the seed, the epoch and the sample's index. ``weights`` and ``optimizer`` are the learner's
    (``ann.learner``); ``input_scale`` is that of the float network. ``final``: what the final stage
    began with, empty before.
    """

    options: TrainOptions
    data: dict[str, int]
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    input_scale: float
    final: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    path: Path

    @property
    def state(self) -> Path:
        """What ``resume`` continues from, rewritten after every epoch."""
        return self.path / "state.pt"

    @property
    def checkpoint(self) -> Path:
        """Weights after the last finished epoch."""
        return self.path / "last.safetensors"

    @property
    def onnx(self) -> Path:
        """The trained network; exists once the run has ended."""
        return self.path / "model.onnx"

    @property
    def record(self) -> Path:
        """Options, seed, versions and history, rewritten after every epoch."""
        return self.path / "train.json"

    @property
    def curve(self) -> Path:
        """Loss and validation error over the epochs."""
        return self.path / "loss.png"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of a run."""
        return (self.state, self.checkpoint, self.onnx, self.record, self.curve)

    def check(self, *, resume: bool, force: bool, inputs: Iterable[Path] = ()) -> None:
        """Raise OutputError for a folder that is in use, or has nothing to resume from.

        ``inputs``: what the run reads and must not overwrite.
        """
        names = [path.name for path in self.files]
        check_run_folder(
            self.path,
            names,
            self.state,
            self.record,
            resume=resume,
            force=force,
            inputs=inputs,
        )

    def clear(self) -> None:
        """Remove an earlier run's files, and only those, so that none is taken for a new one."""
        remove_own(self.files)

    def write_state(self, state: RunState) -> None:
        """Replace the state in one step."""
        plain = {"options": state.options.to_json(), "history": list(map(asdict, state.history))}
        content = {
            "schema": SCHEMA,
            "json": json.dumps(plain),
            "data": state.data,
            "weights": state.weights,
            "optimizer": state.optimizer,
            "input_scale": state.input_scale,
            "final": state.final,
            "epoch": state.epoch,
            "step": state.step,
            "elapsed_s": state.elapsed_s,
        }
        with files_in(self.path):
            write_tensors(self.state, content)

    def read_state(self) -> RunState:
        """Read the state without executing anything in it; raises ModelError if it is damaged."""
        return read_state(self.state, _state)


def _state(content: Content) -> RunState:
    content.require_schema(SCHEMA)
    plain = content.json("json")
    history = plain.rows("history", EpochRecord)
    epoch = content.count("epoch")
    if epoch < 1 or len(history) != epoch:
        raise ValueError(f"a history of {len(history)} epochs after epoch {epoch}")
    return RunState(
        plain.options("options", TrainOptions),
        content.counts("data"),
        content.tensors("weights"),
        content.table("optimizer"),
        content.number("input_scale"),
        content.table("final"),
        epoch,
        content.count("step"),
        content.number("elapsed_s"),
        history,
    )
