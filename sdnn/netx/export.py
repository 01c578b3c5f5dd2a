"""Writes a lowered spec as a file that stock netx loads (`lava.lib.dl.netx.hdf5.Network`).

The layout is what lava-dl 0.6.0's own blocks write (`slayer/block/base.py`, ``export_hdf5``): a
group ``layer/N`` per layer with ``type``, ``shape`` (C, H, W), for convolutions ``kernelSize``,
``stride``, ``padding``, ``dilation``, ``groups``; ``weight``, ``bias`` and ``neuron/vThMant`` are
integers in 1/64. Layer 0 is the input, without a neuron.

Beside it stands the group ``ann2sdnn``, which netx does not read: attributes ``spike_exp``,
``input_gain``, ``input_scale``, ``shape``, ``packing``, ``signs`` (how the output is unpacked,
``lowering/lower.py``), ``input_offset`` [C] and ``input_dtype`` where the input has a mean or takes
float32 frames, ``input_threshold`` where it has one (``spec/input_code.py``), and the data sets
``shift`` [L] (right shift from state to message; netx knows only 6), ``vth`` [L] (thresholds in
units of the state, finer than netx's 1/64 can be), ``output_scale`` [O] and ``name`` [L]. Files of
`lower` also have ``slayer_input_*`` (``input.py``).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.graph.kinds import NetxRow
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, Unpacking
from ann2sdnn.sdnn.netx.input import GROUP, InputEncoding, reading_extras
from ann2sdnn.sdnn.spec.grid import SHIFT, STATE_MAX, Grid
from ann2sdnn.sdnn.spec.input_code import InputCode
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.files.h5 import H5Fields, reading_h5, writing_h5
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.integers import narrowed

SCHEMA = 1
# lava-nc's process model keeps sizes and the number of groups in 8 bits, signed.
LARGEST_SIZE = 127
# The blocks that netx loads, of those that slayer has.
LOADED = ("conv", "dense")


@dataclass(frozen=True, eq=False)
class Extras:
    """The group beside netx's own content. ``shifts``, ``vth`` [L], ``output_scale`` [O]."""

    spike_exp: int
    input_code: InputCode
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
        for layer in spec.layers:
            flat = layer.geometry.reads_flat
            if flat and (picture or layer.input_shape[1:] != (1, 1)):
                _start(layers, "flatten", (prod(layer.input_shape), 1, 1))
            _write_layer(
                layers, layer, _mantissa(layer, spec.grid, round_down=encoding is not None)
            )
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
            **vars(lowered.unpacking),
            **_input_attributes(spec),
        )
        if encoding is not None:
            encoding.write(extras)
        extras["shift"] = [layer.shift for layer in spec.layers]
        extras["vth"] = [layer.state_threshold(spec.grid) for layer in spec.layers]
        extras["output_scale"] = spec.output_scale
        extras["name"] = [layer.name.encode() for layer in spec.layers]


def _input_attributes(spec: Spec) -> dict[str, Any]:
    """What the host needs beyond the gain, where it does: see ``InputCode``."""
    dtype = spec.preprocessing.dtype
    values = {
        "input_offset": spec.input_offset,
        "input_dtype": dtype if dtype != "uint8" else "",
        "input_threshold": spec.input_threshold,
    }
    return {name: value for name, value in values.items() if value}


def read_extras(path: Path) -> Extras:
    """The group beside netx's own content; ModelError when the file has none or it is damaged."""
    with reading_extras(path, "export") as fields:
        if fields.integer("schema") != SCHEMA:
            raise ValueError(f"its schema is {fields.integer('schema')}, expected {SCHEMA}")
        channels, height, width = fields.integers("shape", 3)
        rows, columns = fields.integers("packing", 2)
        signs = fields.integers("signs")
        sizes = (channels, height, width, rows, columns)
        if min(sizes) < 1 or not set(signs) <= {-1, 1} or not signs:
            raise ValueError("shape, packing or signs of its output are none")
        names = tuple(name.decode() for name in fields.array("name", "SO", 1).tolist())
        shifts, vth = (fields.array(name, "iu", 1).astype(np.int64) for name in ("shift", "vth"))
        if not len(names) == len(shifts) == len(vth):
            raise ValueError(f"{len(names)} names, {len(shifts)} shifts and {len(vth)} thresholds")
        output_scale = fields.array("output_scale", "f", 1).astype(np.float64)
        if not output_scale.all():
            raise ValueError("an output scale of 0")
        scale = fields.number("input_scale")
        if scale <= 0:
            raise ValueError(f"an input scale of {scale:g}")
        return Extras(
            spike_exp=Grid(fields.integer("spike_exp")).spike_exp,
            input_code=_input_code(fields),
            input_scale=scale,
            shifts=shifts,
            vth=vth,
            output_scale=output_scale,
            names=names,
            unpacking=Unpacking((channels, height, width), (rows, columns), signs),
        )


def _input_code(fields: H5Fields) -> InputCode:
    offset = fields.integers("input_offset") if fields.has("input_offset") else ()
    threshold = fields.integer("input_threshold", 0)
    if fields.has("input_dtype"):
        if fields.text("input_dtype") != "float32":
            raise ValueError(f"frames of type {fields.text('input_dtype')}")
        code = InputCode(fields.number("input_gain"), offset, "float32", threshold)
    else:
        code = InputCode(fields.integer("input_gain"), offset, threshold=threshold)
    if code.gain <= 0 or threshold < 0:
        raise ValueError(f"an input gain of {code.gain:g} and a threshold of {threshold}")
    return code


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


def stock_legal(spec: Spec) -> bool:
    """Whether netx alone computes the same: its own right shift, and thresholds of 1/64."""
    return spec.grid.threshold_bits == 0 and all(layer.shift == SHIFT for layer in spec.layers)
