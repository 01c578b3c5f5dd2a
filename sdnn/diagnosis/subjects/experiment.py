"""The `dhp19_sdnn` experiment's network, built from lava-dl's own sigma-delta blocks.

This module imports lava; import it only where slayer is going to be used.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.batch import Sent, batch_mean, joined, run_layer
from ann2sdnn.sdnn.diagnosis.subjects.packed import Packed
from ann2sdnn.sdnn.diagnosis.subjects.settings import (
    LAST_DEVIATION,
    BlockPlan,
    ExperimentSettings,
    fan_in,
    sequences_at_once,
)
from ann2sdnn.sdnn.diagnosis.subjects.subject import SlayerStage
from ann2sdnn.sdnn.lava.importing import import_lava

slayer: Any = import_lava("lava.lib.dl.slayer")
blocks = slayer.block.sigma_delta


class ExperimentNetwork(torch.nn.Module):
    """Slayer blocks in a row: N C H W T frames of 0..1 to what the loss compares with heat maps."""

    def __init__(self, settings: ExperimentSettings) -> None:
        super().__init__()
        self.settings = settings
        self.input = blocks.Input(_neuron_params(settings), bias=None)
        with warnings.catch_warnings():
            # lava-dl uses torch's older weight norm, which torch announces every time.
            warnings.simplefilter("ignore", UserWarning)
            self.blocks = torch.nn.ModuleDict(
                {plan.name: _block(plan, settings) for plan in settings.blocks}
            )
        if not settings.output_relu:
            self.blocks[settings.blocks[-1].name].neuron.activation = _identity

    def encode(self, frames: Tensor) -> Tensor:
        """The input block's messages for frames [N, 1, H, W, T] of 0..1."""
        messages: Tensor = self.input(frames * self.settings.input_scale)
        return messages

    def readout(self, messages: Tensor) -> Tensor:
        """What is compared with the target, of the last block's messages [N, 13, H, W, T]."""
        return messages.cumsum(dim=-1) if self.settings.sum_output else messages


class ExperimentSubject:
    """The experiment's network as something to be diagnosed; ``frames`` is the first batch."""

    sends_deltas = True

    def __init__(self, settings: ExperimentSettings, frames: Tensor) -> None:
        self.name = "dhp19-sdnn"
        self.event_cost = settings.event_cost
        self.network = ExperimentNetwork(settings)
        self.stages = [
            SlayerStage(plan.name, plan.kind, self.network.blocks[plan.name], settings.threshold)
            for plan in settings.blocks
        ]
        initialise = {"default": _as_it_is, "he": _he, "data": _unit_variance}
        initialise[settings.initialisation](self.network, self.stages, frames)

    def encode(self, frames: Tensor) -> Tensor:
        """The input block's messages."""
        return self.network.encode(frames)

    def readout(self, messages: Tensor) -> Tensor:
        """What the loss compares with the target."""
        return self.network.readout(messages)

    def clipped_inputs(self, frames: Tensor) -> float:
        """Share of the non-zero pixels that the input block's rounding cuts off."""
        values = frames[frames != 0] * self.network.settings.input_scale
        if not len(values):
            return 0.0
        return float((self.network.input.pre_hook_fx(values) < values - 1 / 16).float().mean())

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What is trained: weights, and thresholds where they take part."""
        return self.network.parameters()

    def reset(self) -> None:
        """Slayer starts every batch anew by itself."""


_Stages = Sequence[SlayerStage]


def _as_it_is(_: ExperimentNetwork, __: _Stages, ___: Tensor) -> None:
    """Torch's default, which the blocks were built with."""


def _he(network: ExperimentNetwork, _: _Stages, __: Tensor) -> None:
    """Weights of variance 2 / fan-in."""
    for plan in network.settings.blocks:
        if plan.kind != "pool":
            synapse = network.blocks[plan.name].synapse
            _scale_weight(synapse, math.sqrt(2 / fan_in(plan)) / float(synapse.weight.std()))


@torch.no_grad()
def _unit_variance(network: ExperimentNetwork, stages: _Stages, frames: Tensor) -> None:
    """Scale layer by layer until pre-activations have unit variance over the batch.

    Twice a layer, since weights are rounded to the grid after they were scaled.
    """
    at_once = sequences_at_once(network.settings.blocks, frames)
    messages = Sent(tuple(Packed.of(network.encode(one)) for one in torch.split(frames, at_once)))
    for stage in stages:
        for _ in range(0 if stage.kind == "pool" else 2):
            deviation = float(joined(stage.drive, messages).std())
            wanted = LAST_DEVIATION if stage is stages[-1] else 1.0
            if deviation > 0:
                _scale_weight(stage.block.synapse, wanted / deviation)
        messages = run_layer(stage, messages, batch_mean(stage, messages))


class MaxPool(torch.nn.Module):
    """Sigma, 2x2 max pooling, delta: what lava-dl has no block for."""

    def __init__(self, settings: ExperimentSettings) -> None:
        super().__init__()
        params = {**_neuron_params(settings), "activation": _max_pool}
        self.neuron = slayer.neuron.sigma_delta.Neuron(**params)

    def forward(self, messages: Tensor) -> Tensor:
        """Messages [N, C, H / 2, W / 2, T] for messages [N, C, H, W, T]."""
        # The neuron itself wants what goes in and what comes out to be of one shape.
        pooled: Tensor = self.neuron.delta(_max_pool(self.neuron.sigma(messages)))
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
    common: dict[str, Any] = {
        "weight_scale": settings.weight_scale,
        "weight_norm": settings.weight_norm,
    }
    if not settings.weight_grid:
        common["pre_hook_fx"] = None
    if plan.kind == "convT":
        return blocks.ConvT(params, plan.in_channels, plan.out_channels, 2, stride=2, **common)
    return blocks.Conv(
        params,
        plan.in_channels,
        plan.out_channels,
        3,
        padding=plan.dilation,
        dilation=plan.dilation,
        **common,
    )


def _neuron_params(settings: ExperimentSettings) -> dict[str, Any]:
    return {
        "threshold": settings.threshold,
        "tau_grad": settings.tau_grad,
        "scale_grad": settings.scale_grad,
        "requires_grad": True,
        "shared_param": True,
        "activation": torch.relu,
    }


@torch.no_grad()
def _scale_weight(synapse: Any, factor: float) -> None:
    """Multiply the weight, which weight norm keeps as a direction and a length."""
    if synapse.weight_norm_enabled:
        synapse.weight_g.mul_(factor)
        # The module recomputes its weight before every call; now is before the first.
        synapse.weight = torch._weight_norm(synapse.weight_v, synapse.weight_g, 0)
    else:
        synapse.weight.mul_(factor)


def _max_pool(activation: Tensor) -> Tensor:
    """2x2 in the plane; time is the last axis, where nothing is pooled."""
    return torch.nn.functional.max_pool3d(activation, (2, 2, 1))


def _identity(x: Tensor) -> Tensor:
    return x
