"""Optimisation steps with everything written down that happens in them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ann2sdnn.data.pose_sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis_report import LayerStep, Step
from ann2sdnn.sdnn.diagnosis_subject import Observed, Stage, Subject

EVENT_RATE = 0.01  # the experiment's penalty starts above this mean size of a message
_SAMPLE = 10_000


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
    gradients = [_gradient(one) for one in seen.observed]
    before = [_before(stage) for stage in subject.stages]
    optimizer.step()
    layers = tuple(
        _layer_step(stage, one, gradient, old)
        for stage, one, gradient, old in zip(
            subject.stages, seen.observed, gradients, before, strict=True
        )
    )
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


class _Before(NamedTuple):
    """What a layer had when the batch went through it."""

    weight: Tensor | None
    threshold: float


def _before(stage: Stage) -> _Before:
    weight = stage.weight()
    # The step changes weights in place.
    return _Before(None if weight is None else weight.clone(), stage.threshold()[0])


def _gradient(observed: Observed) -> float | None:
    if observed.weight is None:
        return None
    # Where nothing was sent no gradient arrives, and torch leaves it unset.
    return 0.0 if observed.weight.grad is None else float(observed.weight.grad.norm())


@torch.no_grad()
def _layer_step(
    stage: Stage, observed: Observed, gradient: float | None, before: _Before
) -> LayerStep:
    messages, activation = observed.messages, observed.activation
    sent = messages.count_nonzero(dim=_all_but(messages, 1))
    positive = _sample(activation[activation > 0])
    after = stage.weight()
    change = (
        None
        if before.weight is None or after is None
        else float((after - before.weight).norm() / before.weight.norm().clamp(min=1e-30))
    )
    return LayerStep(
        events=int(sent.sum()),
        density=float(sent.sum()) / messages.numel(),
        threshold=before.threshold,
        dead_channels=float((sent == 0).float().mean()),
        preactivation_rms=float(observed.preactivation.square().mean().sqrt()),
        activation_max=float(activation.max()),
        activation_p99=float(positive.quantile(0.99)) if len(positive) else None,
        below_threshold=float((positive < before.threshold).float().mean())
        if len(positive)
        else None,
        gradient_norm=gradient,
        experiment_gradient=None if gradient is None else stage.experiment_gradient(),
        weight_change=change,
    )


def _all_but(tensor: Tensor, axis: int) -> tuple[int, ...]:
    return tuple(one for one in range(tensor.dim()) if one != axis)


def _sample(values: Tensor) -> Tensor:
    """Evenly spaced ones of many: a quantile of millions is slow."""
    return values[:: max(1, len(values) // _SAMPLE)]
