"""Measures how far each network's outputs are from those of the float32 network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.pose.scale import WHOLE, PictureScale
from ann2sdnn.eval.bench.networks.registry import FLOAT32
from ann2sdnn.eval.bench.networks.subject import TimedNetwork
from ann2sdnn.eval.bench.timing import chunks_of
from ann2sdnn.eval.tasks.difference import OutputDifference
from ann2sdnn.graph.geometry import Shape
from ann2sdnn.support.progress import Reporter


class Distance(NamedTuple):
    """Mean displacement of joints, and relative L2 error of the output, over all frames: of several
    outputs, the root of the mean of the squares of their errors.

    ``displacement_px`` is None for an output that is no heat map in the size of the frames, and
    where the float32 network is confident of no joint; ``relative_error`` where its output is 0.
    """

    displacement_px: float | None
    relative_error: float | None


def measure_distances(
    networks: Mapping[str, TimedNetwork],
    frames: Tensor,
    shapes: Sequence[Shape],
    reporter: Reporter,
    scale: PictureScale = WHOLE,
) -> dict[str, Distance]:
    """Run every network on ``frames`` [T, C, H, W] and compare its outputs, which have ``shapes``,
    with FLOAT32's. ``scale``: of frames that were resized.

    All networks get a few frames in turn, so that only the outputs of these are in memory.
    """
    comparisons = {name: HeatmapComparison() for name in networks}
    errors = {name: OutputDifference(shapes) for name in networks}
    are_maps = False
    for network in networks.values():
        network.forget()
    with reporter.task("Displacement", len(frames), "frames") as task:
        for chunk in chunks_of(frames):
            expected = torch.stack(list(networks[FLOAT32].run(chunk)))
            are_maps = expected.shape[2:] == frames.shape[2:]
            for name, network in networks.items():
                outputs = expected if name == FLOAT32 else network.run(chunk)
                for reference, output in zip(expected, outputs, strict=True):
                    comparisons[name].add(reference[None], output[None], scale)
                    errors[name].add("", reference[None], output[None])
            task.advance(len(chunk))
    return {
        name: Distance(
            comparisons[name].result().displacement_px_mean if are_maps else None,
            errors[name].fields()["output_relative_error"],
        )
        for name in networks
    }
