"""Optimisation steps with everything written down that happens in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.report import LayerStep, Step
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Stage, Subject
from ann2sdnn.sdnn.diagnosis.watch import Watched

EVENT_RATE = 0.01  # the experiment's penalty starts above this mean size of a message


@dataclass(frozen=True, eq=False)
class Forward:
    """A batch on its way through the network: what each stage did, and what came out."""

    encoded: Tensor
    observed: tuple[Observed, ...]
    compared: Tensor
    event_penalty: Tensor


def forward(subject: Subject, frames: Tensor) -> Forward:
    """Run a batch [N, 1, H, W, T], watching every stage."""
    subject.reset()
    encoded = messages = subject.encode(frames)
    penalty = event_penalty(messages)
    observed = []
    for stage in subject.stages:
        observed.append(stage.observe(messages))
        messages = observed[-1].messages
        penalty = penalty + event_penalty(messages)
    return Forward(
        encoded, tuple(observed), subject.readout(messages), subject.event_cost * penalty
    )


def event_penalty(messages: Tensor) -> Tensor:
    """The experiment's: the square of what the mean size of a message exceeds 0.01 by."""
    return torch.relu(messages.abs().mean() - EVENT_RATE).square()


def optimise(
    subject: Subject,
    optimizer: torch.optim.Optimizer,
    batch: PoseSequence,
    mean_target: Tensor,
    index: int,
) -> Step:
    """One step on a batch; ``mean_target`` [13, H, W] is the answer to beat."""
    optimizer.zero_grad()
    seen = forward(subject, batch.frames)
    error = torch.nn.functional.mse_loss(seen.compared, batch.targets)
    loss = error + seen.event_penalty
    torch.autograd.backward(loss)
    watched = []
    for one in seen.observed:
        layer = Watched()
        layer.see(one)
        watched.append(layer)
    gradients = [gradient_norm(one.weight) for one in seen.observed]
    layers = step_and_compare(subject, optimizer, watched, gradients)
    return Step(
        index=index,
        loss=float(loss),
        error=float(error),
        event_penalty=float(seen.event_penalty),
        silence_error=float(batch.targets.square().mean()),
        mean_target_error=float((mean_target[..., None] - batch.targets).square().mean()),
        input_events=int(seen.encoded.count_nonzero()),
        output_peak=float(seen.compared.max()),
        layers=layers,
    )


def gradient_norm(weight: Tensor | None) -> float | None:
    """Size of the gradient that ``weight`` got; None where there is no weight."""
    if weight is None:
        return None
    # Where nothing was sent no gradient arrives, and torch leaves it unset.
    return 0.0 if weight.grad is None else float(weight.grad.norm())


def step_and_compare(
    subject: Subject,
    optimizer: torch.optim.Optimizer,
    watched: Sequence[Watched],
    gradients: Sequence[float | None],
) -> tuple[LayerStep, ...]:
    """Let ``optimizer`` change the weights; what was ``watched`` in each layer before, and how much
    its weight has changed.
    """
    before = [_before(stage) for stage in subject.stages]
    # lava-dl's own number of the gradient, too, is there until the next step.
    optimizer.step()
    return tuple(
        _layer_step(stage, one, gradient, old)
        for stage, one, gradient, old in zip(
            subject.stages, watched, gradients, before, strict=True
        )
    )


class _Before(NamedTuple):
    """What a layer had when the batch went through it."""

    weight: Tensor | None
    threshold: float


def _before(stage: Stage) -> _Before:
    weight = stage.weight()
    # The step changes weights in place.
    return _Before(None if weight is None else weight.clone(), stage.threshold()[0])


@torch.no_grad()
def _layer_step(
    stage: Stage, watched: Watched, gradient: float | None, before: _Before
) -> LayerStep:
    positive = watched.positive()
    after = stage.weight()
    change = (
        None
        if before.weight is None or after is None
        else float((after - before.weight).norm() / before.weight.norm().clamp(min=1e-30))
    )
    return LayerStep(
        events=watched.events,
        density=watched.events / watched.n_messages,
        threshold=before.threshold,
        dead_channels=watched.dead_channels,
        preactivation_rms=watched.preactivation_rms,
        activation_max=watched.activation_max,
        activation_p99=float(positive.quantile(0.99)) if len(positive) else None,
        below_threshold=float((positive < before.threshold).float().mean())
        if len(positive)
        else None,
        gradient_norm=gradient,
        experiment_gradient=None if gradient is None else stage.experiment_gradient(),
        weight_change=change,
    )
