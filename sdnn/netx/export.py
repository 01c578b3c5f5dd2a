"""A lowered spec as a file that stock netx loads (`lava.lib.dl.netx.hdf5.Network`).

The layout is what lava-dl 0.6.0's own blocks write (`slayer/block/base.py`, ``export_hdf5``): a
group ``layer/N`` a layer with ``type``, ``shape`` (C, H, W), for convolutions ``kernelSize``,
``stride``, ``padding``, ``dilation``, ``groups``; ``weight``, ``bias`` and ``neuron/vThMant`` are
integers in 1/64. Layer 0 is the input, without a neuron.

Beside it stands the group ``ann2sdnn``, which netx does not read: attributes ``spike_exp``,
``input_gain``, ``input_scale``, ``shape``, ``packing``, ``signs`` (how the output is unpacked,
``lowering/lower.py``), and the data sets ``shift`` [L] (right shift from state to message; netx
knows only 6), ``vth`` [L] (thresholds in units of the state, finer than netx' 1/64 can be),
``output_scale`` [O] and ``name`` [L]. Files of `lower` also have ``slayer_input_*``
(``netx_input``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.kinds import NetxRow
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, Unpacking
from ann2sdnn.sdnn.netx.input import InputEncoding
from ann2sdnn.sdnn.spec.spec import SHIFT, STATE_MAX, Grid, Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError
from ann2sdnn.support.files.h5 import DAMAGE, H5Fields, reason, writing_h5
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.integers import narrowed

GROUP = "ann2sdnn"
SCHEMA = 1
# lava-nc's process model keeps sizes and the number of groups in 8 bits, signed.
LARGEST_SIZE = 127
# The blocks that netx loads, of those that slayer has.
LOADED = ("conv", "dense")


@dataclass(frozen=True, eq=False)
class Extras:
    """What stands beside netx' own content. ``shifts``, ``vth`` [L], ``output_scale`` [O]."""

    spike_exp: int
    input_gain: int
    input_scale: float
    shifts: NDArray[np.int64]
    vth: NDArray[np.int64]
    output_scale: NDArray[np.float64]
    names: tuple[str, ...]
    unpacking: Unpacking


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

    ``encoding`` of a network that slayer trained: it stands beside netx' own content, and a
    threshold of 1/4096 is written as slayer does it, as 0. ``sigma_output``: the last layer gives
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
        picture = False  # a layer's output is W H C in lava, if only one pixel
        for layer in spec.layers:
            mantissa = _mantissa(layer, spec.grid, round_down=encoding is not None)
            flat = layer.geometry.reads_flat
            if flat and (picture or layer.input_shape[1:] != (1, 1)):
                _start(layers, "flatten", (int(np.prod(layer.input_shape)), 1, 1))
            _write_layer(layers, layer, _row(layer), mantissa)
            picture = not flat
        if sigma_output:
            layers[str(len(layers) - 1)].create_dataset("neuron/sigma_output", data=True)
        extras = file.create_group(GROUP)
        extras.attrs.update(
            schema=SCHEMA,
            spike_exp=spec.grid.spike_exp,
            input_gain=spec.input_gain,
            input_scale=spec.input_scale,
            source_sha256=spec.source_sha256,
            shape=lowered.unpacking.shape,
            packing=lowered.unpacking.packing,
            signs=lowered.unpacking.signs,
        )
        if encoding is not None:
            encoding.write(extras)
        extras.create_dataset("shift", data=[layer.shift for layer in spec.layers])
        extras.create_dataset(
            "vth", data=[layer.state_threshold(spec.grid) for layer in spec.layers]
        )
        extras.create_dataset("output_scale", data=spec.output_scale)
        extras.create_dataset("name", data=[layer.name.encode() for layer in spec.layers])


def read_extras(path: Path) -> Extras:
    """The group beside netx' own content; ModelError when the file has none or it is damaged."""
    refuse_lfs_pointer(path, ModelError)
    try:
        with h5py.File(path, "r") as file:
            return _extras(H5Fields(file[GROUP]))
    except (*DAMAGE, ConversionError) as error:
        raise ModelError(
            f"{path} is no network file that `ann2sdnn export` wrote ({reason(error)}); export it"
            " again"
        ) from error


def _extras(fields: H5Fields) -> Extras:
    if fields.integer("schema") != SCHEMA:
        raise ValueError(f"its schema is {fields.integer('schema')}, expected {SCHEMA}")
    channels, height, width = fields.integers("shape", 3)
    rows, columns = fields.integers("packing", 2)
    signs = fields.integers("signs")
    if min(channels, height, width, rows, columns) < 1 or not set(signs) <= {-1, 1} or not signs:
        raise ValueError("shape, packing or signs of its output are none")
    names = tuple(name.decode() for name in fields.array("name", "SO", 1).tolist())
    shifts, vth = (fields.array(name, "iu", 1).astype(np.int64) for name in ("shift", "vth"))
    if not len(names) == len(shifts) == len(vth):
        raise ValueError(f"{len(names)} names, {len(shifts)} shifts and {len(vth)} thresholds")
    output_scale = fields.array("output_scale", "f", 1).astype(np.float64)
    if not output_scale.all():
        raise ValueError("an output scale of 0")
    gain, scale = fields.integer("input_gain"), fields.number("input_scale")
    if gain < 1 or scale <= 0:
        raise ValueError(f"an input gain of {gain} and a scale of {scale:g}")
    return Extras(
        spike_exp=Grid(fields.integer("spike_exp")).spike_exp,
        input_gain=gain,
        input_scale=scale,
        shifts=shifts,
        vth=vth,
        output_scale=output_scale,
        names=names,
        unpacking=Unpacking((channels, height, width), (rows, columns), signs),
    )


def _mantissa(layer: SpecLayer, grid: Grid, *, round_down: bool) -> int:
    """The threshold in 1/64. One that is finer than netx' format is exact in ``vth`` only."""
    if round_down:
        return layer.threshold >> grid.threshold_bits
    return -(-layer.threshold >> grid.threshold_bits)


def _start(layers: Any, kind: str, shape: tuple[int, ...]) -> Any:
    group = layers.create_group(str(len(layers)))
    group.create_dataset("type", (1,), "S10", [kind.encode("ascii")])
    group.create_dataset("shape", data=np.asarray(shape))
    return group


def _write_layer(layers: Any, layer: SpecLayer, row: NetxRow, mantissa: int) -> None:
    group = _start(layers, row.type, layer.output_shape)
    names = ("inFeatures", "outFeatures") if row.kernel is None else ("inChannels", "outChannels")
    fields: dict[str, Any] = dict(zip(names, (row.n_in, row.n_out), strict=True))
    if row.kernel is not None:
        fields |= {
            "kernelSize": row.kernel,
            "stride": row.stride,
            "padding": row.padding,
            "dilation": row.dilation,
            "groups": row.groups,
        }
    for name, value in fields.items():
        group.create_dataset(name, data=value)
    _write_numbers(group, layer, mantissa)


def _row(layer: SpecLayer) -> NetxRow:
    """The block of ``layer``; ConversionError for what netx cannot load."""
    row = layer.geometry.netx_row(layer.input_shape, layer.weight.shape)
    if row is None or row.type not in LOADED:
        raise ConversionError(
            f"layer {layer.name}: netx has no {layer.geometry.name} like this; lower the network"
            " first"
        )
    return row


def _write_numbers(group: Any, layer: SpecLayer, mantissa: int) -> None:
    where = f"layer {layer.name}"
    weight = narrowed(layer.weight, np.int16, f"{where}: a weight", error=ConversionError)
    group.create_dataset("weight", data=weight, compression="gzip")
    if layer.bias is not None:
        bias = narrowed(layer.bias, np.int32, f"{where}: a bias", error=ConversionError)
        group.create_dataset("bias", data=bias)
    group.create_dataset("neuron/type", data="SDNN")
    group.create_dataset("neuron/activation", data="relu")
    group.create_dataset("neuron/vThMant", data=mantissa)


def check_legal(lowered: LoweredSpec) -> None:
    """Raise ConversionError for what fits neither Loihi 2's registers nor lava's process models.

    Weights (even integers of 9 bits), thresholds, right shifts and the input's messages are checked
    where a spec is made; here stands what only netx asks for.
    """
    for layer in lowered.spec.layers:
        _check(layer, lowered.spec.grid)


def _check(layer: SpecLayer, grid: Grid) -> None:
    if layer.pool is not None or not layer.relu or not layer.is_stateful:
        raise ConversionError(f"layer {layer.name} is not lowered; lower the network first")
    largest_bias = 0 if layer.bias is None else int(np.abs(layer.bias.astype(np.int64)).max())
    if largest_bias << (SHIFT + grid.spike_exp) > STATE_MAX:
        raise ConversionError(
            f"layer {layer.name}: a bias of {largest_bias}/64 does not fit the 24 bits of the"
            " state; convert with a smaller --spike-exp"
        )
    mantissa = _mantissa(layer, grid, round_down=False)
    if mantissa << (SHIFT + grid.spike_exp) > STATE_MAX:
        raise ConversionError(
            f"layer {layer.name}: a threshold of {mantissa}/64, as netx' format has it, does not"
            " fit the 24 bits of the state; convert with a smaller --spike-exp"
        )
    if not layer.weight.any() and layer.geometry.reads_flat:
        raise ConversionError(
            f"layer {layer.name}: all its weights are 0, which netx cannot load; the network has"
            " died there, so convert it with other scales"
        )
    row = _row(layer)
    if row.kernel is not None:
        largest = max(*row.kernel, *row.padding, *row.stride, *row.dilation, row.groups)
        if largest > LARGEST_SIZE:
            raise ConversionError(
                f"layer {layer.name}: a kernel, padding, stride, dilation or number of groups of"
                f" {largest}; lava-nc keeps them in 8 bits, {LARGEST_SIZE} at most, so pool in two"
                " steps"
            )


def first_layer_is_dense(path: Path) -> bool:
    """Whether the network takes its input flattened; ModelError for a damaged file."""
    try:
        with h5py.File(path, "r") as file:
            return bytes(file["layer/1/type"][0]) in (b"flatten", b"dense")
    except DAMAGE as error:
        raise ModelError(f"{path} has no first layer ({reason(error)}); export it again") from error


def stock_legal(spec: Spec) -> bool:
    """Whether netx alone computes the same: its own right shift everywhere, thresholds of 1/64."""
    return spec.grid.threshold_bits == 0 and all(layer.shift == SHIFT for layer in spec.layers)
