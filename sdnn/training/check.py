"""How good the spec of a network that learns is: the engine on whole pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.recordings.runs import FrameRun
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec


@dataclass(frozen=True, eq=False)
class Check:
    """``mpjpe_px`` over visible joints, None where there are none. Messages [L + 1] and operations
    a frame without each run's first, in which everything is sent. ``overflows``: states and
    messages that left their bits. ``pixels``: the joints found, [n, 13, 2] a run.
    """

    mpjpe_px: float | None
    events_per_frame: NDArray[np.float64]
    synops_per_frame: float
    overflows: int
    pixels: tuple[NDArray[np.int64], ...]


def check(spec: Spec, runs: Sequence[FrameRun]) -> Check:
    """Run the engine on ``runs``."""
    engine = Engine(network_from_spec(spec))
    events, synops, n_frames, overflows = np.zeros(len(spec.layers) + 1), 0.0, 0, 0
    found, distances = [], []
    for run in runs:
        engine.reset()
        in_run, labels = [], run.labels()
        for number, chunk in enumerate(run.chunks()):
            result = engine.run(torch.from_numpy(chunk))
            in_run.append(decode_heatmaps(result.outputs)[0])
            working = slice(1 if number == 0 and run.n_frames > 1 else 0, None)
            events += result.events[working].sum(dim=0).numpy()
            synops += float(result.synops[working].sum())
            n_frames += len(result.events[working])
            overflows += int(result.overflows.sum() + result.oversized.sum())
        pixels = np.concatenate(in_run)
        distance = np.linalg.norm((pixels - labels.pixels).astype(np.float64), axis=-1)
        distances.append(distance[labels.visible])
        found.append(pixels)
    seen = np.concatenate(distances)
    return Check(
        mpjpe_px=float(seen.mean()) if seen.size else None,
        events_per_frame=events / n_frames,
        synops_per_frame=synops / n_frames,
        overflows=overflows,
        pixels=tuple(found),
    )
