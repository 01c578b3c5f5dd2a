"""The form in which a network is diagnosed: a ``Subject`` is a list of ``Stage``s to be watched.

Tensors have slayer's layout N C H W T.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

StageKind = Literal["conv", "convT", "pool", "dense"]
Settings = dict[str, float | int | str | bool | None]  # as reports record them
UNITS = 64  # lava stores thresholds and weights in units of 1/64
LEVELS = 256  # an 8-bit weight on lava's grid


@dataclass(frozen=True, eq=False)
class Observed:
    """What one stage did to a batch.

    ``preactivation``: input of the activation function. ``activation``: its output, after pooling.
    ``messages``: what the stage sends. ``weights``: the tensors that its synapses computed with,
    which hold gradients after the backward pass; none where nothing is trained.
    """

    messages: Tensor
    preactivation: Tensor
    activation: Tensor
    weights: tuple[Tensor, ...]


class Stage(Protocol):
    """One layer.

    ``asked_threshold``: the threshold in the settings. ``has_norm``: whether a norm subtracts the
    mean over the batch, which makes sequences depend on each other. Such a layer has one synapse.
    """

    name: str
    kind: StageKind
    asked_threshold: float
    has_norm: bool

    def observe(self, arriving: Sequence[Tensor], mean: Tensor | None = None) -> Observed:
        """Run the layer on the messages ``arriving`` at each of its synapses.

        ``mean`` [C] replaces the mean over the batch that a norm subtracts.
        """

    def drive(self, messages: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The weighted sum before the norm, linear in ``messages``, and the weight it used."""

    def weight(self) -> Tensor | None:
        """The current weights before rounding, detached; None where nothing is trained."""

    def levels(self) -> Tensor | None:
        """The weights on lava's grid, in units of 1/64; None where they are not rounded."""

    def threshold(self) -> float:
        """The threshold in force."""

    def experiment_gradient(self) -> float:
        """lava-dl's ``grad_norm``, which the experiment plotted."""

    def scale_weight(self, factor: float) -> None:
        """Multiply the weights before training."""


class Subject(Protocol):
    """A network and the loss it is trained on.

    ``event_cost``: weight of the penalty on events. ``sends_deltas``: whether layers send changes;
    otherwise they send activations. The last stage is an output, unless ``output_planes`` says more
    the only one.
    """

    name: str
    event_cost: float
    sends_deltas: bool
    stages: Sequence[Stage]

    @property
    def reads(self) -> Sequence[Sequence[int]]:
        """For each stage the planes that it reads, 0 the input and i + 1 what stage i sends."""
        return [(index,) for index in range(len(self.stages))]

    @property
    def output_planes(self) -> tuple[int, ...]:
        """The planes of the outputs, numbered as in ``reads``; here what the last stage sends."""
        return (len(self.stages),)

    def encode(self, frames: Tensor) -> Tensor:
        """The input, for frames [N, 1, H, W, T] of 0..1."""

    def readout(self, messages: Tensor) -> Tensor:
        """What the loss compares with targets [N, J, H, W, T], from the output's messages; those of
        several outputs are joined (``joined_in_time``).
        """

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """The trained parameters."""

    def clipped_inputs(self, frames: Tensor) -> float:
        """Share of the non-zero pixels that exceed the number format of the input."""
        return 0.0

    def reset(self) -> None:
        """Forget the state that the previous batch left."""
        return


class SlayerStage(Stage):
    """A block of lava-dl's slayer with a sigma-delta ``neuron`` and perhaps a ``synapse``.

    The block runs as usual; hooks record what its units pass on.
    """

    def __init__(self, name: str, kind: StageKind, block: Any, asked_threshold: float) -> None:
        self.name, self.kind, self.block = name, kind, block
        self.asked_threshold = asked_threshold
        self._norm = getattr(block.neuron, "norm", None)
        self.has_norm = self._norm is not None

    def run(self, arriving: Sequence[Tensor]) -> Tensor:
        """The messages that the block sends."""
        return self.block(*arriving)  # type: ignore[no-any-return]

    def observe(self, arriving: Sequence[Tensor], mean: Tensor | None = None) -> Observed:
        """Run the block and record its pre-activation and activation."""
        neuron = self.block.neuron
        dendrite = neuron.sigma if self._norm is None else self._norm
        before: list[Tensor] = []
        after: list[Tensor] = []
        with (
            dendrite.register_forward_hook(lambda _, __, output: before.append(output)),
            neuron.delta.register_forward_pre_hook(lambda _, inputs: after.append(inputs[0])),
            _fixed_mean(self._norm, mean),
        ):
            sent = self.run(arriving)
        preactivation, activation = (self.by_time(x[-1].detach()) for x in (before, after))
        if neuron.bias_is_set:
            preactivation = preactivation + neuron.bias.detach().reshape(-1, 1, 1, 1)
        return Observed(sent, preactivation, activation, self.used_weights())

    def drive(self, messages: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The sum of weighted messages up to each time step."""
        return self.block.synapse(messages).cumsum(dim=-1), self.used_weights()

    def by_time(self, values: Tensor) -> Tensor:
        """Values inside the neuron, as N C H W T."""
        return values

    def weight(self) -> Tensor | None:
        """The weight that the next call will use."""
        synapse = getattr(self.block, "synapse", None)
        if synapse is None or self.kind == "pool":
            return None
        if not synapse.weight_norm_enabled:
            return synapse.weight.detach()  # type: ignore[no-any-return]
        # Weight norm updates synapse.weight only at the next call.
        return torch._weight_norm(synapse.weight_v, synapse.weight_g, 0).detach()

    def levels(self) -> Tensor | None:
        """The weight on the grid, in units of 1/64."""
        weight = self.weight()
        if weight is None or self.block.synapse.pre_hook_fx is None:
            return None
        return self.block.synapse.pre_hook_fx(weight, descale=True)  # type: ignore[no-any-return]

    def threshold(self) -> float:
        """The largest threshold of the neuron."""
        return float(self.block.neuron.threshold.detach().max())

    def experiment_gradient(self) -> float:
        """lava-dl's number: with weight norm, the gradient of the lengths over their count."""
        return 0.0 if self.weight() is None else float(self.block.synapse.grad_norm)

    @torch.no_grad()
    def scale_weight(self, factor: float) -> None:
        """Multiply the weight, which weight norm stores as a direction and a length."""
        synapse = self.block.synapse
        if synapse.weight_norm_enabled:
            synapse.weight_g.mul_(factor)
            # The module computes its weight before every call; this is before the first.
            synapse.weight = torch._weight_norm(synapse.weight_v, synapse.weight_g, 0)
        else:
            synapse.weight.mul_(factor)

    def used_weights(self) -> tuple[Tensor, ...]:
        """The tensors that the last call computed with."""
        return () if self.weight() is None else (keep_gradient(self.block.synapse.weight),)


def keep_gradient(weight: Tensor) -> Tensor:
    """``weight``, whose gradient the backward pass will keep."""
    if not weight.is_leaf:
        weight.retain_grad()
    return weight


@contextmanager
def _fixed_mean(norm: Any, mean: Tensor | None) -> Iterator[None]:
    """lava-dl's MeanOnlyBatchNorm with this ``mean``; with its own where that is None."""
    if norm is None or mean is None:
        yield
        return
    kept = norm.running_mean
    norm.update, norm.running_mean = False, mean
    try:
        yield
    finally:
        norm.update, norm.running_mean = True, kept
