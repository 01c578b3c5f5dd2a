"""One process of a training run: the loop over epochs and steps."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning_fabric import Fabric

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training.batches import (
    Share,
    Stopwatch,
    epoch_batches,
    epoch_loader,
    steps_per_epoch,
)
from ann2sdnn.ann.training.learner import FinalStage, FloatLearner, Learner
from ann2sdnn.ann.training.messages import epoch_line, opening_lines
from ann2sdnn.ann.training.results import train_record, write_train_record
from ann2sdnn.ann.training.run_folder import EpochRecord, RunFolder, RunState
from ann2sdnn.ann.training.validate import build_validation, network_mpjpe_px
from ann2sdnn.ann.weights.checkpoint import write_checkpoint
from ann2sdnn.data.pose.heatmaps import draw_heatmaps, heatmap_loss
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.recordings.samples import PoseSamples, Sample
from ann2sdnn.data.recordings.split import choose, split_subjects
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.state import load_optimizer, resuming
from ann2sdnn.support.progress import SILENT, Reporter, Task


class Trainer:
    """One process of a training run."""

    def __init__(
        self,
        fabric: Fabric,
        folder: RunFolder,
        state: RunState,
        recordings: Sequence[Recording],
        *,
        final_stage: FinalStage | None,
        reporter: Reporter,
    ) -> None:
        """``final_stage``: needed by options that ask for one."""
        self.fabric, self.folder, self.state, self.options = fabric, folder, state, state.options
        self.reporter = reporter if fabric.is_global_zero else SILENT
        self.split = split_subjects(one.name.subject for one in recordings)
        self.share = Share(fabric.global_rank, fabric.world_size)
        channels = self.options.channels
        self.train_side = choose(recordings, "train")
        self.samples = PoseSamples(
            self.train_side,
            channels,
            self.options.augmentation(),
            seed=self.options.seed,
        )
        self.steps_per_epoch = steps_per_epoch(
            len(self.samples), self.options.batch_size, self.share
        )
        test = PoseSamples(choose(recordings, "test"), channels, cache_bytes=0)
        self.validation = build_validation(self.samples, test, self.options.validation_frames)
        self.final_stage = final_stage if self.options.conversion_aware else None
        self._set_up(self._learner(), state)
        self.started = time.monotonic() - state.elapsed_s

    def _learner(self) -> Learner:
        """The float network's, or, once it has begun, the final stage's."""
        if self.final_stage is not None and self.state.final:
            with resuming(self.folder.state):
                return self.final_stage.learner(self.state.final, self.options)
        return FloatLearner(PoseNet(), self.state.input_scale, self.options)

    def _set_up(self, learner: Learner, state: RunState | None) -> None:
        """Go on with ``learner``, from ``state`` if there is one."""
        if state is not None:
            with resuming(self.folder.state):
                learner.module.load_state_dict(state.weights)
                if state.optimizer:
                    load_optimizer(learner.optimizer, state.optimizer)
        self.learner = learner
        self.model, self.stepper = self.fabric.setup(learner.module, learner.optimizer)

    def run(self) -> None:
        """Run what is left of the training, an epoch at a time."""
        for line in opening_lines(
            self.split, len(self.samples), self.steps_per_epoch, str(self.fabric.device)
        ):
            self.reporter.message(line)
        while self._unfinished():
            record = self._epoch()
            self.state.history.append(record)
            self._save()
            self.reporter.message(
                epoch_line(record, self.options.epochs, self.validation.baseline_px)
            )
        if self.final_stage is not None and not self.state.final:
            # So few steps that its share of them is none: what is exported is on the grid anyway.
            self._begin_final_stage()
            self._validate_again()
        elif self.state.epoch % self.options.validate_every:
            self._validate_again()

    def _unfinished(self) -> bool:
        # However short its time, a new run makes one step: there is a network at its end.
        if self.state.epoch == 0:
            return True
        return self.state.epoch < self.options.epochs and self._progress() < 1

    def _epoch(self) -> EpochRecord:
        epoch, started = self.state.epoch, time.monotonic()
        batches = epoch_batches(
            len(self.samples),
            self.options.batch_size,
            self.share,
            seed=self.options.seed,
            epoch=epoch,
        )
        loader = epoch_loader(
            self.samples,
            batches,
            epoch=epoch,
            workers=self.options.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )
        name = f"epoch {epoch + 1}/{self.options.epochs}"
        with self.reporter.task(name, self.steps_per_epoch, "step") as task:
            steps, loss, wait_share = self._steps(Stopwatch(loader), task)
        self.state.epoch += 1
        due = self.state.epoch % self.options.validate_every == 0
        return EpochRecord(
            epoch=self.state.epoch,
            steps=steps,
            loss=loss,
            learning_rate=self.learner.optimizer.param_groups[0]["lr"],
            mpjpe_px=self._mpjpe_px() if due else None,
            seconds=time.monotonic() - started,
            data_wait_share=wait_share,
        )

    def _steps(self, loader: Stopwatch, task: Task) -> tuple[int, float, float]:
        """Run one epoch's steps; returns their number, the loss and the share spent waiting."""
        # Squared error of the network, and that of predicting nothing.
        error, silence = torch.zeros(2, device=self.fabric.device)
        steps, started = 0, time.perf_counter()
        for batch in loader:
            progress = self._progress()
            if self._final_stage_is_due(progress):
                self._begin_final_stage()
            self.learner.set_rate(self.state.step, progress)
            batch_error, batch_silence = self._step(self.fabric.to_device(batch))
            error, silence, steps = error + batch_error, silence + batch_silence, steps + 1
            self.state.step += 1
            task.advance(note=f"loss {_ratio(error, silence):.3f}" if steps % 20 == 0 else "")
            if self._progress() >= 1:
                break
        # Over all processes, so that they agree on what follows from it.
        error, silence = self.fabric.all_reduce(torch.stack([error, silence]), reduce_op="sum")
        loss = _ratio(error, silence)
        if not math.isfinite(loss):
            raise ModelError(
                f"training diverged in epoch {self.state.epoch + 1}: the loss is {loss}; train "
                f"again with a learning rate below {self.options.learning_rate}"
            )
        return steps, loss, loader.waited_s / (time.perf_counter() - started)

    def _step(self, batch: Sample) -> tuple[torch.Tensor, torch.Tensor]:
        target = draw_heatmaps(batch.pixels, batch.visible, *batch.frame.shape[-2:])
        maps, penalty = self.learner.maps(self.model, batch.frame)
        loss = heatmap_loss(maps, target)
        self.stepper.zero_grad()
        self.fabric.backward(loss + penalty)
        self.stepper.step()
        self.learner.after_step()
        return loss.detach(), heatmap_loss(torch.zeros_like(target), target)

    def _final_stage_is_due(self, progress: float) -> bool:
        begun = self.final_stage is None or bool(self.state.final)
        return not begun and progress >= 1 - self.options.aware_share

    def _begin_final_stage(self) -> None:
        """Prepare in the first process, tell the others, and go on with another module."""
        if self.final_stage is None:
            return
        begun = None
        if self.fabric.is_global_zero:
            begun = self.final_stage.begin(
                self.learner.network(),
                self.learner.input_scale,
                self.train_side,
                self.options,
                self.reporter,
            )
        self.state.final = self.fabric.broadcast(begun)
        self._set_up(self._learner(), None)

    def _progress(self) -> float:
        """Share of the training that is done, the same in every process."""
        done = self.state.step / (self.options.epochs * self.steps_per_epoch)
        if self.options.max_minutes is None:
            return done
        elapsed_s = time.monotonic() - self.started
        if self.share.of > 1:
            elapsed_s = self.fabric.broadcast(elapsed_s)
        return max(done, elapsed_s / (60 * self.options.max_minutes))

    def _validate_again(self) -> None:
        """Put the network as it is now into the last epoch's record."""
        self.state.history[-1] = replace(self.state.history[-1], mpjpe_px=self._mpjpe_px())
        self._save()

    def _mpjpe_px(self) -> float | None:
        """Validate in the first process, and tell the others."""
        error_px = None
        if self.fabric.is_global_zero:
            device, scale = self.fabric.device, self.learner.input_scale
            network = self.learner.network().to(device)
            error_px = network_mpjpe_px(network, self.validation, scale, device)
        told: float | None = self.fabric.broadcast(error_px)
        return told

    def _save(self) -> None:
        """Put the run down so that it can be picked up here."""
        state = self.state
        state.elapsed_s = time.monotonic() - self.started
        learner = self.learner
        state.weights, state.optimizer = learner.module.state_dict(), learner.optimizer.state_dict()
        if self.fabric.is_global_zero:
            self.folder.write_state(state)
            weights = learner.network().weights()
            write_checkpoint(self.folder.checkpoint, weights, learner.input_scale)
            write_train_record(self.folder.record, self._record())
        self.fabric.barrier()

    def _record(self) -> dict[str, Any]:
        return train_record(
            self.options,
            self.split,
            self.state.history,
            self.validation.baseline_px,
            len(self.samples),
        )


def _ratio(error: torch.Tensor, silence: torch.Tensor) -> float:
    """Squared error relative to predicting nothing; 0 where there was nothing to predict."""
    return float(error / silence) if silence > 0 else float(error)
