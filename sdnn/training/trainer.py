"""The training of an SDNN in slayer: epochs, steps, and what is learned from each chunk.

Adam (Kingma and Ba, 2015) with a rate relative to the size of what it moves, on a cosine. The loss
is the squared error of the decoded heat maps in units of what predicting nothing costs, plus what
the synaptic operations cost, plus a hinge on states and messages near their limits.

This module imports lava; import it only where slayer is going to be used.
"""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ann2sdnn.data.pose.heatmaps import heatmap_loss
from ann2sdnn.data.sources.dhp19 import FrameRun
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.spec import UNITS, WEIGHT_STEP, Spec
from ann2sdnn.sdnn.training.batches import Batch, TrainingRuns
from ann2sdnn.sdnn.training.check import Check, check
from ann2sdnn.sdnn.training.device import usable_device
from ann2sdnn.sdnn.training.network import TrainableSdnn
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch, SdnnRunState
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.state import load_optimizer
from ann2sdnn.support.progress import Reporter, Task

# Operations that the penalty is for.
PENALISED = 1e8
_WORKERS = 8
_LEAST_WEIGHTS = 2.0  # in steps: layers of small weights learn as fast as that


class Observer(Protocol):
    """Is told after every epoch, and may write down the state."""

    def __call__(self, state: SdnnRunState, checked: Check, *, last: bool) -> None:
        """``state`` ends with the epoch that ``checked`` belongs to."""


@dataclass
class _Sums:
    """Over the chunks of an epoch."""

    error: float = 0.0
    silence: float = 0.0
    operations: float = 0.0
    frames: int = 0
    excess: float = 0.0
    steps: int = 0

    @property
    def loss(self) -> float:
        return self.error / self.silence if self.silence > 0 else self.error

    def add(
        self, error: float, silence: float, operations: float, excess: float, *, frames: int
    ) -> None:
        """One more step; ``operations`` are those of ``frames`` frames together."""
        self.error += error
        self.silence += silence
        self.operations += operations
        self.excess += excess
        self.frames += frames
        self.steps += 1


class SdnnTrainer:
    """Goes on from ``state`` to the end of its options."""

    def __init__(
        self,
        spec: Spec,
        state: SdnnRunState,
        runs: TrainingRuns,
        validation: Sequence[FrameRun],
        reporter: Reporter,
        *,
        ann: Graph,
    ) -> None:
        """``ann``: the float network that ``spec`` was made from."""
        self.state, self.options = state, state.options
        self.runs, self.validation, self.reporter = runs, validation, reporter
        self.device = usable_device(self.options.device)
        self.network = TrainableSdnn(spec, output_slope=self.options.output_slope)
        if state.weights:
            self.network.load_state_dict(state.weights)
        self.network.to(self.device)
        self.ann = FloatNetwork(ann, self.device)
        # Fused where that exists: 35 groups of one parameter each are many small kernels.
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(self._groups(), betas=(0.9, 0.99), fused=fused)
        if state.optimizer:
            load_optimizer(self.optimizer, state.optimizer)
        self.n_steps = (
            self.options.epochs * runs.n_batches(self.options.batch_size) * self.options.chunks
        )

    def run(self, observe: Observer) -> Spec:
        """Train until the last epoch is done; returns what was learned."""
        self.begun = time.monotonic()
        if not self.state.history:
            self._finish_epoch(_Sums(), time.monotonic(), observe)
        self.begun = time.monotonic() - sum(one.seconds for one in self.state.history[1:])
        self._prune()  # which weights are pruned is no part of a state that was picked up
        # Rounded to 10 bits, as tensor cores have it, messages would not be those of the spec.
        with torch.backends.cudnn.flags(allow_tf32=False):
            while self._progress() < 1 or self.state.epoch == 0:
                started = time.monotonic()
                sums = self._epoch()
                self.state.epoch += 1
                self._finish_epoch(sums, started, observe)
        return self.network.to_spec()

    def _progress(self) -> float:
        """The share of the training that is done, in steps or, if that is more, in time."""
        steps = self.state.step / self.n_steps
        if self.options.max_minutes is None:
            return steps
        return max(steps, (time.monotonic() - self.begun) / (60 * self.options.max_minutes))

    def _epoch(self) -> _Sums:
        options, sums = self.options, _Sums()
        name = f"epoch {self.state.epoch + 1}/{options.epochs}"
        total = self.runs.n_batches(options.batch_size) * options.chunks
        with self.reporter.task(name, total, "step") as task:
            batches = self.runs.batches(self.state.epoch, options.batch_size, self._workers())
            for batch in batches:
                self._runs(batch.to(self.device), sums, task)
                if self._progress() >= 1:
                    break
        if not math.isfinite(sums.loss):
            raise ModelError(
                f"training diverged in epoch {self.state.epoch + 1}: the loss is {sums.loss}; train"
                f" again with a learning rate below {options.learning_rate}"
            )
        return sums

    def _workers(self) -> int:
        """Processes that read data: an accelerator is fast enough to wait for it."""
        if self.options.workers is not None:
            return self.options.workers
        return 0 if self.device.type == "cpu" else min(_WORKERS, os.cpu_count() or 1)

    def _runs(self, batch: Batch, sums: _Sums, task: Task) -> None:
        """Whole runs, a chunk a step."""
        self._prune()
        self.network.begin(*batch.frames.shape[2:4])
        self._sizes = self._measure_sizes()
        for number, chunk in enumerate(batch.chunks(self.options.chunk_frames)):
            self._step(chunk, sums, first=number == 0)
            note = f"loss {sums.loss:.3f}, {sums.operations / max(sums.frames, 1) / 1e6:.1f} Mops"
            task.advance(note=note)

    def _step(self, chunk: Batch, sums: _Sums, *, first: bool) -> None:
        self._set_rates()
        self.network.count_weights()
        result = self.network(chunk.frames)
        target = self._target(chunk)
        error = heatmap_loss(result.maps.flatten(0, 1), target)
        # A recording's first frame sends everything, once.
        working: Tensor = result.operations[:, 1:] if first else result.operations
        loss = error + self.options.penalty * working.mean() / PENALISED + result.excess
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        for layer in self.network.trained:
            layer.clamp()
        self.state.step += 1
        silence = heatmap_loss(torch.zeros_like(target), target)
        # In one go: an accelerator waits for every number that is asked for.
        found = torch.stack([error, silence, working.sum(), result.excess]).tolist()
        sums.add(*found, frames=working.numel())

    def _target(self, chunk: Batch) -> Tensor:
        """What the decoded heat maps are to be, [N T, 13, H, W]."""
        if self.options.target == "labels":
            return chunk.targets().flatten(0, 1)
        pictures = chunk.frames.movedim(-1, 1).flatten(0, 1)
        # A copy, because autograd takes no tensors of inference mode.
        return self.ann(self.ann.encode(pictures)).clone()

    def _prune(self) -> None:
        self.network.prune(self.options.sparsity_at(self._progress()))

    def _groups(self) -> list[dict[str, object]]:
        """A group a parameter, so that each has its rate."""
        trained = [p for p in self.network.parameters() if p.requires_grad]
        return [{"params": [parameter], "lr": 0.0} for parameter in trained]

    @torch.no_grad()
    def _measure_sizes(self) -> list[tuple[float, float]]:
        """Of each layer's weights, their root mean square, and its threshold."""
        layers = self.network.trained
        weights = torch.stack([one.weight.square().mean().sqrt() for one in layers])
        thresholds = torch.cat([one.neuron.delta.threshold for one in layers])
        return list(zip(weights.tolist(), thresholds.tolist(), strict=True))

    def _set_rates(self) -> None:
        rate = self.options.rate_at(min(1.0, self._progress()), self.state.step)
        rates: dict[int, float] = {}
        for layer, (weight, threshold) in zip(self.network.trained, self._sizes, strict=True):
            neuron = layer.neuron
            size = max(_LEAST_WEIGHTS * WEIGHT_STEP / UNITS, weight)
            rates[id(layer.weight)] = rates[id(neuron.bias)] = self.options.learning_rate * size
            rates[id(neuron.delta.threshold)] = self.options.threshold_rate * threshold
        for group in self.optimizer.param_groups:
            group["lr"] = rate * rates[id(group["params"][0])]

    def _finish_epoch(self, sums: _Sums, started: float, observe: Observer) -> None:
        self._prune()
        spec = self.network.to_spec()
        checked = check(spec, self.validation)
        trained = sums.steps > 0
        record = SdnnEpoch(
            epoch=self.state.epoch,
            steps=self.state.step,
            loss=sums.loss if trained else None,
            synops_per_frame=sums.operations / max(sums.frames, 1) if trained else None,
            excess=sums.excess / sums.steps if trained else None,
            mpjpe_px=checked.mpjpe_px,
            validation_synops_per_frame=checked.synops_per_frame,
            events_per_frame=[float(x) for x in checked.events_per_frame],
            overflows=checked.overflows,
            thresholds=[one.threshold * spec.grid.threshold_step for one in spec.layers],
            seconds=round(time.monotonic() - started, 1),
        )
        self.state.history.append(record)
        self.state.weights = self.network.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.reporter.message(_line(record, self.options.epochs))
        last = self.state.epoch > 0 and self._progress() >= 1
        observe(self.state, checked, last=last)


def _line(record: SdnnEpoch, epochs: int) -> str:
    error = "-" if record.mpjpe_px is None else f"{record.mpjpe_px:.2f} px"
    text = f"epoch {record.epoch}/{epochs}: validation {error}"
    text += f" at {record.validation_synops_per_frame / 1e6:.1f} million operations a frame"
    return text if record.loss is None else f"{text}; training loss {record.loss:.3f}"
