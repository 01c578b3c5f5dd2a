"""The control: the experiment's network without sigma-delta neurons.

Plain convolutions and ReLUs with the same initial weights, norm, pooling, inputs and loss. A fault
that the control shows as well is not one of sigma-delta.
"""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.batch import Batch, batch_mean, joined
from ann2sdnn.sdnn.diagnosis.subjects.initial import scale_to_he, scale_to_unit_variance
from ann2sdnn.sdnn.diagnosis.subjects.settings import BlockPlan, ExperimentSettings
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Stage, Subject, keep_gradient


class PlainStage(Stage):
    """A layer of the control: convolution, norm, ReLU. It sends its activations."""

    asked_threshold = 0.0

    def __init__(self, plan: BlockPlan, settings: ExperimentSettings, *, relu: bool) -> None:
        self.name, self.kind = plan.name, plan.kind
        self.plan, self.settings, self.relu = plan, settings, relu
        self.length: torch.nn.Parameter | None = None  # with weight norm
        self.direction: torch.nn.Parameter | None = None  # without, the weight itself
        self.has_norm = settings.mean_norm and plan.kind != "pool"
        if plan.kind != "pool":
            weight = settings.weight_scale * _torch_default(plan)
            self.direction = torch.nn.Parameter(weight)
            if settings.weight_norm:
                lengths = weight.detach().flatten(1).norm(dim=1, keepdim=True)
                self.length = torch.nn.Parameter(lengths)

    def observe(self, arriving: Sequence[Tensor], mean: Tensor | None = None) -> Observed:
        """Run the layer; ``mean`` [C] replaces the batch's own."""
        (messages,) = arriving
        total, weights = self.drive(messages)
        if self.has_norm and mean is not None:
            total = total - mean[:, None, None, None]
        elif self.has_norm:
            total = total - total.mean(dim=(0, 2, 3, 4), keepdim=True)
        activation = torch.relu(total) if self.relu and weights else total
        return Observed(activation, total.detach(), activation.detach(), weights)

    def drive(self, messages: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The convolution or the pooling."""
        weight = self._computed_weight()
        if weight is None:
            return self._pool(messages), ()
        keep_gradient(weight)
        # Time is the last axis, where the kernel has length 1.
        if self.plan.kind == "convT":
            return F.conv_transpose3d(messages, weight, stride=(2, 2, 1)), (weight,)
        dilation = self.plan.dilation
        padding = (dilation, dilation, 0)
        return F.conv3d(messages, weight, padding=padding, dilation=(*padding[:2], 1)), (weight,)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """The lengths, if any, before the directions."""
        return (one for one in (self.length, self.direction) if one is not None)

    def weight(self) -> Tensor | None:
        """The current weight."""
        weight = self._computed_weight()
        return None if weight is None else weight.detach()

    def levels(self) -> None:
        """Nothing is rounded."""

    def threshold(self) -> float:
        """Nothing is compared with a threshold."""
        return 0.0

    def experiment_gradient(self) -> float:
        """As lava-dl computes ``grad_norm``: the gradient of the lengths over their count."""
        gradients = [one.grad for one in self.parameters() if one.grad is not None]
        return float(gradients[0].norm()) / gradients[0].numel() if gradients else 0.0

    @torch.no_grad()
    def scale_weight(self, factor: float) -> None:
        """Multiply the weight."""
        next(iter(self.parameters())).mul_(factor)

    def _computed_weight(self) -> Tensor | None:
        if self.direction is None or self.length is None:
            return self.direction
        flat = self.direction.flatten(1)
        weight: Tensor = flat / flat.norm(dim=1, keepdim=True) * self.length
        return weight.view_as(self.direction)

    def _pool(self, signal: Tensor) -> Tensor:
        if self.settings.pooling == "max":
            return F.max_pool3d(signal, (2, 2, 1))
        return F.avg_pool3d(signal, (2, 2, 1)) * (4 if self.settings.pooling == "sum" else 1)


class PlainSubject(Subject):
    """The control; ``frames`` [N, 1, H, W, T] of the first batch initialise its weights."""

    name = "plain ANN"
    sends_deltas = False
    stages: list[PlainStage]

    def __init__(self, settings: ExperimentSettings, frames: Tensor) -> None:
        self.settings, self.event_cost = settings, settings.event_cost
        last = settings.blocks[-1]
        self.stages = [
            PlainStage(plan, settings, relu=settings.output_relu or plan is not last)
            for plan in settings.blocks
        ]
        if settings.initialisation != "default":
            scale_to_he(self.stages, settings.blocks)
        if settings.initialisation == "data":
            channels = settings.blocks[0].out_channels
            scale_to_unit_variance(
                self.stages, self.encode, frames, _deviation, channels=channels, rounds=1
            )

    def encode(self, frames: Tensor) -> Tensor:
        """Scaled frames; the network processes each by itself."""
        return frames * self.settings.input_scale

    def readout(self, messages: Tensor) -> Tensor:
        """Activations are heat maps already."""
        return messages

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Of all stages."""
        return (parameter for stage in self.stages for parameter in stage.parameters())


def _deviation(stage: Stage, arrived: Batch) -> float:
    """Standard deviation of a layer's pre-activations over the batch."""
    mean = batch_mean(stage, arrived)
    return float(joined(lambda part: stage.observe([part], mean).preactivation, arrived).std())


def _torch_default(plan: BlockPlan) -> Tensor:
    """A kernel as torch initialises convolutions, in the layout of slayer's synapses."""
    if plan.kind == "convT":
        shape = (plan.in_channels, plan.out_channels, 2, 2, 1)
    else:
        shape = (plan.out_channels, plan.in_channels, 3, 3, 1)
    weight = torch.empty(shape)
    torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    return weight
