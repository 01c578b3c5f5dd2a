"""Measures a network before it learns: its layers, and what its readout gives to the loss."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.outputs import joined_in_time, output_sizes
from ann2sdnn.sdnn.diagnosis.report import LayerStart, ReadoutProbe
from ann2sdnn.sdnn.diagnosis.subjects.subject import UNITS, Stage, Subject

_DRIVES = tuple(4.0**power for power in range(-2, 9))
_ANSWERING = 0.1  # of the last layer's neurons


@torch.no_grad()
def probe_readout(
    subject: Subject,
    shapes: Sequence[Sequence[int]],
    outputs: Sequence[torch.Size],
    n_frames: int,
) -> ReadoutProbe | None:
    """Show the last layer a constant picture and record the readout.

    The picture has one part of ``shapes`` (C, H, W) for each synapse of the layer, and is random.
    It is made stronger until a tenth of the layer's neurons send, so that a dead network can be
    probed, too. ``outputs``: shapes [N, O, H, W, T] of all outputs; those of other layers stay
    silent and are not looked at. None when layers send no deltas, or when they never send.
    """
    if not subject.sends_deltas:
        return None
    # Of both signs, so that half of the neurons are driven up, whatever the weights.
    generator = torch.Generator().manual_seed(0)
    picture = [torch.randn(1, *shape, 1, generator=generator) for shape in shapes]
    for drive in _DRIVES:
        # The deltas of a constant picture: all of it first, then nothing.
        messages = [F.pad(part * drive, (0, n_frames - 1)) for part in picture]
        subject.reset()
        sent = subject.stages[-1].observe(messages).messages
        subject.reset()
        if float((sent[..., 0] != 0).float().mean()) >= _ANSWERING:
            compared = _read(subject, sent, outputs).abs()
            return ReadoutProbe(
                first=float(compared[..., 0].mean()),
                later=float(compared[..., 1:].mean()),
                frames=n_frames,
                sum_later=float(sent.cumsum(dim=-1)[..., 1:].abs().mean()),
            )
    return None


def _read(subject: Subject, sent: Tensor, outputs: Sequence[torch.Size]) -> Tensor:
    """The readout of what the last layer ``sent``, one sequence, while other outputs are silent."""
    if len(outputs) == 1:
        return subject.readout(sent)
    own = subject.output_planes.index(len(subject.stages))
    parts = [torch.zeros(1, *shape[1:4], sent.shape[-1]) for shape in outputs]
    parts[own] = sent
    compared = subject.readout(joined_in_time(parts))
    return torch.split(compared, list(output_sizes(outputs)), dim=1)[own]


@torch.no_grad()
def layer_start(stage: Stage, arrived: Sequence[Tensor], sent: Tensor) -> LayerStart:
    """Describe a layer from the messages N C H W T that ``arrived`` at each synapse and that it
    ``sent``.
    """
    weight, levels, threshold = stage.weight(), stage.levels(), stage.threshold()
    return LayerStart(
        name=stage.name,
        kind=stage.kind,
        neurons=sent[0, ..., 0].numel(),
        weights=0 if weight is None else weight.numel(),
        level_fractions={} if levels is None else _shares(levels.round().to(torch.int64)),
        asked_threshold=stage.asked_threshold,
        threshold=threshold,
        # lava's vThMant counts units of 1/64.
        exported_threshold=int(threshold * UNITS) / UNITS,
        pool_gain=_pool_gain(stage, arrived[0]) if stage.kind == "pool" else None,
    )


def _shares(levels: Tensor) -> dict[int, float]:
    values, counts = torch.unique(levels, return_counts=True)
    return dict(zip(values.tolist(), (counts.double() / levels.numel()).tolist(), strict=True))


def _pool_gain(stage: Stage, like: Tensor) -> float:
    """The response to a picture of ones, at its centre, in the first frame."""
    ones = torch.zeros_like(like)
    ones[..., 0] = 1.0
    response = stage.observe([ones]).messages[0, 0, ..., 0]
    return float(response[response.shape[0] // 2, response.shape[1] // 2])
