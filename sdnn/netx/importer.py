"""Makes a spec of a network file of slayer: one layer per block with a neuron.

Every block's neurons and thresholds are kept. slayer computes with messages in 1/4096 and raises a
threshold of 0 to that; netx counts thresholds in 1/64 and keeps a 0. So the spec has finer
thresholds where a threshold is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, Unpacking, lower_spec
from ann2sdnn.sdnn.netx.blocks import GEOMETRIES
from ann2sdnn.sdnn.netx.input import MESSAGE_UNITS, InputEncoding, input_encoding
from ann2sdnn.sdnn.netx.read import NetxLayer, read_netx
from ann2sdnn.sdnn.spec.grid import SHIFT, WEIGHT_MAX, WEIGHT_MIN, Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError, UsageError
from ann2sdnn.support.files.writing import sha256
from ann2sdnn.support.integers import narrowed

SPIKE_EXP = 6
# Thresholds in 1/4096, slayer's smallest.
FINE_BITS = 6
# slayer's default limit of a weight exponent; the file holds it before it was limited.
LARGEST_WEIGHT_EXP = 3


@dataclass(frozen=True, eq=False)
class SlayerNetwork:
    """A network that slayer trained.

    ``spec``: one layer per block with weights and a neuron. ``sigma_output``: the last block is
    slayer's ``Output``, which gives its sum itself, without ReLU and threshold; ``spec`` has a
    dense layer for it. ``averaged``: the host averages this many consecutive channels of the output
    (slayer's ``Average``).
    """

    blocks: tuple[NetxLayer, ...]
    spec: Spec
    encoding: InputEncoding
    sigma_output: bool
    averaged: int = 1

    @property
    def populations(self) -> tuple[NetxLayer, ...]:
        """The blocks of ``spec.layers``, in the same order."""
        return tuple(block for block in self.blocks if block.kind in GEOMETRIES)


def import_netx(path: Path, input_shape: Shape | None = None) -> SlayerNetwork:
    """The network of ``path``; ``input_shape`` (C, H, W) where the file has no input block.

    Raises UsageError for an ``input_shape`` that is not that of the file's input block, ModelError
    for a file that slayer did not write, ConversionError naming the block for what netx cannot
    compute.
    """
    blocks = read_netx(path)
    if blocks and blocks[0].kind == "input":
        shape = blocks[0].shape
        if input_shape is not None and input_shape != shape:
            given, found = ("x".join(map(str, one)) for one in (input_shape, shape))
            raise UsageError(
                f"--input {given}; the input block of {path} says {found}, so leave --input out"
            )
    elif input_shape is None:
        raise ModelError(
            f"{path} has no input block, so the picture's size is unknown; say --input"
        )
    else:
        shape = input_shape
    encoding = input_encoding(blocks[0] if blocks else None)
    blocks, averaged = _without_average(blocks)
    populations = [block for block in blocks if block.kind in GEOMETRIES]
    if not populations:
        raise ModelError(f"{path} has no block with weights, so there is nothing to lower")
    _check_order(blocks)
    fine = any(_threshold(block) == 0 for block in populations if not block.sigma_output)
    grid = Grid(SPIKE_EXP, FINE_BITS if fine else 0)
    layers: list[SpecLayer] = []
    for block in populations:
        layers.append(_layer(block, layers[-1].output_shape if layers else shape, grid))
    layers[-1] = replace(layers[-1], scale=layers[-1].scale * averaged)
    scale = encoding.gain / MESSAGE_UNITS
    spec = Spec(shape, scale, encoding.gain, grid, tuple(layers), sha256(path))
    return SlayerNetwork(blocks, spec, encoding, populations[-1].sigma_output, averaged)


def lower_network(network: SlayerNetwork) -> LoweredSpec:
    """The network as convolutions and dense layers, neuron by neuron."""
    lowered = lower_spec(network.spec)
    if network.averaged == 1:
        return lowered
    channels = lowered.unpacking.shape[0] // network.averaged
    averaging = Unpacking((channels, 1, 1), lowered.unpacking.packing, (1,) * network.averaged)
    return replace(lowered, unpacking=averaging)


def _layer(block: NetxLayer, shape: Shape, grid: Grid) -> SpecLayer:
    try:
        geometry, weight = GEOMETRIES[block.kind](block, shape)
        if weight.min() < WEIGHT_MIN or weight.max() > WEIGHT_MAX or (weight % 2).any():
            raise ModelError(
                f"weights from {weight.min()} to {weight.max()}; expected even numbers from"
                f" {WEIGHT_MIN} to {WEIGHT_MAX}, as slayer's own quantisation gives them"
            )
        layer = SpecLayer(
            name=block.name,
            geometry=geometry,
            weight=narrowed(weight, np.int16, "a weight"),
            bias=_bias(block),
            relu=True,
            pool=None,
            threshold=max(1, _threshold(block) << grid.threshold_bits),
            scale=np.ones(geometry.output_shape(shape, weight.shape)[0]),
            input_shape=shape,
            shift=SHIFT + _weight_exp(block),
        )
    except ModelError as error:
        raise ModelError(f"block {block.name}: {error}") from error
    if layer.output_shape != block.shape:
        raise ModelError(
            f"block {block.name}: the file gives it the shape {block.shape}, and its numbers"
            f" {layer.output_shape} for an input of {shape}; export it again"
        )
    return layer


def _bias(block: NetxLayer) -> NDArray[np.int32] | None:
    if block.bias is None:
        return None
    if block.bias.size not in (1, block.shape[0]):
        raise ModelError(f"{block.bias.size} biases; expected one for each of its channels")
    # A norm that was never trained has one for all.
    return narrowed(np.broadcast_to(block.bias.ravel(), block.shape[:1]), np.int32, "a bias")


def _threshold(block: NetxLayer) -> int:
    if block.threshold is None or block.threshold < 0:
        raise ModelError(
            f"block {block.name}: a threshold of {block.threshold}; expected 0 or more"
        )
    return block.threshold


def _weight_exp(block: NetxLayer) -> int:
    if abs(block.weight_exp) > LARGEST_WEIGHT_EXP:
        raise ModelError(
            f"a weight exponent of {block.weight_exp}, which slayer limits to one that the file"
            f" does not tell; expected {-LARGEST_WEIGHT_EXP} to {LARGEST_WEIGHT_EXP}"
        )
    return block.weight_exp


def _without_average(blocks: tuple[NetxLayer, ...]) -> tuple[tuple[NetxLayer, ...], int]:
    """The blocks before a final average, and the number of channels that it averages."""
    if len(blocks) < 2 or blocks[-1].kind != "average":
        return blocks, 1
    *before, average = blocks
    channels, *size = before[-1].shape
    if before[-1].kind != "dense" or size != [1, 1] or channels % average.shape[0]:
        raise ConversionError(
            f"block {average.name}: an average of {average.shape} after {before[-1].shape}; "
            " expected a dense block with a multiple of its outputs before it"
        )
    if before[-1].sigma_output:
        raise ConversionError(
            f"block {average.name}: an average after slayer's Output; average on the host instead"
        )
    return tuple(before), channels // average.shape[0]


def _check_order(blocks: Sequence[NetxLayer]) -> None:
    flat: str | None = None
    for position, block in enumerate(blocks):
        if block.kind == "input" and position > 0:
            raise ModelError(f"block {block.name}: an input in the middle of the network")
        if block.kind == "average":
            raise ConversionError(
                f"block {block.name}: an average in the middle of the network, which no neuron"
                " computes; leave it out or train a dense block in its place"
            )
        if flat is not None and block.kind not in ("dense", "flatten"):
            raise ConversionError(
                f"block {block.name}: a {block.kind} after {flat}; netx has dense layers at the end"
                " only"
            )
        if block.sigma_output and block is not blocks[-1]:
            raise ConversionError(
                f"block {block.name}: slayer's Output in the middle of the network; expected it"
                " at the end"
            )
        if block.kind in ("dense", "flatten"):
            flat = block.name
