"""An optimisation step on a batch of which only one sequence at a time fits in memory.

The result is that of the whole batch. Layers are run one after another, each for one sequence after
another, and what they sent is kept packed. Backwards, each layer is run again for each sequence,
and gradients add up. Two things are taken over the whole batch and handled as such:

- the mean that lava-dl's MeanOnlyBatchNorm takes off. Forwards, all sequences are asked for theirs
  first. Backwards, the mean is a variable of its own whose gradient adds up over sequences; as it
  is linear in what arrived, one run of the sum of all sequences then gives what it hands on.
- the penalty on events, a function of the mean size of all messages of a layer.

Gradients of float32 are added up in another order, so the last digits may differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.sdnn.diagnosis.report import Step
from ann2sdnn.sdnn.diagnosis.steps import EVENT_RATE, gradient_norm, step_and_compare
from ann2sdnn.sdnn.diagnosis.subjects.batch import Sent, batch_mean, run_layer
from ann2sdnn.sdnn.diagnosis.subjects.packed import Packed
from ann2sdnn.sdnn.diagnosis.subjects.subject import Stage, Subject
from ann2sdnn.sdnn.diagnosis.watch import Watched
from ann2sdnn.support.progress import Task


@dataclass(frozen=True, eq=False)
class _Ran:
    """A layer that was run: what ``arrived``, the ``mean`` its norm took off, what was seen."""

    stage: Stage
    arrived: Sent
    mean: Tensor | None
    watched: Watched


def optimise_in_parts(
    subject: Subject,
    optimizer: torch.optim.Optimizer,
    batch: PoseSequence,
    mean_target: Tensor,
    index: int,
    *,
    task: Task,
) -> Step:
    """One step on ``batch``, one sequence at a time; ``mean_target`` [13, H, W]: answer to beat.

    ``task`` is told which layer it is at.
    """
    optimizer.zero_grad()
    encoded, ran, last = _forward(subject, batch.frames, task)
    outputs = [one.arrived for one in ran[1:]] + [last]
    cost = subject.event_cost
    penalty = cost * sum(_above_rate(one) ** 2 for one in (encoded, *outputs))
    error, peak, gradients = _loss(subject, last, batch.targets)
    sizes: list[float | None] = []
    for one, sent in zip(reversed(ran), reversed(outputs), strict=True):
        task.advance(0, note=f"back to {one.stage.name}")
        _add_penalty(gradients, sent, cost)
        gradients, size = _back(subject, one, gradients)
        sizes.insert(0, size)
    _add_penalty(gradients, encoded, cost)
    for frames, gradient in zip(torch.split(batch.frames, 1), gradients, strict=True):
        subject.reset()
        _backward(subject.encode(frames), gradient)
    layers = step_and_compare(subject, optimizer, [one.watched for one in ran], sizes)
    return Step(
        index=index,
        loss=error + penalty,
        error=error,
        event_penalty=penalty,
        silence_error=_mean_square(batch.targets),
        mean_target_error=_mean_square(batch.targets, mean_target[..., None]),
        input_events=encoded.events,
        output_peak=peak,
        layers=layers,
    )


@torch.no_grad()
def _forward(subject: Subject, frames: Tensor, task: Task) -> tuple[Sent, list[_Ran], Sent]:
    """What the input sent, every layer that was run, and what the last one sent."""
    subject.reset()
    encoded = sent = Sent(tuple(Packed.of(subject.encode(one)) for one in torch.split(frames, 1)))
    ran = []
    for stage in subject.stages:
        task.advance(0, note=f"forward to {stage.name}")
        arrived, watched = sent, Watched()
        mean = batch_mean(stage, arrived)
        sent = run_layer(stage, arrived, mean, reset=subject.reset, watch=watched.see)
        watched.finish()
        ran.append(_Ran(stage, arrived, mean, watched))
    return encoded, ran, sent


def _loss(subject: Subject, last: Sent, targets: Tensor) -> tuple[float, float, list[Tensor]]:
    """The error, the output's peak, and the gradient of the error by what was sent last."""
    total, peaks, gradients = 0.0, [], []
    for one, target in zip(last.parts, torch.split(targets, 1), strict=True):
        messages = one.unpacked().requires_grad_()
        compared = subject.readout(messages)
        squares = (compared - target).square()
        total += float(squares.detach().sum(dtype=torch.float64))
        peaks.append(float(compared.detach().max()))
        (gradient,) = torch.autograd.grad(squares.sum() / targets.numel(), messages)
        gradients.append(gradient)
    return total / targets.numel(), max(peaks), gradients


def _back(
    subject: Subject, ran: _Ran, gradients: list[Tensor]
) -> tuple[list[Tensor], float | None]:
    """Gradients by what arrived at a layer for those by what it sent, and the size of its weight's.

    ``gradients`` are taken out of their list, so that they need not all be held twice.
    """
    mean = None if ran.mean is None else ran.mean.clone().requires_grad_()
    weights = _WeightGradient()
    arriving = []
    for one in ran.arrived.parts:
        subject.reset()
        messages = one.unpacked().requires_grad_()
        seen = ran.stage.observe(messages, mean)
        _backward(seen.messages, gradients.pop(0))
        weights.add(seen.weight)
        arriving.append(_gradient_of(messages))
    if mean is not None and mean.grad is not None:
        shared = _through_mean(ran, mean.grad, weights)
        for by_sequence in arriving:
            by_sequence.add_(shared)
    return arriving, weights.norm()


def _through_mean(ran: _Ran, gradient: Tensor, weights: "_WeightGradient") -> Tensor:
    """What the mean's ``gradient`` [C] hands on to each sequence alike [1, C, H, W, T]."""
    first, *others = ran.arrived.parts
    together = first.unpacked()
    for one in others:
        together += one.unpacked()
    dendrite = ran.stage.drive(together.requires_grad_())
    n_values = dendrite.numel() // dendrite.shape[1] * ran.arrived.n_sequences
    _backward(dendrite, (gradient / n_values)[:, None, None, None].expand_as(dendrite))
    weights.add(ran.stage.used_weight())
    return _gradient_of(together)


class _WeightGradient:
    """The gradient of the weight as used, of all calls.

    A weight that is computed from others is another tensor in each call, and its gradients are
    added up here; a parameter adds them up itself.
    """

    def __init__(self) -> None:
        self._parameter: Tensor | None = None
        self._total: Tensor | None = None

    def add(self, weight: Tensor | None) -> None:
        if weight is None:
            return
        if weight.is_leaf:
            self._parameter = weight
            return
        own = torch.zeros_like(weight) if weight.grad is None else weight.grad
        self._total = own if self._total is None else self._total + own

    def norm(self) -> float | None:
        """Its size; None where there is no weight."""
        if self._total is not None:
            return float(self._total.norm())
        return gradient_norm(self._parameter)


def _add_penalty(gradients: Sequence[Tensor], sent: Sent, cost: float) -> None:
    """Add to ``gradients`` that of the penalty on the messages ``sent``."""
    factor = 2 * cost * _above_rate(sent) / sent.n_messages
    if factor == 0:
        return
    for gradient, one in zip(gradients, sent.parts, strict=True):
        gradient.add_(one.unpacked().sign_(), alpha=factor)


def _above_rate(sent: Sent) -> float:
    """What the mean size of a message exceeds the rate by that is free."""
    return max(0.0, sent.mean_size - EVENT_RATE)


def _backward(values: Tensor, gradient: Tensor) -> None:
    if values.requires_grad:
        torch.autograd.backward(values, gradient)


def _gradient_of(values: Tensor) -> Tensor:
    return torch.zeros_like(values) if values.grad is None else values.grad


def _mean_square(values: Tensor, other: Tensor | None = None) -> float:
    """Mean square of ``values`` [N, ...] (minus ``other``), one of N at a time."""
    total = 0.0
    for one in values:
        difference = one if other is None else other - one
        total += float(difference.square().sum(dtype=torch.float64))
    return total / values.numel()
