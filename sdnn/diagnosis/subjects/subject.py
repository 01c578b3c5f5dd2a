"""What `diagnose` looks at: a network as a row of stages that can be watched while they run.

Anything that can be put in this form can be diagnosed: the experiment's network, a converted one,
one from a checkpoint, and, as a control, a network without any sigma-delta.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

StageKind = Literal["conv", "convT", "pool", "dense"]
UNITS = 64  # lava keeps thresholds and weights in units of 1/64
LEVELS = 256  # an 8-bit weight on lava's grid


@dataclass(frozen=True, eq=False)
class Observed:
    """What one stage did to a batch; N C H W T tensors.

    ``preactivation``: what the activation function gets. ``activation``: what it gives, pooling
    included. ``messages``: what is sent on. ``weight``: as used, None where there is nothing to
    train; its gradient is there after the backward pass.
    """

    messages: Tensor
    preactivation: Tensor
    activation: Tensor
    weight: Tensor | None


class Stage(Protocol):
    """One layer."""

    @property
    def name(self) -> str:
        """As reports call it."""

    @property
    def kind(self) -> StageKind:
        """What it does."""

    @property
    def asked_threshold(self) -> float:
        """What was asked for when it was built."""

    def run(self, messages: Tensor) -> Tensor:
        """Messages out for messages in."""

    def observe(self, messages: Tensor, mean: Tensor | None = None) -> Observed:
        """The same, with all that happens on the way.

        ``mean`` [C]: what a norm takes off instead of the mean of ``messages``' own batch.
        """

    @property
    def couples(self) -> bool:
        """Whether a norm takes off the batch's mean, so that sequences depend on one another."""

    def drive(self, messages: Tensor) -> Tensor:
        """What the neurons get, before a norm: linear in ``messages``."""

    def used_weight(self) -> Tensor | None:
        """The weight that the last call used, which has the gradient; None where none is."""

    def weight(self) -> Tensor | None:
        """The weight as it stands, before it is rounded; None where nothing is trained."""

    def levels(self) -> Tensor | None:
        """The weight on lava's grid, in units of 1/64; None where it is not rounded."""

    def threshold(self) -> tuple[float, float]:
        """The threshold in force, and the one that a chip would get (lava's vThMant / 64)."""

    def experiment_gradient(self) -> float:
        """The gradient's size as lava-dl's ``grad_norm`` tells it, which the experiment plotted."""


class Subject(Protocol):
    """A network to be diagnosed, with the loss it is trained on."""

    @property
    def name(self) -> str:
        """As reports call it."""

    @property
    def stages(self) -> Sequence[Stage]:
        """Its layers, in order."""

    @property
    def event_cost(self) -> float:
        """Weight of the penalty on events."""

    @property
    def sends_deltas(self) -> bool:
        """Whether layers send changes; else activations."""

    def encode(self, frames: Tensor) -> Tensor:
        """What enters the first stage, for frames [N, 1, H, W, T] of 0..1."""

    def readout(self, messages: Tensor) -> Tensor:
        """What is compared with heat maps [N, 13, H, W, T], of the last stage's messages."""

    def clipped_inputs(self, frames: Tensor) -> float:
        """Share of the non-zero pixels that the input's number format cuts off."""

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """What is trained."""

    def reset(self) -> None:
        """Forget what earlier batches left behind."""


class SlayerStage:
    """A block of lava-dl's slayer: anything with a sigma-delta ``neuron`` and maybe a ``synapse``.

    Nothing is computed twice: the block runs as it always does, and hooks listen.
    """

    def __init__(self, name: str, kind: StageKind, block: Any, asked_threshold: float) -> None:
        self.name, self.kind, self.block = name, kind, block
        self.asked_threshold = asked_threshold

    def run(self, messages: Tensor) -> Tensor:
        """Messages out for messages in."""
        return self.block(messages)  # type: ignore[no-any-return]

    def observe(self, messages: Tensor, mean: Tensor | None = None) -> Observed:
        """The same, with what its sigma, norm and delta units handed on."""
        neuron = self.block.neuron
        norm = getattr(neuron, "norm", None)
        dendrite = neuron.sigma if norm is None else norm
        heard: dict[str, Tensor] = {}

        def hear_preactivation(_: Any, __: Any, output: Tensor) -> None:
            heard["preactivation"] = self.by_time(output.detach())

        def hear_activation(_: Any, inputs: tuple[Tensor, ...]) -> None:
            heard["activation"] = self.by_time(inputs[0].detach())

        hooks = (
            dendrite.register_forward_hook(hear_preactivation),
            neuron.delta.register_forward_pre_hook(hear_activation),
        )
        try:
            with _given_mean(norm, mean):
                sent = self.run(messages)
        finally:
            for hook in hooks:
                hook.remove()
        weight = self.used_weight()
        if weight is not None and not weight.is_leaf:
            weight.retain_grad()
        bias = neuron.bias[None, ..., None].detach() if neuron.bias_is_set else 0.0
        return Observed(sent, heard["preactivation"] + bias, heard["activation"], weight)

    @property
    def couples(self) -> bool:
        """Whether the neuron has a norm."""
        return getattr(self.block.neuron, "norm", None) is not None

    def drive(self, messages: Tensor) -> Tensor:
        """The sum of weighted messages up to each time step."""
        dendrite: Tensor = self.block.synapse(messages).cumsum(dim=-1)
        weight = self.used_weight()
        if weight is not None and not weight.is_leaf:
            weight.retain_grad()
        return dendrite

    def by_time(self, values: Tensor) -> Tensor:
        """What is heard inside the neuron, as N C H W T."""
        return values

    def weight(self) -> Tensor | None:
        """The weight that the next call will use."""
        synapse = getattr(self.block, "synapse", None)
        if synapse is None or self.kind == "pool":
            return None
        if not synapse.weight_norm_enabled:
            return synapse.weight.detach()  # type: ignore[no-any-return]
        # Weight norm writes it out before each call only.
        return torch._weight_norm(synapse.weight_v, synapse.weight_g, 0).detach()

    def levels(self) -> Tensor | None:
        """The weight on the grid, in units of 1/64."""
        weight = self.weight()
        if weight is None or self.block.synapse.pre_hook_fx is None:
            return None
        return self.block.synapse.pre_hook_fx(weight, descale=True)  # type: ignore[no-any-return]

    def threshold(self) -> tuple[float, float]:
        """The threshold in force and the exported one."""
        in_force = float(self.block.neuron.threshold.detach().max())
        return in_force, int(in_force * UNITS) / UNITS

    def experiment_gradient(self) -> float:
        """lava-dl's own number: with weight norm, of the lengths only, over their number."""
        return 0.0 if self.weight() is None else float(self.block.synapse.grad_norm)

    def used_weight(self) -> Tensor | None:
        """The synapse's weight."""
        return None if self.weight() is None else self.block.synapse.weight


@contextmanager
def _given_mean(norm: Any, mean: Tensor | None) -> Iterator[None]:
    """lava-dl's MeanOnlyBatchNorm with this ``mean``; its own where that is None."""
    if norm is None or mean is None:
        yield
        return
    kept = norm.running_mean
    norm.update, norm.running_mean = False, mean
    try:
        yield
    finally:
        norm.update, norm.running_mean = True, kept
