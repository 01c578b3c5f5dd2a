"""Loop of a training: epochs of batches, each a step or several, until its clock has run out."""

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.training.schedule import Clock
from ann2sdnn.support.training.state import RunState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from ann2sdnn.support.training.fabric import Stepper

_State = TypeVar("_State", bound=RunState)

# A loss (1: predicting nothing) above the first that has also grown by the second factor is no bad
# batch. New weights may begin with as much as the third.
_EXPLODED, _GROWN, _FIRST = 100.0, 1000.0, 1000.0


def chosen_workers(workers: int | None, most: int) -> int:
    """``workers``, or where that is None at most ``most``, and no more than there are CPUs."""
    return min(most, os.cpu_count() or 1) if workers is None else workers


def relative(error: Tensor, silence: Tensor) -> float:
    """``error`` over that of predicting nothing; as it is where there was nothing to predict."""
    return float(error / silence) if silence > 0 else float(error)


class Trainer(ABC, Generic[_State]):
    """One process of a training run, which continues from ``state``.

    A subclass says which ``batches`` an epoch has, how it learns from one, and what it keeps at the
    end of an epoch. ``sums``: what ``count`` was given in the current epoch, summed over the steps
    of all processes once the epoch is over. ``wait_share``: share of the last epoch's time that was
    spent waiting for data.
    """

    sums_dtype: ClassVar[torch.dtype] = torch.float32
    note_every: ClassVar[int] = 1
    """Steps between two notes beside the progress bar."""

    stepper: "Stepper"
    sums: Tensor
    wait_share: float

    def __init__(
        self,
        fabric: "Fabric",
        state: _State,
        reporter: Reporter,
        *,
        steps_per_epoch: int,
        elapsed_s: float,
    ) -> None:
        """``elapsed_s``: time of earlier sessions of the run."""
        self.fabric, self.state = fabric, state
        self.reporter = reporter if fabric.is_global_zero else SILENT
        self.steps_per_epoch = steps_per_epoch
        options = state.options
        self.n_steps = options.epochs * steps_per_epoch
        if options.max_steps is not None:
            self.n_steps = min(self.n_steps, options.max_steps)
        self.clock = Clock(self.n_steps, options.max_minutes, elapsed_s)
        self._lowest_loss = _FIRST
        if fabric.world_size > 1:
            self.clock.agree = fabric.broadcast

    @property
    def n_epochs(self) -> int:
        """Epochs of the whole training, the last of which may be cut short."""
        return math.ceil(self.n_steps / self.steps_per_epoch)

    @property
    def progress(self) -> float:
        """Share of the training that is done, the same in every process."""
        return self.clock.progress(self.state.step)

    @abstractmethod
    def batches(self, epoch: int) -> Iterable[Any]:
        """The batches of ``epoch`` (from 0); they follow from the seed and the epoch."""

    @abstractmethod
    def learn(self, batch: Any) -> None:
        """Make the steps on ``batch``, which lies on the device, and ``count`` each."""

    @abstractmethod
    def end_epoch(self, loss: float, started: float) -> None:
        """Append the epoch's row to the history, and write down the run.

        ``started``: ``time.monotonic()`` at the beginning of the epoch.
        """

    def note(self) -> str:
        """Text beside the progress bar."""
        return f"loss {relative(self.sums[0], self.sums[1]):.3f}"

    def train(self) -> None:
        """Run the rest of the training, epoch by epoch; raises ModelError where it diverges."""
        self.clock.start()
        state = self.state
        try:
            # However short its time, a new run makes a step, so that it ends with a network.
            while state.epoch == 0 or (state.epoch < state.options.epochs and self.progress < 1):
                started = time.monotonic()
                loss = self._epoch()
                state.epoch += 1
                self.end_epoch(loss, started)
        except KeyboardInterrupt:
            if state.history:
                self.reporter.message(f"stopped after epoch {state.epoch}; continue with --resume")
            raise

    def count(self, *values: Tensor) -> None:
        """Count a step: its squared error, that of predicting nothing, and other ``values``.

        They are summed on the device on which they are.
        """
        self.sums = self.sums + torch.stack(values).detach().to(self.sums.dtype)
        self.state.step += 1
        self.steps += 1
        # Several processes have to stop together, which they do at the epoch's end.
        if self.steps % self.note_every == 0 and self.fabric.world_size == 1:
            self._check_loss(relative(self.sums[0], self.sums[1]))
        self._task.advance(note="" if self.steps % self.note_every else self.note())

    def _epoch(self) -> float:
        """Run an epoch; returns its loss."""
        name = f"epoch {self.state.epoch + 1}/{self.n_epochs}"
        left = self.n_steps - self.state.step
        self.sums, self.steps = torch.zeros((), dtype=self.sums_dtype), 0
        waited_s, started = 0.0, time.perf_counter()
        asked = started
        with self.reporter.task(name, min(self.steps_per_epoch, left), "step") as self._task:
            for batch in self.batches(self.state.epoch):
                waited_s += time.perf_counter() - asked
                self.learn(self.fabric.to_device(batch))
                if self.progress >= 1:
                    break
                asked = time.perf_counter()
        self.wait_share = waited_s / (time.perf_counter() - started)
        # Over all processes, so that they agree on what follows from it.
        self.sums = self.fabric.all_reduce(self.sums, reduce_op="sum")
        loss = relative(self.sums[0], self.sums[1])
        self._check_loss(loss)
        return loss

    def _check_loss(self, loss: float) -> None:
        """Raise ModelError, naming step and layer, for a loss that is not finite or has exploded.

        What was written after the last finished epoch stays.
        """
        exploded = loss > max(_EXPLODED, _GROWN * self._lowest_loss)
        if math.isfinite(loss) and not exploded:
            self._lowest_loss = min(self._lowest_loss, loss)
            return
        layer = self.stepper.first_not_finite()
        where = "" if layer is None else f" and {layer} is not finite"
        epoch, step = self.state.epoch, self.state.step
        kept = f", or continue after epoch {epoch} with --resume" * (epoch > 0)
        raise ModelError(
            f"training diverged in epoch {epoch + 1}, step {step}: the loss is {loss:.3g}{where};"
            f" train again with a learning rate below {self.state.options.learning_rate}{kept}"
        )
