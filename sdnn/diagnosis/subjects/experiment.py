"""The `dhp19_sdnn` experiment's network, built from lava-dl's own sigma-delta blocks.

This module imports lava.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.batch import Batch, joined
from ann2sdnn.sdnn.diagnosis.subjects.initial import scale_to_he, scale_to_unit_variance
from ann2sdnn.sdnn.diagnosis.subjects.settings import BlockPlan, ExperimentSettings
from ann2sdnn.sdnn.diagnosis.subjects.subject import SlayerStage, Stage, Subject
from ann2sdnn.sdnn.lava.importing import import_lava

slayer: Any = import_lava("lava.lib.dl.slayer")
blocks = slayer.block.sigma_delta


class ExperimentSubject(Subject):
    """The experiment's network; ``frames`` [N, 1, H, W, T] of the first batch initialise it.

    Slayer resets its state with every batch.
    """

    name = "dhp19-sdnn"
    sends_deltas = True
    stages: list[SlayerStage]

    def __init__(self, settings: ExperimentSettings, frames: Tensor) -> None:
        self.settings, self.event_cost = settings, settings.event_cost
        self.input = blocks.Input(_neuron_params(settings), bias=None)
        with warnings.catch_warnings():
            # lava-dl uses torch's older weight norm, which warns at every use.
            warnings.simplefilter("ignore", UserWarning)
            self.stages = [
                SlayerStage(plan.name, plan.kind, _block(plan, settings), settings.threshold)
                for plan in settings.blocks
            ]
        if not settings.output_relu:
            self.stages[-1].block.neuron.activation = lambda values: values
        if settings.initialisation == "he":
            scale_to_he(self.stages, settings.blocks)
        elif settings.initialisation == "data":
            channels = settings.blocks[0].out_channels
            scale_to_unit_variance(
                self.stages, self.encode, frames, _deviation, channels=channels, rounds=2
            )

    def encode(self, frames: Tensor) -> Tensor:
        """The input block's messages."""
        messages: Tensor = self.input(frames * self.settings.input_scale)
        return messages

    def readout(self, messages: Tensor) -> Tensor:
        """The last block's messages, or their sum over time."""
        return messages.cumsum(dim=-1) if self.settings.sum_output else messages

    def clipped_inputs(self, frames: Tensor) -> float:
        """Share of the non-zero pixels that the input block's rounding cuts off."""
        values = frames[frames != 0] * self.settings.input_scale
        if not len(values):
            return 0.0
        return float((self.input.pre_hook_fx(values) < values - 1 / 16).float().mean())

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Weights, and thresholds where they are trained."""
        modules = (self.input, *(stage.block for stage in self.stages))
        return (parameter for module in modules for parameter in module.parameters())


def _deviation(stage: Stage, arrived: Batch) -> float:
    """Standard deviation of the weighted sums over the batch."""
    return float(joined(lambda part: stage.drive(part)[0], arrived).std())


class MaxPool(torch.nn.Module):
    """Sigma, 2x2 max pooling, delta, for which lava-dl has no block."""

    def __init__(self, settings: ExperimentSettings) -> None:
        super().__init__()
        self.neuron = slayer.neuron.sigma_delta.Neuron(**_neuron_params(settings))

    def forward(self, messages: Tensor) -> Tensor:
        """Messages [N, C, H / 2, W / 2, T] for messages [N, C, H, W, T]."""
        # The neuron's own forward requires equal shapes of its input and output.
        activation = F.max_pool3d(self.neuron.sigma(messages), (2, 2, 1))  # time is the last axis
        pooled: Tensor = self.neuron.delta(activation)
        return pooled


def _block(plan: BlockPlan, settings: ExperimentSettings) -> Any:
    if plan.kind == "pool":
        if settings.pooling == "max":
            return MaxPool(settings)
        weight_scale = 0.25 if settings.pooling == "average" else 1
        return blocks.Pool(_neuron_params(settings), kernel_size=2, weight_scale=weight_scale)
    params = _neuron_params(settings)
    if settings.mean_norm:
        params["norm"] = slayer.neuron.norm.MeanOnlyBatchNorm
    layer, kernel, shape = blocks.Conv, 3, {"padding": plan.dilation, "dilation": plan.dilation}
    if plan.kind == "convT":
        layer, kernel, shape = blocks.ConvT, 2, {"stride": 2}
    options: dict[str, Any] = {
        "weight_scale": settings.weight_scale,
        "weight_norm": settings.weight_norm,
    }
    if not settings.weight_grid:
        options["pre_hook_fx"] = None
    return layer(params, plan.in_channels, plan.out_channels, kernel, **shape, **options)


def _neuron_params(settings: ExperimentSettings) -> dict[str, Any]:
    return {
        "threshold": settings.threshold,
        "tau_grad": settings.tau_grad,
        "scale_grad": settings.scale_grad,
        "requires_grad": True,
        "shared_param": True,
        "activation": torch.relu,
    }
