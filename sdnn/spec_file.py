"""sdnn.h5: the spec on disk.

Root attributes: ``format`` = "ann2sdnn spec", ``schema`` = 1, ``spike_exp``, ``input_shape``,
``input_scale``, ``input_gain``, ``source_sha256``, ``n_layers``, ``threshold_bits``,
``input_remembers``. A group
``layers/NN`` a layer, in order: data sets ``weight``, ``scale`` and, where there is one, ``bias``;
attributes ``name``, ``relu``, ``threshold``, ``shift``, ``remembers``, ``input_shape``,
``geometry`` and ``pool`` (JSON). Files without ``shift``, ``threshold_bits``, ``remembers`` and
``input_remembers`` have netx's number formats and layers that all remember.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ann2sdnn.convert.geometry import Convolution, Dense, Geometry, Pool, TransposedConvolution
from ann2sdnn.errors import ModelError
from ann2sdnn.files import atomic_file
from ann2sdnn.lfs import refuse_lfs_pointer
from ann2sdnn.sdnn.spec import SHIFT, Grid, Spec, SpecLayer

FORMAT = "ann2sdnn spec"
SCHEMA = 1

_GEOMETRIES: dict[str, type[Geometry]] = {
    "Convolution": Convolution,
    "TransposedConvolution": TransposedConvolution,
    "Dense": Dense,
}


def write_spec(path: Path, spec: Spec, *, force: bool = False) -> None:
    """Write ``spec`` to ``path`` in one step."""
    with atomic_file(path, force=force) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            format=FORMAT,
            schema=SCHEMA,
            spike_exp=spec.grid.spike_exp,
            threshold_bits=spec.grid.threshold_bits,
            input_shape=spec.input_shape,
            input_scale=spec.input_scale,
            input_gain=spec.input_gain,
            source_sha256=spec.source_sha256,
            n_layers=len(spec.layers),
            input_remembers=spec.input_remembers,
        )
        for index, layer in enumerate(spec.layers):
            _write_layer(file.create_group(f"layers/{index:02d}"), layer)


def read_spec(path: Path) -> Spec:
    """Read a spec; ModelError when the file is missing, damaged or of another schema."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist; name a folder that `ann2sdnn convert` wrote")
    refuse_lfs_pointer(path, ModelError)
    try:
        with h5py.File(path, "r") as file:
            attributes = dict(file.attrs)
            if attributes.get("format") != FORMAT or attributes.get("schema") != SCHEMA:
                raise ModelError(f"{path} is no ann2sdnn spec of schema {SCHEMA}; convert again")
            n_layers = int(attributes["n_layers"])
            layers = tuple(_read_layer(file[f"layers/{i:02d}"]) for i in range(n_layers))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is damaged ({error}); convert the network again") from error
    return Spec(
        input_shape=_shape(attributes["input_shape"]),
        input_scale=float(attributes["input_scale"]),
        input_gain=int(attributes["input_gain"]),
        grid=Grid(int(attributes["spike_exp"]), int(attributes.get("threshold_bits", 0))),
        layers=layers,
        source_sha256=str(attributes["source_sha256"]),
        input_remembers=bool(attributes.get("input_remembers", True)),
    )


def _write_layer(group: Any, layer: SpecLayer) -> None:
    group.create_dataset("weight", data=layer.weight, compression="gzip")
    group.create_dataset("scale", data=layer.scale)
    if layer.bias is not None:
        group.create_dataset("bias", data=layer.bias)
    geometry = {"type": type(layer.geometry).__name__, **dataclasses.asdict(layer.geometry)}
    pool = None if layer.pool is None else dataclasses.asdict(layer.pool)
    group.attrs.update(
        name=layer.name,
        relu=layer.relu,
        threshold=layer.threshold,
        shift=layer.shift,
        remembers=layer.remembers,
        input_shape=layer.input_shape,
        geometry=json.dumps(geometry),
        pool=json.dumps(pool),
    )


def _read_layer(group: Any) -> SpecLayer:
    geometry = _tuples(json.loads(group.attrs["geometry"]))
    pool = json.loads(group.attrs["pool"])
    return SpecLayer(
        name=str(group.attrs["name"]),
        geometry=_GEOMETRIES[geometry.pop("type")](**geometry),
        weight=np.asarray(group["weight"][()], np.int16),
        bias=np.asarray(group["bias"][()], np.int32) if "bias" in group else None,
        relu=bool(group.attrs["relu"]),
        pool=None if pool is None else Pool(**_tuples(pool)),
        threshold=int(group.attrs["threshold"]),
        scale=np.asarray(group["scale"][()], np.float64),
        input_shape=_shape(group.attrs["input_shape"]),
        shift=int(group.attrs.get("shift", SHIFT)),
        remembers=bool(group.attrs.get("remembers", True)),
    )


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _shape(values: Any) -> tuple[int, int, int]:
    channels, height, width = (int(v) for v in values)
    return (channels, height, width)
