"""Training of an SDNN in slayer.

The loss is the squared error of the decoded output over that of predicting nothing (of several
outputs the mean), plus a penalty for synaptic operations, plus a range penalty for states and
messages near their limits.
Learning rates are relative to the size of the weights and thresholds, on a cosine.

This module imports lava; import it only where slayer is going to be used.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ann2sdnn.data.pose.heatmaps import heatmap_loss
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_STEP
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.batches import Batch, TrainingRuns
from ann2sdnn.sdnn.training.check import Check, check, validation_error
from ann2sdnn.sdnn.training.network import TrainableSdnn
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch, SdnnRunState
from ann2sdnn.support.progress import Reporter
from ann2sdnn.support.terminal import compact
from ann2sdnn.support.training.fabric import Stepper, adam
from ann2sdnn.support.training.trainer import Trainer, chosen_workers

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PENALISED = 1e8
"""Operations per frame to which the option ``penalty`` refers."""

_MOST_WORKERS = 8
_SILENT = 1e-12  # energy of targets below which they count as silent
_LEAST_WEIGHTS = 2.0  # weight steps; layers of smaller weights learn as fast as this

Observer = Callable[[SdnnRunState, Check, bool], None]
"""Called after every epoch with the state, the check of its last row, and whether it is the last
epoch."""


class SdnnTrainer(Trainer[SdnnRunState]):
    """Trains the SDNN of ``spec``, from ``state`` to the end of its options."""

    sums_dtype: ClassVar[torch.dtype] = torch.float64

    def __init__(
        self,
        fabric: "Fabric",
        spec: Spec,
        state: SdnnRunState,
        runs: TrainingRuns,
        *,
        ann: Graph,
        validation: Sequence[Frames],
        observe: Observer,
        reporter: Reporter,
    ) -> None:
        """``ann``: the float network that ``spec`` was made from."""
        options = state.options
        super().__init__(
            fabric,
            state,
            reporter,
            steps_per_epoch=runs.n_batches(options.batch_size) * options.chunks,
            elapsed_s=sum(row.seconds for row in state.history[1:]),
        )
        self.runs, self.validation, self.observe = runs, validation, observe
        self.network = TrainableSdnn(spec, output_slope=options.output_slope)
        if state.weights:
            self.network.load_state_dict(state.weights)
        self.network.to(fabric.device)
        self.graph, self.ann = ann, FloatNetwork(ann, fabric.device)
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        # Fused where that exists: many groups of a single parameter are many small kernels.
        self.optimizer = adam(self.trained, fused=fabric.device.type == "cuda" or None)
        self.stepper = Stepper(fabric, self.network, self.optimizer, state.optimizer)

    def run(self) -> Spec:
        """Run the rest of the training; returns the spec that was learned."""
        if not self.state.history:
            self._add_row(None, time.monotonic())
        self._prune()  # a state does not hold which weights are pruned
        # In tensor cores' 10 bits, messages would not be those of the spec.
        with torch.backends.cudnn.flags(allow_tf32=False):
            self.train()
        return self.network.to_spec()

    def batches(self, epoch: int) -> Iterable[Batch]:
        """Runs of frames side by side."""
        options, on_cpu = self.state.options, self.fabric.device.type == "cpu"
        # A CPU is so slow that it need not wait for data.
        workers = chosen_workers(options.workers, 0 if on_cpu else _MOST_WORKERS)
        return self.runs.batches(epoch, options.batch_size, workers)

    def learn(self, batch: Batch) -> None:
        """Make a step per chunk of the runs."""
        self._prune()
        self.network.begin(*batch.frames.shape[2:4])
        sizes = self._sizes()
        for number, chunk in enumerate(batch.chunks(self.state.options.chunk_frames)):
            self._step(chunk, sizes, is_first=number == 0)
            if self.progress >= 1:
                break

    def end_epoch(self, loss: float, started: float) -> None:
        """Check the spec, and write down the run."""
        self._prune()
        self._add_row(loss, started)

    def note(self) -> str:
        """Loss and operations per frame of the epoch so far."""
        return f"{super().note()}, {compact(self._synops_per_frame())} operations"

    def _step(self, chunk: Batch, sizes: Sequence[float], *, is_first: bool) -> None:
        options = self.state.options
        factor = options.rate_at(min(1.0, self.progress), self.state.step)
        self.stepper.set_rates([factor * size for size in sizes])
        self.network.count_weights()
        result = self.stepper.module(chunk.frames)
        target = self._target(chunk)
        error, silence = self._errors(chunk, result.maps.flatten(0, 1), target)
        # The first frame of a run sends everything, once.
        operations: Tensor = result.operations[:, 1:] if is_first else result.operations
        penalty = options.penalty * operations.mean() / PENALISED
        self.stepper.step(error + penalty + result.excess)
        for layer in self.network.trained:
            layer.clamp()
        n_frames = operations.new_tensor(operations.numel())
        # In one go, because an accelerator waits for every transfer.
        values = [error, silence, operations.sum(), n_frames, result.excess]
        self.count(*torch.stack(values).detach().cpu())

    def _errors(self, chunk: Batch, maps: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of ``maps`` and of predicting nothing, which is about 1.

        Heat maps of joints have that unit; of other outputs the target's own energy is taken. Both
        are the means over the network's outputs.
        """
        errors, silences = [], []
        outputs, targets = self.network.outputs(maps), self.network.outputs(target)
        for output, wanted in zip(outputs, targets, strict=True):
            energy = heatmap_loss(torch.zeros_like(wanted), wanted, chunk.scale)
            has_joints = chunk.pixels.shape[2] > 0
            unit = torch.ones_like(energy) if has_joints else energy.clamp_min(_SILENT)
            errors.append(heatmap_loss(output, wanted, chunk.scale) / unit)
            silences.append(energy / unit)
        return torch.stack(errors).mean(), torch.stack(silences).mean()

    def _target(self, chunk: Batch) -> Tensor:
        """The outputs to learn, [N T, O, H, W]."""
        if self.state.options.target == "labels":
            return chunk.targets().flatten(0, 1)
        pictures = chunk.frames.movedim(-1, 1).flatten(0, 1)
        # A copy, because autograd takes no tensors of inference mode.
        return self.ann(self.ann.encode(pictures)).clone()

    def _prune(self) -> None:
        self.network.prune(self.state.options.sparsity_at(self.progress))

    @torch.no_grad()
    def _sizes(self) -> list[float]:
        """The largest learning rate of each parameter: its option's times its own size.

        A weight's size is the root mean square over its synapse, a bias' that over all weights of
        its layer.
        """
        options, sizes = self.state.options, dict[int, Tensor]()
        thresholds = [layer.neuron.delta.threshold for layer in self.network.trained]
        for layer in self.network.trained:
            weights = [synapse.weight for synapse in layer.synapses]
            sizes |= {id(weight): _root_mean_square([weight]) for weight in weights}
            sizes[id(layer.neuron.bias)] = _root_mean_square(weights)
        # In one go, because an accelerator waits for every transfer.
        rates = {
            key: options.learning_rate * max(_LEAST_WEIGHTS * WEIGHT_STEP / UNITS, size)
            for key, size in zip(sizes, torch.stack([*sizes.values()]).tolist(), strict=True)
        }
        for threshold, value in zip(thresholds, torch.cat(thresholds).tolist(), strict=True):
            rates[id(threshold)] = options.threshold_rate * value
        return [rates[id(parameter)] for parameter in self.trained]

    def _synops_per_frame(self) -> float:
        return float(self.sums[2]) / max(float(self.sums[3]), 1)

    def _add_row(self, loss: float | None, started: float) -> None:
        """Add a row for the network as it is; ``loss``: None before the first epoch."""
        state, spec = self.state, self.network.to_spec()
        checked = check(spec, self.validation, self.graph)
        row = SdnnEpoch(
            epoch=state.epoch,
            steps=state.step,
            loss=loss,
            synops_per_frame=None if loss is None else self._synops_per_frame(),
            excess=None if loss is None else float(self.sums[4]) / self.steps,
            mpjpe_px=checked.mpjpe_px,
            relative_error=checked.relative_error,
            validation_synops_per_frame=checked.synops_per_frame,
            events_per_frame=[float(x) for x in checked.events_per_frame],
            overflows=checked.overflows,
            thresholds=[layer.threshold * spec.grid.threshold_step for layer in spec.layers],
            seconds=round(time.monotonic() - started, 1),
        )
        state.history.append(row)
        state.weights, state.optimizer = self.network.state_dict(), self.optimizer.state_dict()
        self.reporter.message(_line(row, self.n_epochs))
        self.observe(state, checked, state.epoch > 0 and self.progress >= 1)


def _root_mean_square(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([one.flatten() for one in tensors]).square().mean().sqrt()


def _line(row: SdnnEpoch, epochs: int) -> str:
    error = validation_error(row.mpjpe_px, row.relative_error)
    text = f"epoch {row.epoch}/{epochs}: validation {error}"
    text += f" at {compact(row.validation_synops_per_frame)} operations per frame"
    return text if row.loss is None else f"{text}; training loss {row.loss:.3g}"
