"""Experiments on a network before it learns: what its pools, weights, thresholds and output do."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.report import LayerStart, ReadoutProbe
from ann2sdnn.sdnn.diagnosis.subjects.subject import Stage, Subject

_DRIVES = tuple(4.0**power for power in range(-2, 9))
_ANSWERING = 0.1  # of the last layer's neurons


@torch.no_grad()
def probe_readout(subject: Subject, shape: Sequence[int], n_frames: int) -> ReadoutProbe | None:
    """Show the last layer a picture of ``shape`` (C, H, W) that stands still, and see what the loss
    is given.

    The picture is random and is made stronger until a tenth of the layer's neurons answers, so that
    a dead network can be asked as well. None when the layers send no deltas, or when nothing makes
    the last answer.
    """
    if not subject.sends_deltas:
        return None
    # Of both signs, so that half of the neurons are driven up, whatever the weights.
    picture = torch.randn(1, *shape, 1, generator=torch.Generator().manual_seed(0))
    for drive in _DRIVES:
        # Deltas of a picture that stands still: all of it at first, then nothing.
        messages = torch.cat([picture * drive, torch.zeros(1, *shape, n_frames - 1)], dim=-1)
        subject.reset()
        sent = subject.stages[-1].run(messages)
        subject.reset()
        if float((sent[..., 0] != 0).float().mean()) >= _ANSWERING:
            compared = subject.readout(sent).abs()
            return ReadoutProbe(
                first=float(compared[..., 0].mean()),
                later=float(compared[..., 1:].mean()),
                frames=n_frames,
                sum_later=float(sent.cumsum(dim=-1)[..., 1:].abs().mean()),
            )
    return None


def layer_start(stage: Stage, in_shape: Sequence[int], out_shape: Sequence[int]) -> LayerStart:
    """What is known of a layer that was shown N C H W T messages of ``in_shape``."""
    weight, levels = stage.weight(), stage.levels()
    in_force, exported = stage.threshold()
    channels, height, width = out_shape[1:4]
    return LayerStart(
        name=stage.name,
        kind=stage.kind,
        neurons=channels * height * width,
        weights=0 if weight is None else weight.numel(),
        level_fractions={} if levels is None else level_fractions(levels),
        asked_threshold=stage.asked_threshold,
        threshold=in_force,
        exported_threshold=exported,
        pool_gain=_pool_gain(stage, in_shape) if stage.kind == "pool" else None,
    )


def level_fractions(levels: Tensor) -> dict[int, float]:
    """Share of the weights at each level that is used."""
    values, counts = torch.unique(levels.round().to(torch.int64), return_counts=True)
    return {
        int(v): int(n) / levels.numel()
        for v, n in zip(values.tolist(), counts.tolist(), strict=True)
    }


@torch.no_grad()
def _pool_gain(stage: Stage, in_shape: Sequence[int]) -> float:
    """The answer to a picture of ones, in the middle, at the first frame."""
    messages = torch.zeros(tuple(in_shape))
    messages[..., 0] = 1.0
    answer = stage.run(messages)
    return float(answer[0, 0, answer.shape[2] // 2, answer.shape[3] // 2, 0])
