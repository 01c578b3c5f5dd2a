"""One process of a `train-ann` run."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training.batches import (
    Share,
    epoch_batches,
    epoch_loader,
    paired,
    steps_per_epoch,
)
from ann2sdnn.ann.training.learner import FloatLearner, Learner
from ann2sdnn.ann.training.on_grid import GridLearner, plan_on_grid
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.price import OperationShare, paid
from ann2sdnn.ann.training.run_folder import TrainEpoch, TrainFolder, TrainState, run_record
from ann2sdnn.ann.training.sending import NoisySending
from ann2sdnn.ann.training.validate import build_validation, network_mpjpe_px, operations_share
from ann2sdnn.ann.weights.checkpoint import write_checkpoint
from ann2sdnn.data.pose.heatmaps import draw_heatmaps, heatmap_loss
from ann2sdnn.data.recordings.drawn.samples import DrawnSamples
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.recordings.samples import PoseSamples, Sample
from ann2sdnn.data.recordings.split import choose, split_subjects
from ann2sdnn.data.sources.dhp19 import camera_frames
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.support.progress import Reporter
from ann2sdnn.support.training.fabric import Stepper
from ann2sdnn.support.training.state import resuming
from ann2sdnn.support.training.trainer import Trainer

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class PoseTrainer(Trainer[TrainState]):
    """Trains the pose network on ``recordings``; writes the run into ``folder`` every epoch."""

    note_every = 20

    def __init__(
        self,
        fabric: "Fabric",
        folder: TrainFolder,
        state: TrainState,
        recordings: Sequence[Recording],
        reporter: Reporter,
        *,
        data_sha256: str,
    ) -> None:
        """``data_sha256``: of the recordings' files, for the record."""
        self.folder, options = folder, state.options
        self.data_sha256 = data_sha256
        self.architecture = state.architecture
        self.split = split_subjects(recording.name.subject for recording in recordings)
        self.share = Share(fabric.global_rank, fabric.world_size)
        self.train_side = choose(recordings, "train")
        self.samples = self._train_samples(options)
        n_steps = steps_per_epoch(len(self.samples), options.batch_size, self.share)
        super().__init__(
            fabric, state, reporter, steps_per_epoch=n_steps, elapsed_s=state.elapsed_s
        )
        others = PoseSamples(
            choose(recordings, "validation"), options.channels, resize=options.resize, cache_bytes=0
        )
        self.validation = build_validation(self.samples, others, options.validation_frames)
        with resuming(folder.state):
            if state.final:
                self.learner: Learner = GridLearner(self.architecture, state.final, options)
            else:
                network = PoseNet(self.architecture)
                self.learner = FloatLearner(network, state.input_scale, options)
            self.learner.module.load_state_dict(state.weights)
            self.stepper = self._stepper(state.optimizer)

    def run(self) -> None:
        """Run the rest of the training."""
        for line in self._opening_lines():
            self.reporter.message(line)
        self.train()
        if self._begins_on_grid(1.0):
            # So few steps that the share on the grid has none; what is exported is on it anyway.
            self._begin_on_grid()
            self._validate_last()
        elif self.state.epoch % self.state.options.validate_every:
            self._validate_last()

    def batches(self, epoch: int) -> Iterable[Sample]:
        """The batches of this process."""
        options, n_samples = self.state.options, len(self.samples)
        batches = epoch_batches(
            n_samples, options.batch_size, self.share, seed=options.seed, epoch=epoch
        )
        first = epoch * self.steps_per_epoch
        return epoch_loader(
            self.samples,
            [
                paired(batch) if options.shows_pairs(first + index) else [*batch]
                for index, batch in enumerate(batches)
            ],
            epoch=epoch,
            workers=options.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )

    def learn(self, batch: Sample) -> None:
        """Make one step."""
        progress = self.progress
        if self._begins_on_grid(progress):
            self._begin_on_grid()
        self.stepper.set_rates(self.learner.rates(self.state.step, progress))
        scale, (height, width) = self.samples.scale, batch.frame.shape[-2:]
        target = draw_heatmaps(batch.pixels, batch.visible, height, width, scale)
        options, step = self.state.options, self.state.step
        pairs = options.shows_pairs(step)
        fan_outs = [each + options.message_cost for each in self.architecture.fan_outs]
        operations = OperationShare(fan_outs, pairs=pairs) if options.pays(step) else None
        noise = options.noise_at(progress)
        seed = hash((options.seed, step)) % (1 << 62)
        sends = NoisySending(noise, pairs=pairs, seed=seed) if noise else None
        maps, penalty = self.learner.maps(self.stepper.module, batch.frame, operations, sends)
        error = heatmap_loss(maps, target, scale)
        if operations is not None:
            due = options.activation_price * operations.share
            due = due + options.change_price * operations.changed_share
            penalty = penalty + paid(options.price_share(step, progress), due, error)
        self.stepper.step(error + penalty)
        self.learner.after_step(options.sparsity_at(progress))
        self.count(error, heatmap_loss(torch.zeros_like(target), target, scale))

    def end_epoch(self, loss: float, started: float) -> None:
        """Validate where it is due, and write down the run."""
        state, options = self.state, self.state.options
        is_validated = state.epoch % options.validate_every == 0
        error_px, share = self._validated() if is_validated else (None, None)
        row = TrainEpoch(
            epoch=state.epoch,
            steps=self.steps,
            loss=loss,
            learning_rate=self.learner.optimizer.param_groups[0]["lr"],
            mpjpe_px=error_px,
            operations_share=share,
            seconds=time.monotonic() - started,
            data_wait_share=self.wait_share,
        )
        state.history.append(row)
        self._save()
        line = f"epoch {row.epoch}/{self.n_epochs}: loss {loss:.3f}"
        if error_px is not None:
            baseline = f"mean pose {self.validation.baseline_px:.2f} px"
            line += f", validation {error_px:.2f} px ({baseline})"
        if share is not None:
            line += f", activations cause {share:.1%} of the dense operations"
        self.reporter.message(line)

    def _train_samples(self, options: TrainOptions) -> PoseSamples:
        samples = partial(DrawnSamples, share=options.vary_share) if options.vary else PoseSamples
        return samples(
            self.train_side,
            options.channels,
            options.augmentation(),
            resize=options.resize,
            seed=options.seed,
        )

    def _opening_lines(self) -> Iterable[str]:
        sides = (self.split.train, self.split.validation)
        train, validation = (", ".join(map(str, side)) for side in sides)
        yield (
            f"{len(self.samples)} pictures of subjects {train}; validated on subjects {validation};"
            f" {self.steps_per_epoch} steps per epoch on {self.fabric.device}"
        )
        if self.split.validates_on_train:
            yield (
                f"there are too few subjects: {validation} is trained on and validated on, so the"
                " validation error says nothing about other people"
            )

    def _stepper(self, optimizer_state: dict[str, Any]) -> Stepper:
        return Stepper(self.fabric, self.learner.module, self.learner.optimizer, optimizer_state)

    def _begins_on_grid(self, progress: float) -> bool:
        options = self.state.options
        due = options.conversion_aware and progress >= 1 - options.aware_share
        return due and not self.state.final

    def _begin_on_grid(self) -> None:
        """Plan in the first process, tell the others, and continue with another learner."""
        planned, options = None, self.state.options
        if self.fabric.is_global_zero:
            network, scale = self.learner.network(), self.learner.input_scale
            shown = camera_frames(self.train_side, options.channels)
            runs = resized(shown, options.resize)
            planned = plan_on_grid(network, scale, runs, self.reporter)
        self.state.final = self.fabric.broadcast(planned)
        self.learner = GridLearner(self.architecture, self.state.final, options)
        self.stepper = self._stepper({})

    def _validate_last(self) -> None:
        """Validate the network as it is now, for the last epoch's row."""
        error_px, share = self._validated()
        last = replace(self.state.history[-1], mpjpe_px=error_px, operations_share=share)
        self.state.history[-1] = last
        self._save()

    def _validated(self) -> tuple[float | None, float | None]:
        """Validation error and share of operations, measured in the first process."""
        result: tuple[float | None, float | None] = (None, None)
        if self.fabric.is_global_zero:
            learner, device = self.learner, self.fabric.device
            network = learner.network().to(device)
            error_px = network_mpjpe_px(network, self.validation, learner.input_scale, device)
            share = operations_share(
                lambda frames, reads: learner.maps(learner.module, frames, reads),
                self.architecture,
                self.validation,
                device,
            )
            result = error_px, share
        shared: tuple[float | None, float | None] = self.fabric.broadcast(result)
        return shared

    def _save(self) -> None:
        """Write down the run, to be resumed from here."""
        state, learner = self.state, self.learner
        state.elapsed_s = self.clock.seconds
        state.weights, state.optimizer = learner.module.state_dict(), learner.optimizer.state_dict()
        if self.fabric.is_global_zero:
            baseline_px, n_pictures = self.validation.baseline_px, len(self.samples)
            record = run_record(state, self.split, baseline_px, n_pictures, self.data_sha256)
            self.folder.write(state, record)
            weights = learner.network().weights()
            resize = state.options.resize
            write_checkpoint(self.folder.checkpoint, weights, learner.input_scale, resize)
        self.fabric.barrier()
