"""Initial weights of the presets: He's variance, or unit variance measured on the first batch."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.batch import Batch, batch_mean
from ann2sdnn.sdnn.diagnosis.subjects.settings import BlockPlan
from ann2sdnn.sdnn.diagnosis.subjects.subject import Stage

_LAST_DEVIATION = 0.1  # heat maps are nearly empty
_VALUES_AT_ONCE = 2**25  # of one layer: 130 MB; a running layer holds about ten times as much


def scale_to_he(stages: Sequence[Stage], plans: Sequence[BlockPlan]) -> None:
    """Scale weights to the variance 2 / fan-in (He et al. 2015)."""
    for stage, plan in zip(stages, plans, strict=True):
        weight = stage.weight()
        if weight is not None:
            # One tap of a 2x2 transposed convolution with stride 2 reaches each output.
            fan_in = plan.in_channels * (9 if plan.kind == "conv" else 1)
            stage.scale_weight(math.sqrt(2 / fan_in) / float(weight.std()))


@torch.no_grad()
def scale_to_unit_variance(
    stages: Sequence[Stage],
    encode: Callable[[Tensor], Tensor],
    frames: Tensor,
    deviation: Callable[[Stage, Batch], float],
    *,
    channels: int,
    rounds: int,
) -> None:
    """Scale weights layer by layer to unit variance over the batch (Mishkin and Matas 2015).

    ``frames`` [N, 1, H, W, T]. ``deviation``: standard deviation of a layer for the messages that
    reach it. ``channels`` of the first layer's output. ``rounds`` per layer: 2 where weights are
    rounded to a grid after they were scaled. The last layer gets a standard deviation of 0.1.
    """
    at_once = max(1, min(len(frames), _VALUES_AT_ONCE // (channels * frames[0].numel())))
    signal = Batch.of(encode(part) for part in torch.split(frames, at_once))
    for stage in stages:
        wanted = _LAST_DEVIATION if stage is stages[-1] else 1.0
        for _ in range(0 if stage.weight() is None else rounds):
            measured = deviation(stage, signal)
            stage.scale_weight(wanted / measured if measured > 0 else 1.0)
        mean = batch_mean(stage, signal)
        signal = Batch.of(stage.observe([part.unpacked()], mean).messages for part in signal)
