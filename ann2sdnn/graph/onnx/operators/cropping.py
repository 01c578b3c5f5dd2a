"""Reads the ONNX operator Slice: rows, columns and channels that a network leaves out."""

from dataclasses import replace

import numpy as np

from ann2sdnn.graph.arrangement import C, Data, H, W
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.graph.onnx.elements import Element, Linear
from ann2sdnn.graph.onnx.operators.node import Node, Parsed
from ann2sdnn.graph.onnx.operators.registry import Support, operator


@operator(
    "Slice",
    "axes ends starts",
    belongs=True,
    support=Support(
        "a convolution with one weight of 1 per channel",
        "of rows, columns and channels, forwards",
    ),
)
def _slice(node: Node, data: Data) -> Parsed:
    """Slice; starts, ends and axes are attributes before opset 10."""
    taken = {C: range(data.shape[0]), H: range(data.shape[1]), W: range(data.shape[2])}
    for axis, start, end, step in _cuts(node, len(data.dims)):
        size = data.dims[axis]
        kept = range(*slice(start, end, step).indices(size))
        one = data.map_axis(axis)
        if kept == range(size):
            continue
        if one not in taken or step < 1 or not kept:
            raise node.error(
                f"it takes {start} to {end} in steps of {step} of axis {axis} of"
                f" {list(data.dims)}; only rows, columns and channels can be cut, forwards, and one"
                " at least must stay"
            )
        taken[one] = kept
    elements: list[Element] = []
    if len(taken[C]) < data.shape[0]:
        weight = np.eye(data.shape[0], dtype=np.float32)[list(taken[C])][:, :, None, None]
        elements.append(Linear(node.name, Convolution(), weight, None))
        data = replace(data, shape=(len(taken[C]), *data.shape[1:]))
    shape = (len(taken[C]), len(taken[H]), len(taken[W]))
    if shape != data.shape:
        elements.append(_cropped(node.name, data, (taken[H], taken[W])))
        data = data.grown(shape)
    return elements or None, data


def _cropped(name: str, data: Data, kept: tuple[range, range]) -> Linear:
    """A convolution whose first window has its 1 at the first pixel that stays."""
    channels = data.shape[0]
    kernel: Pair = (
        data.shape[1] - (len(kept[0]) - 1) * kept[0].step,
        data.shape[2] - (len(kept[1]) - 1) * kept[1].step,
    )
    weight = np.zeros((channels, 1, *kernel), np.float32)
    weight[:, 0, kept[0].start, kept[1].start] = 1
    stride = (kept[0].step, kept[1].step)
    return Linear(name, Convolution(stride=stride, groups=channels), weight, None)


def _cuts(node: Node, rank: int) -> list[tuple[int, int, int, int]]:
    """Axis, start, end and step of each cut."""
    if "starts" in node.attributes:
        starts, ends = (
            [int(v) for v in node.attributes.get(key, ())] for key in ("starts", "ends")
        )
    else:
        starts, ends = node.integers(1, "starts"), node.integers(2, "ends")
    named = len(node.constants) > 3 and node.constants[3] is not None
    default = list(range(len(starts)))
    axes = node.integers(3, "axes") if named else list(node.attributes.get("axes", default))
    stepped = len(node.constants) > 4 and node.constants[4] is not None
    steps = node.integers(4, "steps") if stepped else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.error("its starts, ends, axes and steps differ in number; export it again")
    if any(not -rank <= axis < rank for axis in axes) or 0 in steps:
        raise node.error(f"axes = {axes} in steps of {steps} for {rank} axes; export it again")
    return [
        (axis % rank, start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    ]
