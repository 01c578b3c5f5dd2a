"""The folder of a fine-tuning run: its history, and how it is put down and picked up again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ann2sdnn.files import atomic_file, check_run_folder, write_text
from ann2sdnn.sdnn.training_options import SdnnTrainOptions
from ann2sdnn.state_file import read_state

SCHEMA = 1
PICTURES = "pictures"


@dataclass(frozen=True)
class SdnnEpoch:
    """One line of a run's history; epoch 0 is what it started from.

    Of the training windows, over the epoch: ``loss``, the squared error of the heat maps divided by
    that of predicting nothing, ``synops_per_frame`` without each run's first frame, and ``excess``,
    the hinge on ranges. Of whole validation pictures, run by the engine: ``mpjpe_px`` (None where
    no joint is visible), ``validation_synops_per_frame`` and ``events_per_frame`` [L + 1], the
    input's first, both without each run's first frame, and ``overflows``, states and messages that
    left their bits. ``thresholds`` [L] in units of what is sent.
    """

    epoch: int
    steps: int
    loss: float | None
    synops_per_frame: float | None
    excess: float | None
    mpjpe_px: float | None
    validation_synops_per_frame: float
    events_per_frame: list[float]
    overflows: int
    thresholds: list[float]
    seconds: float


@dataclass
class SdnnRunState:
    """Everything a run needs to continue as if it had never stopped; at the end of an epoch no
    network has a state, and nothing random is left but what follows from seed and epoch.
    """

    options: SdnnTrainOptions
    data: dict[str, int]
    spec_sha256: str
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    epoch: int = 0
    step: int = 0
    history: list[SdnnEpoch] = field(default_factory=list)


@dataclass(frozen=True)
class SdnnRunFolder:
    """Paths of a run."""

    path: Path

    @property
    def state(self) -> Path:
        """What ``resume`` continues from, rewritten after every epoch."""
        return self.path / "state.pt"

    @property
    def record(self) -> Path:
        """Options and history, rewritten after every epoch."""
        return self.path / "training.json"

    @property
    def curves(self) -> Path:
        """Error, operations, events and thresholds over the epochs."""
        return self.path / "training.png"

    def picture(self, epoch: int) -> Path:
        """The sheet of pictures after an epoch."""
        return self.path / PICTURES / f"epoch-{epoch:03d}.png"

    def check(self, *, resume: bool, force: bool) -> None:
        """Raise OutputError for a folder that is in use, or has nothing to resume from."""
        check_run_folder(self.path, self.state, resume=resume, force=force)

    def clear(self) -> None:
        """Remove an earlier run's files, and only those, so that none is taken for a new one."""
        for path in (self.state, self.record, self.curves, *self.path.glob(f"{PICTURES}/*.png")):
            path.unlink(missing_ok=True)

    def write(self, state: SdnnRunState) -> None:
        """Replace the state and the record."""
        plain = {"options": state.options.to_json(), "history": list(map(asdict, state.history))}
        content = {
            "schema": SCHEMA,
            "json": json.dumps(plain),
            "data": state.data,
            "spec_sha256": state.spec_sha256,
            "weights": state.weights,
            "optimizer": state.optimizer,
            "epoch": state.epoch,
            "step": state.step,
        }
        with atomic_file(self.state) as temporary:
            torch.save(content, temporary)
        write_text(self.record, json.dumps({"schema": SCHEMA, **plain}, indent=2) + "\n")

    def read(self) -> SdnnRunState:
        """Read the state without executing anything in it; raises ModelError if it is damaged."""
        return read_state(self.state, _state)


def _state(content: Mapping[str, Any]) -> SdnnRunState:
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema {content['schema']} where this version writes {SCHEMA}")
    plain = json.loads(content["json"])
    return SdnnRunState(
        SdnnTrainOptions.from_json(plain["options"]),
        content["data"],
        content["spec_sha256"],
        content["weights"],
        content["optimizer"],
        content["epoch"],
        content["step"],
        [SdnnEpoch(**record) for record in plain["history"]],
    )
