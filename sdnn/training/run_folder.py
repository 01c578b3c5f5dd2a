"""The folder of a fine-tuning run: its history, and how it is put down and picked up again."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.support.files.state import Content, read_state, write_tensors
from ann2sdnn.support.files.targets import check_run_folder
from ann2sdnn.support.files.writing import files_in, remove_own, write_text

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

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of a run, but for the conversion at its end."""
        pictures = sorted(self.path.glob(f"{PICTURES}/epoch-*.png"))
        return (self.state, self.record, self.curves, *pictures)

    def check(
        self,
        *,
        resume: bool,
        force: bool,
        others: Iterable[str] = (),
        inputs: Iterable[Path] = (),
    ) -> None:
        """Raise OutputError for a folder that is in use, or has nothing to resume from.

        ``others``: names of further files that the run is going to write there; ``inputs``: what it
        reads and must not overwrite.
        """
        names = [*(str(path.relative_to(self.path)) for path in self.files), *others]
        check_run_folder(
            self.path,
            names,
            self.state,
            self.record,
            resume=resume,
            force=force,
            inputs=inputs,
        )

    def clear(self, others: Iterable[str] = ()) -> None:
        """Remove an earlier run's files, and only those, so that none is taken for a new one."""
        remove_own((*self.files, *(self.path / name for name in others)))

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
        with files_in(self.path):
            write_tensors(self.state, content)
            write_text(self.record, json.dumps({"schema": SCHEMA, **plain}, indent=2) + "\n")

    def read(self) -> SdnnRunState:
        """Read the state without executing anything in it; raises ModelError if it is damaged."""
        return read_state(self.state, _state)


def _state(content: Content) -> SdnnRunState:
    content.require_schema(SCHEMA)
    plain = content.json("json")
    history = plain.rows("history", SdnnEpoch)
    epoch = content.count("epoch")
    if len(history) != epoch + 1 and (history or epoch):
        raise ValueError(f"a history of {len(history)} records after epoch {epoch}")
    return SdnnRunState(
        plain.options("options", SdnnTrainOptions),
        content.counts("data"),
        content.text("spec_sha256"),
        content.tensors("weights"),
        content.table("optimizer"),
        epoch,
        content.count("step"),
        history,
    )
