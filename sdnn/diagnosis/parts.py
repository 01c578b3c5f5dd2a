"""One optimisation step on a batch of which only one sequence at a time fits in memory.

Its result is that of ``steps.optimise`` up to rounding. Forwards, every layer runs for one sequence
after another and its messages are kept packed. Backwards, every layer runs again for each sequence,
and gradients are summed; those by messages wait until all their readers have been run. Two terms
depend on the whole batch:

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
from ann2sdnn.graph.planes import Planes
from ann2sdnn.sdnn.diagnosis.outputs import joined_in_time, loss_weights, output_sizes
from ann2sdnn.sdnn.diagnosis.report import LayerActivity, Step
from ann2sdnn.sdnn.diagnosis.steps import (
    EVENT_RATE,
    baseline_errors,
    gradient_norm,
    output_layers,
    step_and_compare,
)
from ann2sdnn.sdnn.diagnosis.subjects.batch import Batch, Packed, batch_mean
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Stage, Subject
from ann2sdnn.sdnn.diagnosis.watch import watch
from ann2sdnn.support.progress import Task


@dataclass(frozen=True, eq=False)
class _Ran:
    """A layer after its forward pass.

    ``arrived``: at each synapse. ``mean``: what its norm subtracted.
    """

    stage: Stage
    arrived: tuple[Batch, ...]
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
    encoded, ran = _forward(subject, batch.frames, task)
    cost = subject.event_cost
    penalty = cost * sum(_excess(sent) ** 2 for sent in (encoded, *(layer.sent for layer in ran)))
    outputs = [ran[number].sent for number in output_layers(subject)]
    weights = loss_weights(batch.targets, output_sizes([sent[0].shape for sent in outputs]))
    error, peak, by_output = _loss(subject, outputs, batch.targets, weights)
    gradients: dict[int, list[Tensor]] = {}  # by the messages of each plane
    for plane, own in zip(subject.output_planes, by_output, strict=True):
        _add_gradients(gradients, plane, own)
    norms = []
    for plane in range(len(ran), 0, -1):
        layer, own = ran[plane - 1], gradients.pop(plane)
        task.advance(0, note=f"back to {layer.stage.name}")
        _add_penalty(own, layer.sent, cost)
        arriving, norm = _backward_through(subject, layer, own)
        norms.append(norm)
        for source, more in zip(subject.reads[plane - 1], arriving, strict=True):
            _add_gradients(gradients, source, more)
    _add_penalty(gradients[0], encoded, cost)
    for frames, gradient in zip(torch.split(batch.frames, 1), gradients[0], strict=True):
        subject.reset()
        _backward(subject.encode(frames), gradient)
    return Step(
        index=index,
        loss=error + penalty,
        error=error,
        event_penalty=penalty,
        **baseline_errors(batch.targets, mean_target, weights),
        input_events=encoded.events,
        output_peak=peak,
        outputs=output_layers(subject),
        layers=step_and_compare(subject, optimizer, [layer.activity for layer in ran], norms[::-1]),
    )


@torch.no_grad()
def _forward(subject: Subject, frames: Tensor, task: Task) -> tuple[Batch, list[_Ran]]:
    """The encoded frames, and all layers."""
    subject.reset()
    encoded = Batch.of(subject.encode(one) for one in torch.split(frames, 1))
    planes, ran = Planes(subject, encoded), []
    for stage in subject.stages:
        task.advance(0, note=f"forward to {stage.name}")
        ran.append(_run(subject, stage, tuple(planes.inputs())))
        planes.put(ran[-1].sent)
    return encoded, ran


def _run(subject: Subject, stage: Stage, arrived: tuple[Batch, ...]) -> _Ran:
    mean, sent = batch_mean(stage, arrived[0]), []

    def observed() -> Iterator[Observed]:
        for parts in zip(*arrived, strict=True):
            subject.reset()
            seen = stage.observe([part.unpacked() for part in parts], mean)
            sent.append(Packed.of(seen.messages))
            yield seen

    activity = watch(stage, observed())
    return _Ran(stage, arrived, mean, Batch(sent), activity)


def _loss(
    subject: Subject, outputs: Sequence[Batch], targets: Tensor, weights: Tensor
) -> tuple[float, float, list[list[Tensor]]]:
    """The error, the outputs' peak, and the gradients of the error by the messages of each output.

    ``weights``: of the squared errors.
    """
    total, peaks = 0.0, []
    gradients: list[list[Tensor]] = [[] for _ in outputs]
    for *parts, target in zip(*outputs, torch.split(targets, 1), strict=True):
        messages = [part.unpacked().requires_grad_() for part in parts]
        compared = subject.readout(joined_in_time(messages))
        squares = weights * (compared - target).square()
        total += float(squares.detach().sum(dtype=torch.float64))
        peaks.append(float(compared.detach().max()))
        found = torch.autograd.grad(squares.sum() / targets.numel(), messages)
        for own, gradient in zip(gradients, found, strict=True):
            own.append(gradient)
    return total / targets.numel(), max(peaks), gradients


def _backward_through(
    subject: Subject, layer: _Ran, gradients: list[Tensor]
) -> tuple[list[list[Tensor]], float | None]:
    """Gradients by the messages that arrived at each synapse, and the norm of the weights' own.

    Empties ``gradients``, those by the messages sent, so that few are in memory at once.
    """
    mean = None if layer.mean is None else layer.mean.clone().requires_grad_()
    arriving: list[list[Tensor]] = [[] for _ in layer.arrived]
    weights = []
    for parts in zip(*layer.arrived, strict=True):
        subject.reset()
        messages = [part.unpacked().requires_grad_() for part in parts]
        seen = layer.stage.observe(messages, mean)
        _backward(seen.messages, gradients.pop(0))
        for found, one in zip(arriving, messages, strict=True):
            found.append(_gradient_of(one))
        weights.append(seen.weights)
    if mean is not None and mean.grad is not None:
        shared, used = _backward_through_mean(layer, mean.grad)
        weights.append(used)
        for gradient in arriving[0]:
            gradient.add_(shared)
    return arriving, gradient_norm(weights)


def _backward_through_mean(layer: _Ran, gradient: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What the gradient [C] by the mean adds to that of every sequence, and the weight used."""
    first, *others = layer.arrived[0]
    together = first.unpacked()
    for part in others:
        together += part.unpacked()
    drive, weights = layer.stage.drive(together.requires_grad_())
    n_values = drive.numel() // drive.shape[1] * len(layer.arrived[0])
    _backward(drive, (gradient / n_values)[:, None, None, None].expand_as(drive))
    return _gradient_of(together), weights


def _add_gradients(gradients: dict[int, list[Tensor]], plane: int, more: list[Tensor]) -> None:
    """Add ``more`` to the gradients by the messages of ``plane``, one tensor per sequence."""
    if plane not in gradients:
        gradients[plane] = more
        return
    for gradient, one in zip(gradients[plane], more, strict=True):
        gradient.add_(one)


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
