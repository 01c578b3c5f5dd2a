"""Writes a lowered spec as a file that stock netx loads (`lava.lib.dl.netx.hdf5.Network`).

The layout is what lava-dl 0.6.0's own blocks write (`slayer/block/base.py`, ``export_hdf5``): a
group ``layer/N`` per layer with ``type``, ``shape`` (C, H, W), for convolutions ``kernelSize``,
``stride``, ``padding``, ``dilation``, ``groups``; ``weight``, ``bias`` and ``neuron/vThMant`` are
integers in 1/64. Layer 0 is the input, without a neuron.

Beside it stands the group ``ann2sdnn``, which netx does not read (``extras.py``).
"""

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ann2sdnn.graph.kinds import NetxRow
from ann2sdnn.sdnn.lowering.lower import LoweredSpec
from ann2sdnn.sdnn.netx.extras import write_extras
from ann2sdnn.sdnn.netx.input import GROUP, InputEncoding
from ann2sdnn.sdnn.spec.grid import SHIFT, STATE_MAX, Grid
from ann2sdnn.sdnn.spec.spec import SpecLayer
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.files.h5 import reading_h5, writing_h5
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.integers import narrowed

# lava-nc's process model keeps sizes and the number of groups in 8 bits, signed.
LARGEST_SIZE = 127
# The blocks that netx loads, of those that slayer has.
LOADED = ("conv", "dense")


def write_netx(
    path: Path,
    lowered: LoweredSpec,
    *,
    force: bool = True,
    inputs: Iterable[Path] = (),
    encoding: InputEncoding | None = None,
    sigma_output: bool = False,
) -> None:
    """Write the lowered spec in one step; ConversionError where a number is not legal.

    ``encoding``: of a network that slayer trained. It is stored beside netx's own content, and a
    threshold of 1/4096 is written as slayer writes it, as 0. ``sigma_output``: the last layer gives
    its sum itself.
    """
    check_legal(lowered)
    spec = lowered.spec
    with (
        atomic_file(path, force=force, inputs=inputs) as temporary,
        writing_h5(temporary, path) as file,
    ):
        layers = file.create_group("layer")
        _start(layers, "input", spec.input_shape)
        picture = False  # the layer before has pixels, or may have: lava's order is W H C
        for layer, passing in zip(spec.layers, lowered.passing, strict=True):
            flat = layer.geometry.reads_flat
            if flat and (picture or layer.input_shape[1:] != (1, 1)):
                _start(layers, "flatten", (prod(layer.input_shape), 1, 1))
            mantissa = _mantissa(layer, spec.grid, round_down=encoding is not None)
            if passing is not None:
                mantissa = min(mantissa, passing >> (SHIFT + spec.grid.spike_exp))
            _write_layer(layers, layer, mantissa)
            picture = not flat
        if sigma_output:
            layers[str(len(layers) - 1)].create_dataset("neuron/sigma_output", data=True)
        write_extras(file.create_group(GROUP), lowered, encoding)


def _mantissa(layer: SpecLayer, grid: Grid, *, round_down: bool) -> int:
    """The threshold in 1/64. A finer one than netx's format is exact in ``vth`` only."""
    if round_down:
        return layer.threshold >> grid.threshold_bits
    return -(-layer.threshold >> grid.threshold_bits)


def _start(layers: Any, kind: str, shape: tuple[int, ...]) -> Any:
    group = layers.create_group(str(len(layers)))
    group.create_dataset("type", (1,), "S10", [kind.encode("ascii")])
    group["shape"] = np.asarray(shape)
    return group


def _write_layer(layers: Any, layer: SpecLayer, mantissa: int) -> None:
    row, where = _row(layer), f"layer {layer.name}"
    group = _start(layers, row.type, layer.output_shape)
    if row.kernel is None:
        sizes: dict[str, Any] = {"inFeatures": row.n_in, "outFeatures": row.n_out}
    else:
        sizes = {
            "inChannels": row.n_in,
            "outChannels": row.n_out,
            "kernelSize": row.kernel,
            "stride": row.stride,
            "padding": row.padding,
            "dilation": row.dilation,
            "groups": row.groups,
        }
    for name, value in sizes.items():
        group[name] = value
    weight = narrowed(layer.weight, np.int16, f"{where}: a weight", error=ConversionError)
    group.create_dataset("weight", data=weight, compression="gzip")
    if layer.bias is not None:
        group["bias"] = narrowed(layer.bias, np.int32, f"{where}: a bias", error=ConversionError)
    group["neuron/type"] = "SDNN"
    group["neuron/activation"] = "relu"
    group["neuron/vThMant"] = mantissa


def _row(layer: SpecLayer) -> NetxRow:
    """The block of ``layer``; ConversionError for what netx cannot load."""
    row = layer.geometry.netx_row(layer.input_shape, layer.weight.shape)
    if row is None or row.type not in LOADED:
        raise ConversionError(
            f"layer {layer.name}: netx has no {layer.geometry.name} like this; lower the network"
            " first"
        )
    return row


def check_legal(lowered: LoweredSpec) -> None:
    """Raise ConversionError for what fits neither Loihi 2's registers nor lava's process models.

    A spec checks its weights (even integers of 9 bits), thresholds, right shifts and the input's
    messages itself; this checks what only netx asks for.
    """
    for layer in lowered.spec.layers:
        _check(layer, lowered.spec.grid)


def _check(layer: SpecLayer, grid: Grid) -> None:
    where = f"layer {layer.name}"
    if layer.pool is not None or not layer.relu or not layer.is_stateful:
        raise ConversionError(f"{where} is not lowered; lower the network first")
    bias = 0 if layer.bias is None else int(np.abs(layer.bias.astype(np.int64)).max())
    mantissa = _mantissa(layer, grid, round_down=False)
    threshold = f"a threshold of {mantissa}/64, as netx' format has it,"
    for what, value in ((f"a bias of {bias}/64", bias), (threshold, mantissa)):
        if value << (SHIFT + grid.spike_exp) > STATE_MAX:
            raise ConversionError(
                f"{where}: {what} does not fit the 24 bits of the state; convert with a smaller"
                " --spike-exp"
            )
    row = _row(layer)
    if row.kernel is None:
        if not layer.weight.any():
            raise ConversionError(
                f"{where}: all its weights are 0, which netx cannot load; the network has died"
                " there, so convert it with other scales"
            )
        return
    largest = max(*row.kernel, *row.padding, *row.stride, *row.dilation, row.groups)
    if largest > LARGEST_SIZE:
        raise ConversionError(
            f"{where}: a kernel, padding, stride, dilation or number of groups of {largest};"
            f" lava-nc keeps them in 8 bits, {LARGEST_SIZE} at most, so pool in two steps"
        )


def first_layer_is_dense(path: Path) -> bool:
    """Whether the network takes its input flattened; ModelError for a damaged file."""
    with reading_h5(path, "has no first layer", "export it again") as file:
        return bytes(file["layer/1/type"][0]) in (b"flatten", b"dense")


def stock_legal(lowered: LoweredSpec) -> bool:
    """Whether netx alone computes the same: its own right shift, thresholds of 1/64, and carried
    channels that the layer's threshold lets pass.
    """
    spec = lowered.spec
    return spec.grid.threshold_bits == 0 and all(
        layer.shift == SHIFT and (passing is None or layer.state_threshold(spec.grid) <= passing)
        for layer, passing in zip(spec.layers, lowered.passing, strict=True)
    )
