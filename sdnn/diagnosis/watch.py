"""Measures what one layer did with a batch."""

import math
from collections.abc import Iterable

import torch

from ann2sdnn.sdnn.diagnosis.report import LayerActivity
from ann2sdnn.sdnn.diagnosis.subjects.subject import Observed, Stage

_SAMPLE = 10_000  # activations; a quantile of millions is slow


@torch.no_grad()
def watch(stage: Stage, parts: Iterable[Observed]) -> LayerActivity:
    """Measure ``stage`` over a batch, of which it was shown one part after another."""
    sent, energy, n_messages, n_preactivations = torch.zeros(1, dtype=torch.int64), 0.0, 0, 0
    maximum, positive = -math.inf, []
    for seen in parts:
        axes = tuple(axis for axis in range(seen.messages.dim()) if axis != 1)
        sent = sent + seen.messages.count_nonzero(dim=axes)  # [C]
        n_messages += seen.messages.numel()
        squares = seen.preactivation.square()
        energy += float(squares.mean(dtype=torch.float64)) * squares.numel()
        n_preactivations += squares.numel()
        maximum = max(maximum, float(seen.activation.max()))
        positive.append(seen.activation[seen.activation > 0])
    active = torch.cat(positive)
    sample = active[:: max(1, len(active) // _SAMPLE)]
    threshold = stage.threshold()
    return LayerActivity(
        events=int(sent.sum()),
        density=int(sent.sum()) / n_messages,
        threshold=threshold,
        dead_channels=float((sent == 0).float().mean()),
        preactivation_rms=math.sqrt(energy / n_preactivations),
        activation_max=maximum,
        activation_p99=float(sample.quantile(0.99)) if len(sample) else None,
        below_threshold=float((sample < threshold).float().mean()) if len(sample) else None,
    )
