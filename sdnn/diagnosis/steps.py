"""One optimisation step on a whole batch, with everything that is measured in it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.data.recordings.sequences import PoseSequence
from ann2sdnn.graph.planes import Planes
from ann2sdnn.sdnn.diagnosis.outputs import joined_in_time, loss_weights, output_sizes
from ann2sdnn.sdnn.diagnosis.report import LayerActivity, LayerStep, Step
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Subject
from ann2sdnn.sdnn.diagnosis.watch import watch

EVENT_RATE = 0.01  # the experiment's penalty starts above this mean size of a message


@dataclass(frozen=True, eq=False)
class Forward:
    """A forward pass: the network's input, every stage, and what the loss compares.

    ``sizes``: values per frame of each output.
    """

    encoded: Tensor
    observed: tuple[Observed, ...]
    compared: Tensor
    sizes: tuple[int, ...]
    event_penalty: Tensor


def forward(subject: Subject, frames: Tensor) -> Forward:
    """Run a batch [N, 1, H, W, T]."""
    subject.reset()
    encoded = subject.encode(frames)
    planes, observed = Planes(subject, encoded), []
    penalty = event_penalty(encoded)
    for stage in subject.stages:
        observed.append(stage.observe(planes.inputs()))
        messages = observed[-1].messages
        planes.put(messages)
        penalty = penalty + event_penalty(messages)
    compared = subject.readout(joined_in_time(planes.outputs))
    sizes = output_sizes([sent.shape for sent in planes.outputs])
    return Forward(encoded, tuple(observed), compared, sizes, subject.event_cost * penalty)


def event_penalty(messages: Tensor) -> Tensor:
    """relu(mean abs(message) - 0.01)^2, as in dhp19_sdnn."""
    return torch.relu(messages.abs().mean() - EVENT_RATE).square()


def optimise(
    subject: Subject,
    optimizer: torch.optim.Optimizer,
    batch: PoseSequence,
    mean_target: Tensor,
    index: int,
) -> Step:
    """One step; ``mean_target`` [J, H, W] is the mean target of all sequences.

    The error is the mean squared error, of several outputs the mean of their relative ones.
    """
    optimizer.zero_grad()
    passed = forward(subject, batch.frames)
    weights = loss_weights(batch.targets, passed.sizes)
    error = (weights * (passed.compared - batch.targets).square()).mean()
    loss = error + passed.event_penalty
    torch.autograd.backward(loss)
    watched = [
        watch(stage, [seen]) for stage, seen in zip(subject.stages, passed.observed, strict=True)
    ]
    gradients = [gradient_norm([seen.weights]) for seen in passed.observed]
    return Step(
        index=index,
        loss=float(loss),
        error=float(error),
        event_penalty=float(passed.event_penalty),
        **baseline_errors(batch.targets, mean_target, weights),
        input_events=int(passed.encoded.count_nonzero()),
        output_peak=float(passed.compared.max()),
        outputs=output_layers(subject),
        layers=step_and_compare(subject, optimizer, watched, gradients),
    )


def baseline_errors(targets: Tensor, mean_target: Tensor, weights: Tensor) -> dict[str, float]:
    """Errors of an output of zero and of the mean target, on targets [N, J, H, W, T].

    ``weights``: of the squared errors, as ``loss_weights`` gives them.
    """
    return {
        "silence_error": float((weights * targets.square()).mean()),
        "mean_target_error": float((weights * (mean_target[..., None] - targets).square()).mean()),
    }


def output_layers(subject: Subject) -> tuple[int, ...]:
    """Numbers of the layers whose messages are the outputs, as reports hold them."""
    return tuple(plane - 1 for plane in subject.output_planes)


def gradient_norm(calls: Iterable[tuple[Tensor, ...]]) -> float | None:
    """Norm of the gradient of a layer's weights, one per synapse; None without weights.

    ``calls``: the weights that each call of the layer computed with. A parameter is the same tensor
    in every call and sums its gradients. A weight that is computed from parameters is another
    tensor in every call.
    """
    by_synapse = [
        {id(weight): weight for weight in weights} for weights in zip(*calls, strict=True)
    ]
    if not by_synapse:
        return None
    norms = []
    for used in by_synapse:
        # Where no message arrived, torch leaves the gradient unset.
        gradients = [weight.grad for weight in used.values() if weight.grad is not None]
        if gradients:
            norms.append(float(sum(gradients[1:], gradients[0]).norm()))
    return math.hypot(*norms)


@torch.no_grad()
def step_and_compare(
    subject: Subject,
    optimizer: torch.optim.Optimizer,
    watched: Sequence[LayerActivity],
    gradients: Sequence[float | None],
) -> tuple[LayerStep, ...]:
    """Change the weights and measure by how much."""
    # The step changes weights in place.
    before = [None if (w := stage.weight()) is None else w.clone() for stage in subject.stages]
    optimizer.step()
    # lava-dl keeps its number of the gradient until the next backward pass.
    return tuple(
        LayerStep(
            **activity.model_dump(),
            gradient_norm=norm,
            experiment_gradient=None if norm is None else stage.experiment_gradient(),
            weight_change=_change(old, stage.weight()),
        )
        for stage, old, activity, norm in zip(
            subject.stages, before, watched, gradients, strict=True
        )
    )


def _change(old: Tensor | None, new: Tensor | None) -> float | None:
    if old is None or new is None:
        return None
    return float((new - old).norm() / old.norm().clamp(min=1e-30))
