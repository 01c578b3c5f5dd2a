"""A network trained in slayer as a table: one row per block of its file."""

import numpy as np

from ann2sdnn.graph.geometry import Pair, Shape
from ann2sdnn.sdnn.netx.importer import SlayerNetwork
from ann2sdnn.sdnn.netx.read import NetxLayer
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_STEP
from ann2sdnn.support.page.document import Sheet

STEPS = 127  # of a positive weight
VALUES = 256  # different weights there can be


def block_sheet(network: SlayerNetwork) -> Sheet:
    """Shapes, kernel, threshold, weights and biases of every block."""
    first, *others = network.blocks
    shapes = [block.shape for block in network.blocks]
    start = None if first.kind == "input" else network.spec.input_shape
    befores = [start, *shapes][: len(others) + 1]
    return Sheet(
        title="Blocks of the file",
        headings=("block", "shape", "kernel", "thresh.", "steps", "values", "zeros", "bias"),
        rows=tuple(
            _row(block, before) for block, before in zip(network.blocks, befores, strict=True)
        ),
        words=("shape", "kernel"),
        notes=(
            f"steps: the largest weight, of {STEPS}; values: different weights, of {VALUES}",
            f"thresholds in 1/{UNITS} and in units of the activation; biases in 1/{UNITS}",
        ),
    )


def _row(block: NetxLayer, before: Shape | None) -> tuple[str, ...]:
    weight, bias = block.weight, block.bias
    hides_threshold = block.sigma_output or block.threshold is None
    return (
        block.name,
        ("" if before is None else f"{_shape(before)} > ") + _shape(block.shape),
        kernel_text(block),
        "" if hides_threshold else f"{block.threshold} {(block.threshold or 0) / UNITS:.3g}",
        "" if weight is None else str(largest_step(block)),
        "" if weight is None else str(np.unique(weight).size),
        "" if weight is None else f"{np.mean(weight == 0):.0%}",
        "" if bias is None else f"{bias.min()}..{bias.max()}",
    )


def kernel_text(block: NetxLayer) -> str:
    """Kernel, stride and dilation, such as 3x3/2 d2; "" for a block without a window."""
    if block.kind not in ("conv", "convT", "pool", "unpool") or block.weight is None:
        return ""
    text = "x".join(map(str, block.weight.shape[2:])) + f"/{_pair(block.stride)}"
    return text + (f" d{_pair(block.dilation)}" if max(block.dilation) > 1 else "")


def largest_step(block: NetxLayer) -> int:
    """The largest magnitude of a weight, in steps of 2/64."""
    return 0 if block.weight is None else int(np.abs(block.weight).max()) // WEIGHT_STEP


def _pair(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _shape(shape: Shape) -> str:
    return str(shape[0]) if shape[1:] == (1, 1) else "x".join(map(str, shape))
