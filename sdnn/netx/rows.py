"""What a network trained in slayer is made of: a row a block, for ``netx_tables`` to show."""

from dataclasses import dataclass

import numpy as np

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.netx.importer import SlayerNetwork
from ann2sdnn.sdnn.netx.read import NetxLayer
from ann2sdnn.sdnn.spec.spec import WEIGHT_STEP

STEPS = 127  # of a positive weight
VALUES = 256  # different weights there can be
_WITH_KERNEL = ("conv", "convT", "pool", "unpool")


@dataclass(frozen=True)
class BlockRow:
    """One block. ``threshold`` in 1/64; ``largest_step``: the largest weight in steps of 2/64;
    ``values``: different weights; ``zeros``: fraction of weights that are 0; ``bias``: smallest and
    largest, in 1/64. None for what the block has not.
    """

    name: str
    input_shape: Shape | None
    shape: Shape
    kernel: str
    threshold: int | None
    largest_step: int | None
    values: int | None
    zeros: float | None
    bias: tuple[int, int] | None


def block_rows(network: SlayerNetwork) -> list[BlockRow]:
    """A row for every block of the file."""
    shapes: list[Shape | None] = [network.spec.input_shape]
    if network.blocks[0].kind == "input":
        shapes = [None]
    shapes += [block.shape for block in network.blocks]
    return [_row(block, before) for block, before in zip(network.blocks, shapes, strict=False)]


def _row(block: NetxLayer, before: Shape | None) -> BlockRow:
    weight, bias = block.weight, block.bias
    return BlockRow(
        name=block.name,
        input_shape=before,
        shape=block.shape,
        kernel=kernel_text(block),
        threshold=None if block.sigma_output else block.threshold,
        largest_step=None if weight is None else largest_step(block),
        values=None if weight is None else int(np.unique(weight).size),
        zeros=None if weight is None else float(np.mean(weight == 0)),
        bias=None if bias is None else (int(bias.min()), int(bias.max())),
    )


def kernel_text(block: NetxLayer) -> str:
    """Such as 3x3/2 d2: kernel, stride, dilation."""
    if block.kind not in _WITH_KERNEL or block.weight is None:
        return ""
    text = "x".join(map(str, block.weight.shape[2:])) + f"/{_pair(block.stride)}"
    return text + (f" d{_pair(block.dilation)}" if max(block.dilation) > 1 else "")


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def largest_step(block: NetxLayer) -> int:
    """The largest magnitude of a weight, in steps of 2/64."""
    return 0 if block.weight is None else int(np.abs(block.weight).max()) // WEIGHT_STEP
