"""One optimisation step on a batch of which only one sequence at a time fits in memory.

Its result is that of ``steps.optimise`` up to rounding. Forwards, every layer runs for one sequence
after another and its messages are kept packed. Backwards, every layer runs again for each sequence,
and gradients are summed. Two terms depend on the whole batch:

- the mean that lava-dl's MeanOnlyBatchNorm subtracts: ``batch_mean`` computes it first. Backwards
  it is a variable whose gradient is summed over sequences. As the mean is linear in the messages,
  one run with the sum of all sequences passes this gradient on.
- the penalty on events, a function of a layer's mean message size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.report import LayerActivity, Step
from ann2sdnn.sdnn.diagnosis.steps import (
    EVENT_RATE,
    baseline_errors,
    gradient_norm,
    step_and_compare,
)
from ann2sdnn.sdnn.diagnosis.subjects.batch import Batch, Packed, batch_mean
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Stage, Subject
from ann2sdnn.sdnn.diagnosis.watch import watch
from ann2sdnn.support.progress import Task


@dataclass(frozen=True, eq=False)
class _Ran:
    """A layer after its forward pass; ``mean``: what its norm subtracted."""

    stage: Stage
    arrived: Batch
    mean: Tensor | None
    sent: Batch
    activity: LayerActivity


def optimise_in_parts(
    subject: Subject,
    optimizer: torch.optim.Optimizer,
    batch: PoseSequence,
    mean_target: Tensor,
    index: int,
    *,
    task: Task,
) -> Step:
    """One step; arguments as in ``steps.optimise``. ``task`` shows the layer at work."""
    optimizer.zero_grad()
    ran = _forward(subject, batch.frames, task)
    encoded, cost = ran[0].arrived, subject.event_cost
    penalty = cost * sum(_excess(sent) ** 2 for sent in (encoded, *(layer.sent for layer in ran)))
    error, peak, gradients = _loss(subject, ran[-1].sent, batch.targets)
    norms = []
    for layer in reversed(ran):
        task.advance(0, note=f"back to {layer.stage.name}")
        _add_penalty(gradients, layer.sent, cost)
        gradients, norm = _backward_through(subject, layer, gradients)
        norms.append(norm)
    _add_penalty(gradients, encoded, cost)
    for frames, gradient in zip(torch.split(batch.frames, 1), gradients, strict=True):
        subject.reset()
        _backward(subject.encode(frames), gradient)
    return Step(
        index=index,
        loss=error + penalty,
        error=error,
        event_penalty=penalty,
        **baseline_errors(batch.targets, mean_target),
        input_events=encoded.events,
        output_peak=peak,
        layers=step_and_compare(subject, optimizer, [layer.activity for layer in ran], norms[::-1]),
    )


@torch.no_grad()
def _forward(subject: Subject, frames: Tensor, task: Task) -> list[_Ran]:
    subject.reset()
    arrived = Batch.of(subject.encode(one) for one in torch.split(frames, 1))
    ran = []
    for stage in subject.stages:
        task.advance(0, note=f"forward to {stage.name}")
        ran.append(_run(subject, stage, arrived))
        arrived = ran[-1].sent
    return ran


def _run(subject: Subject, stage: Stage, arrived: Batch) -> _Ran:
    mean, sent = batch_mean(stage, arrived), []

    def observed() -> Iterator[Observed]:
        for part in arrived:
            subject.reset()
            seen = stage.observe(part.unpacked(), mean)
            sent.append(Packed.of(seen.messages))
            yield seen

    activity = watch(stage, observed())
    return _Ran(stage, arrived, mean, Batch(sent), activity)


def _loss(subject: Subject, last: Batch, targets: Tensor) -> tuple[float, float, list[Tensor]]:
    """The error, the output's peak, and the gradients of the error by the last messages."""
    total, peaks, gradients = 0.0, [], []
    for part, target in zip(last, torch.split(targets, 1), strict=True):
        messages = part.unpacked().requires_grad_()
        compared = subject.readout(messages)
        squares = (compared - target).square()
        total += float(squares.detach().sum(dtype=torch.float64))
        peaks.append(float(compared.detach().max()))
        (gradient,) = torch.autograd.grad(squares.sum() / targets.numel(), messages)
        gradients.append(gradient)
    return total / targets.numel(), max(peaks), gradients


def _backward_through(
    subject: Subject, layer: _Ran, gradients: list[Tensor]
) -> tuple[list[Tensor], float | None]:
    """Gradients by the messages that arrived, and the norm of the weight's gradient.

    Empties ``gradients``, those by the messages sent, so that few are in memory at once.
    """
    mean = None if layer.mean is None else layer.mean.clone().requires_grad_()
    arriving, weights = [], []
    for part in layer.arrived:
        subject.reset()
        messages = part.unpacked().requires_grad_()
        seen = layer.stage.observe(messages, mean)
        _backward(seen.messages, gradients.pop(0))
        arriving.append(_gradient_of(messages))
        weights.append(seen.weight)
    if mean is not None and mean.grad is not None:
        shared, weight = _backward_through_mean(layer, mean.grad)
        weights.append(weight)
        for gradient in arriving:
            gradient.add_(shared)
    return arriving, gradient_norm(weights)


def _backward_through_mean(layer: _Ran, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
    """What the gradient [C] by the mean adds to that of every sequence, and the weight used."""
    first, *others = layer.arrived
    together = first.unpacked()
    for part in others:
        together += part.unpacked()
    drive, weight = layer.stage.drive(together.requires_grad_())
    n_values = drive.numel() // drive.shape[1] * len(layer.arrived)
    _backward(drive, (gradient / n_values)[:, None, None, None].expand_as(drive))
    return _gradient_of(together), weight


def _add_penalty(gradients: Sequence[Tensor], sent: Batch, cost: float) -> None:
    """Add the gradient of the penalty on the messages ``sent``."""
    factor = 2 * cost * _excess(sent) / sent.n_messages
    if factor == 0:
        return
    for gradient, part in zip(gradients, sent, strict=True):
        gradient.add_(part.unpacked().sign_(), alpha=factor)


def _excess(sent: Batch) -> float:
    return max(0.0, sent.mean_size - EVENT_RATE)


def _backward(values: Tensor, gradient: Tensor) -> None:
    if values.requires_grad:
        torch.autograd.backward(values, gradient)


def _gradient_of(values: Tensor) -> Tensor:
    return torch.zeros_like(values) if values.grad is None else values.grad
