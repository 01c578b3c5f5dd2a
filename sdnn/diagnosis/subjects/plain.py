"""The control: the experiment's network without sigma-delta, trained on the same things.

Plain convolutions and ReLUs with the same initial weights, norm, pooling, inputs and loss. What
dies here does not die of sigma-delta.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.batch import Sent, batch_mean, joined, run_layer
from ann2sdnn.sdnn.diagnosis.subjects.packed import Packed
from ann2sdnn.sdnn.diagnosis.subjects.settings import (
    LAST_DEVIATION,
    BlockPlan,
    ExperimentSettings,
    Pooling,
    fan_in,
    sequences_at_once,
)
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, StageKind


class PlainStage(torch.nn.Module):
    """A layer of the control: convolution, norm, ReLU; its messages are its activations."""

    asked_threshold = 0.0

    def __init__(self, plan: BlockPlan, settings: ExperimentSettings, *, relu: bool) -> None:
        super().__init__()
        self.name = plan.name
        self.kind: StageKind = plan.kind
        self.plan, self.settings, self.relu = plan, settings, relu
        self.length: torch.nn.Parameter | None = None
        self.direction: torch.nn.Parameter | None = None
        # In a list, so that torch does not take a weight without norm for another parameter.
        self._taken: list[Tensor | None] = [None]
        if plan.kind != "pool":
            weight = settings.weight_scale * _torch_default(plan)
            self.direction = torch.nn.Parameter(weight)
            if settings.weight_norm:
                self.length = torch.nn.Parameter(
                    weight.detach().flatten(1).norm(dim=1, keepdim=True)
                )

    def run(self, messages: Tensor) -> Tensor:
        """Activations out for activations in."""
        return self.observe(messages).messages

    def observe(self, messages: Tensor, mean: Tensor | None = None) -> Observed:
        """The same, with the pre-activation; ``mean`` [C] in place of the batch's own."""
        weight = self._take_weight()
        if weight is None:
            pooled = _pool(messages, self.settings.pooling)
            return Observed(pooled, pooled.detach(), pooled.detach(), None)
        total = self._convolve(messages, weight)
        if self.settings.mean_norm and mean is not None:
            total = total - mean[:, None, None, None]
        elif self.settings.mean_norm:
            total = total - total.mean(dim=(0, 2, 3, 4), keepdim=True)
        activation = torch.relu(total) if self.relu else total
        return Observed(activation, total.detach(), activation.detach(), weight)

    @property
    def couples(self) -> bool:
        """Whether a norm takes off the batch's mean."""
        return self.direction is not None and self.settings.mean_norm

    def drive(self, messages: Tensor) -> Tensor:
        """The weighted sum, before the norm."""
        weight = self._take_weight()
        if weight is None:
            return _pool(messages, self.settings.pooling)
        return self._convolve(messages, weight)

    def used_weight(self) -> Tensor | None:
        """The weight of the last call."""
        return self._taken[0]

    def weight(self) -> Tensor | None:
        """The weight as it stands."""
        weight = self._made_weight()
        return None if weight is None else weight.detach()

    def levels(self) -> None:
        """Nothing is rounded."""

    def threshold(self) -> tuple[float, float]:
        """There is none."""
        return 0.0, 0.0

    def experiment_gradient(self) -> float:
        """As lava-dl's ``grad_norm``: of the lengths, over their number."""
        trained = self.length if self.length is not None else self.direction
        if trained is None or trained.grad is None:
            return 0.0
        return float(trained.grad.norm()) / trained.grad.numel()

    @torch.no_grad()
    def scale_weight(self, factor: float) -> None:
        """Multiply the weight."""
        trained = self.length if self.length is not None else self.direction
        if trained is not None:
            trained.mul_(factor)

    def _take_weight(self) -> Tensor | None:
        """The weight for one call, whose gradient is kept."""
        weight = self._made_weight()
        if weight is not None and not weight.is_leaf:
            weight.retain_grad()
        self._taken[0] = weight
        return weight

    def _made_weight(self) -> Tensor | None:
        if self.direction is None or self.length is None:
            return self.direction
        flat = self.direction.flatten(1)
        weight: Tensor = flat / flat.norm(dim=1, keepdim=True) * self.length
        return weight.view_as(self.direction)

    def _convolve(self, messages: Tensor, weight: Tensor) -> Tensor:
        # Time is the last axis; a kernel of length 1 leaves it alone.
        if self.plan.kind == "convT":
            return torch.nn.functional.conv_transpose3d(messages, weight, stride=(2, 2, 1))
        pads = (self.plan.dilation, self.plan.dilation, 0)
        dilation = (self.plan.dilation, self.plan.dilation, 1)
        return torch.nn.functional.conv3d(messages, weight, padding=pads, dilation=dilation)


class PlainSubject:
    """The control as something to be diagnosed."""

    sends_deltas = False

    def __init__(self, settings: ExperimentSettings, frames: Tensor) -> None:
        self.name = "plain ANN"
        self.settings, self.event_cost = settings, settings.event_cost
        last = settings.blocks[-1]
        self.stages = [
            PlainStage(plan, settings, relu=settings.output_relu or plan is not last)
            for plan in settings.blocks
        ]
        self._initialise(frames)

    def encode(self, frames: Tensor) -> Tensor:
        """Scaled frames; the network sees each as it is."""
        return frames * self.settings.input_scale

    def readout(self, messages: Tensor) -> Tensor:
        """Activations are heat maps already."""
        return messages

    def clipped_inputs(self, frames: Tensor) -> float:
        """Floats cut nothing off."""
        return 0.0

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """What is trained."""
        return (parameter for stage in self.stages for parameter in stage.parameters())

    def reset(self) -> None:
        """Nothing is remembered."""

    @torch.no_grad()
    def _initialise(self, frames: Tensor) -> None:
        if self.settings.initialisation == "default":
            return
        for stage in self.stages:
            weight = stage.weight()
            if weight is not None:
                stage.scale_weight(math.sqrt(2 / fan_in(stage.plan)) / float(weight.std()))
        if self.settings.initialisation == "data":
            self._unit_variance(frames)

    @torch.no_grad()
    def _unit_variance(self, frames: Tensor) -> None:
        """Scale layer by layer until pre-activations have unit variance over the batch."""
        at_once = sequences_at_once(self.settings.blocks, frames)
        signal = Sent(tuple(Packed.of(self.encode(one)) for one in torch.split(frames, at_once)))
        for stage in self.stages:
            if stage.weight() is not None:
                deviation = _deviation(stage, signal)
                last = stage.plan is self.settings.blocks[-1]
                goal = LAST_DEVIATION if last else 1.0
                stage.scale_weight(goal / deviation if deviation > 0 else 1.0)
            signal = run_layer(stage, signal, batch_mean(stage, signal))


def _deviation(stage: PlainStage, arrived: Sent) -> float:
    """Standard deviation of a layer's pre-activations over the batch."""
    mean = batch_mean(stage, arrived)
    return float(joined(lambda part: stage.observe(part, mean).preactivation, arrived).std())


def _torch_default(plan: BlockPlan) -> Tensor:
    """A kernel as torch initialises convolutions, in the layout of slayer's synapses."""
    if plan.kind == "convT":
        shape = (plan.in_channels, plan.out_channels, 2, 2, 1)
    else:
        shape = (plan.out_channels, plan.in_channels, 3, 3, 1)
    weight = torch.empty(shape)
    torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return weight


def _pool(signal: Tensor, pooling: Pooling) -> Tensor:
    if pooling == "max":
        return torch.nn.functional.max_pool3d(signal, (2, 2, 1))
    average = torch.nn.functional.avg_pool3d(signal, (2, 2, 1))
    return average * (4 if pooling == "sum" else 1)
