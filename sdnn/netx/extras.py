"""The group ``ann2sdnn`` of a network file, which netx does not read.

Attributes: ``spike_exp``, ``input_gain``, ``input_scale``; ``shape``, ``packing``, ``signs`` (how
the output is unpacked, ``lowering/lower.py``; of several outputs they are attributes of groups
``output/N``, with ``first``); ``input_offset`` [C] and ``input_dtype`` where the input has a mean
or takes float32 frames, ``input_threshold`` where it has one (``spec/input_code.py``).

Data sets: ``shift`` [L] (right shift from state to message; netx knows only 6), ``vth`` [L]
(thresholds in units of the state, finer than netx's 1/64 can be), ``output_scale`` [O] and ``name``
[L]. Of a lowered network with branches also ``carried`` [L]: the number of each layer's channels,
the last ones, that pass on what they receive and have a threshold of 0. netx has one threshold per
layer: there the file gives it the layer's own, or the largest that lets every carried message pass.

Files of `lower` also have ``slayer_input_*`` (``input.py``).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.sdnn.lowering.lower import LoweredSpec, Unpacking, Unpackings
from ann2sdnn.sdnn.netx.input import InputEncoding, reading_extras
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.input_code import InputCode
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.files.h5 import H5Fields

SCHEMA = 1


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
    unpacking: Unpacking | Unpackings
    carried: NDArray[np.int64]
    """[L]."""


def write_extras(group: Any, lowered: LoweredSpec, encoding: InputEncoding | None) -> None:
    """Write the group of a file with ``lowered``; ``encoding`` as in ``write_netx``."""
    spec, unpacking = lowered.spec, lowered.unpacking
    group.attrs.update(
        schema=SCHEMA,
        spike_exp=spec.grid.spike_exp,
        input_gain=spec.input_gain,
        input_scale=spec.input_scale,
        source_sha256=spec.source_sha256,
        **(_layout(unpacking) if isinstance(unpacking, Unpacking) else {}),
        **_input_attributes(spec),
    )
    if isinstance(unpacking, Unpackings):
        for index, one in enumerate(unpacking.outputs):
            group.create_group(f"output/{index}").attrs.update(**_layout(one), first=one.first)
    if encoding is not None:
        encoding.write(group)
    group["shift"] = [layer.shift for layer in spec.layers]
    group["vth"] = [layer.state_threshold(spec.grid) for layer in spec.layers]
    if any(layer.n_carried for layer in spec.layers):
        group["carried"] = [layer.n_carried for layer in spec.layers]
    group["output_scale"] = spec.output_scale
    group["name"] = [layer.name.encode() for layer in spec.layers]


def _layout(one: Unpacking) -> dict[str, Any]:
    return {"shape": one.shape, "packing": one.packing, "signs": one.signs}


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
        names = tuple(name.decode() for name in fields.array("name", "SO", 1).tolist())
        shifts, vth = (fields.array(name, "iu", 1).astype(np.int64) for name in ("shift", "vth"))
        if not len(names) == len(shifts) == len(vth):
            raise ValueError(f"{len(names)} names, {len(shifts)} shifts and {len(vth)} thresholds")
        carried = np.zeros_like(vth)
        if fields.has("carried"):
            carried = fields.array("carried", "iu", 1).astype(np.int64)
        if len(carried) != len(vth) or carried.min() < 0:
            raise ValueError(f"numbers of carried channels, {len(carried)} for {len(vth)} layers")
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
            unpacking=_unpacking(fields),
            carried=carried,
        )


def _unpacking(fields: H5Fields) -> Unpacking | Unpackings:
    several = fields.inner("output")
    if several is None:
        return _one_unpacking(fields, 0)
    outputs: list[Unpacking] = []
    while (one := several.inner(str(len(outputs)))) is not None:
        outputs.append(_one_unpacking(one, one.integer("first")))
    if len(outputs) != len(several.group) or not outputs:
        raise ValueError(f"{len(several.group)} outputs, of which some have other names")
    return Unpackings(tuple(outputs))


def _one_unpacking(fields: H5Fields, first: int) -> Unpacking:
    channels, height, width = fields.integers("shape", 3)
    rows, columns = fields.integers("packing", 2)
    signs = fields.integers("signs")
    sizes = (channels, height, width, rows, columns)
    if min(sizes) < 1 or not set(signs) <= {-1, 1} or not signs or first < 0:
        raise ValueError("shape, packing or signs of its output are none")
    return Unpacking((channels, height, width), (rows, columns), signs, first)


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
