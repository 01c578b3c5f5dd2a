"""Reads and writes sdnn.h5: the spec on disk, and its other operating points.

Root attributes: ``format`` = "ann2sdnn spec", ``schema`` = 1, ``spike_exp``, ``input_shape``,
``input_scale``, ``input_gain``, ``source_sha256``, ``n_layers``, ``threshold_bits``,
``input_remembers``. Layers have one group each, ``layers/NN``, in order: data sets ``weight``,
``scale`` and, for layers with a bias, ``bias``; attributes ``name``, ``relu``, ``threshold``,
``shift``, ``remembers``, ``relay``, ``input_shape``, ``geometry`` and ``pool`` (JSON). ``source``
names what a layer reads, a layer or "input"; without it, it is the layer before. Each further
synapse is a group ``synapses/N`` in the layer's, with ``weight``, ``source``, ``input_shape`` and
``geometry``. ``output_names`` of the root (JSON) lists the layers whose outputs are the network's;
without it, it is the last. Files without ``shift``, ``threshold_bits``, ``remembers`` and
``input_remembers`` have netx's number formats and stateful layers only. The ``type`` of a geometry
is the name of its kind (``graph/kinds``).

The preprocessing of frames has optional attributes of the root: ``input_mean``, ``input_std``
(floats) and ``input_offset`` (message units), one value per channel, ``input_resize`` (height,
width), and ``input_dtype`` = "float32", with which ``input_gain`` is no whole number. Without them
frames are uint8 and of the network's size.

The root is the operating point ``lava``. Each other point is a group, ``points/engine`` or
``points/memoryless``: data sets ``threshold`` and ``remembers`` with one value per layer, attribute
``input_remembers``. Files of earlier versions have none.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.graph.kinds import Geometry, kind_named
from ann2sdnn.graph.layers import Synapse
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.graph.preprocessing import FrameType, Preprocessing
from ann2sdnn.sdnn.spec.grid import SHIFT, Grid
from ann2sdnn.sdnn.spec.points import OperatingPoints, PointName, with_point
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError
from ann2sdnn.support.files.h5 import H5Fields, reading_h5, writing_h5
from ann2sdnn.support.files.writing import atomic_file
from ann2sdnn.support.integers import narrowed

FORMAT = "ann2sdnn spec"
SCHEMA = 1


def write_spec(path: Path, spec: Spec, *, force: bool = False) -> None:
    """Write a network that has the operating point ``lava`` only."""
    write_points(path, OperatingPoints(spec), force=force)


def write_points(path: Path, points: OperatingPoints, *, force: bool = False) -> None:
    """Write all operating points to ``path`` in one step."""
    spec = points.lava
    with atomic_file(path, force=force) as temporary, writing_h5(temporary, path) as file:
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
            input_remembers=spec.input_is_stateful,
            **_optional_attributes(spec),
        )
        for index, layer in enumerate(spec.layers):
            _write_layer(file.create_group(f"layers/{index:02d}"), layer)
        for name, point in points:
            if name != "lava":
                _write_point(file.create_group(f"points/{name}"), point)


def read_spec(path: Path) -> Spec:
    """Read the operating point ``lava``.

    Raises ModelError when the file is missing, damaged or of another schema.
    """
    with _reading(path) as fields:
        return _read(fields)


def read_points(path: Path) -> OperatingPoints:
    """Read all operating points; raises as ``read_spec``."""
    with _reading(path) as fields:
        lava = _read(fields)
        return OperatingPoints(
            lava, _read_point(fields, "engine", lava), _read_point(fields, "memoryless", lava)
        )


@contextmanager
def _reading(path: Path) -> Iterator[H5Fields]:
    """The root of the spec's file; what the block raises becomes a sentence that names ``path``."""
    if not path.is_file():
        raise ModelError(f"{path} does not exist; name a folder that `ann2sdnn convert` wrote")
    with reading_h5(path, "is damaged", "convert the network again") as file:
        fields = H5Fields(file)
        if fields.text("format") != FORMAT or fields.integer("schema") != SCHEMA:
            raise ModelError(f"{path} is no ann2sdnn spec of schema {SCHEMA}; convert again")
        try:
            yield fields
        except (ModelError, ConversionError) as error:
            raise ModelError(f"{path}: {error}; convert the network again") from error


def _write_point(group: Any, spec: Spec) -> None:
    group.create_dataset("threshold", data=[layer.threshold for layer in spec.layers])
    group.create_dataset("remembers", data=[layer.is_stateful for layer in spec.layers])
    group.attrs["input_remembers"] = spec.input_is_stateful
    if spec.input_threshold:
        group.attrs["input_threshold"] = spec.input_threshold


def _read_point(root: H5Fields, name: PointName, lava: Spec) -> Spec | None:
    """The point ``name`` of the network ``lava``; None where the file has none."""
    points = root.inner("points")
    fields = None if points is None else points.inner(name)
    if fields is None:
        return None
    try:
        return with_point(
            lava,
            fields.array("threshold", "iu", 1).tolist(),
            fields.array("remembers", "b", 1).tolist(),
            input_is_stateful=fields.flag("input_remembers"),
            input_threshold=fields.integer("input_threshold", 0),
        )
    except ModelError as error:
        raise ModelError(f"points/{name}: {error}") from error


def _read(fields: H5Fields) -> Spec:
    groups = [fields.group[f"layers/{i:02d}"] for i in range(fields.integer("n_layers"))]
    preprocessing = _read_preprocessing(fields)
    of_gain = fields.integer if preprocessing.dtype == "uint8" else fields.number
    return Spec(
        input_shape=_shape(fields),
        input_scale=fields.number("input_scale"),
        input_gain=of_gain("input_gain"),
        grid=Grid(fields.integer("spike_exp"), fields.integer("threshold_bits", 0)),
        layers=tuple(_read_layer(H5Fields(group)) for group in groups),
        source_sha256=fields.text("source_sha256"),
        input_is_stateful=fields.flag("input_remembers", True),
        preprocessing=preprocessing,
        input_offset=fields.integers("input_offset") if fields.has("input_offset") else (),
        input_threshold=fields.integer("input_threshold", 0),
        output_names=_read_outputs(fields),
    )


def _read_outputs(fields: H5Fields) -> tuple[str, ...]:
    names = json.loads(fields.text("output_names")) if fields.has("output_names") else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError("output_names is no list of names")
    return tuple(names)


def _optional_attributes(spec: Spec) -> dict[str, Any]:
    """Attributes beyond those of plain uint8 frames without a threshold, and of one output."""
    own = spec.preprocessing
    values: dict[str, Any] = {
        "input_offset": spec.input_offset,
        "input_threshold": spec.input_threshold,
        "input_mean": own.mean,
        "input_std": own.std,
        "input_resize": own.resize,
        "input_dtype": None if own.dtype == "uint8" else own.dtype,
        "output_names": json.dumps(spec.output_names) if spec.output_names else None,
    }
    return {name: value for name, value in values.items() if value}


def _read_preprocessing(fields: H5Fields) -> Preprocessing:
    height_width = fields.integers("input_resize", 2) if fields.has("input_resize") else None
    dtype = fields.text("input_dtype") if fields.has("input_dtype") else "uint8"
    if dtype not in get_args(FrameType):
        raise ModelError(f"input_dtype is {dtype}; expected {' or '.join(get_args(FrameType))}")
    return Preprocessing(
        mean=fields.numbers("input_mean") if fields.has("input_mean") else (),
        std=fields.numbers("input_std") if fields.has("input_std") else (),
        resize=None if height_width is None else (height_width[0], height_width[1]),
        dtype=cast(FrameType, dtype),
    )


def _write_layer(group: Any, layer: SpecLayer) -> None:
    where = f"layer {layer.name}"
    weight = narrowed(layer.weight, np.int16, f"{where}: a weight")
    group.create_dataset("weight", data=weight, compression="gzip")
    group.create_dataset("scale", data=layer.scale)
    if layer.bias is not None:
        group.create_dataset("bias", data=narrowed(layer.bias, np.int32, f"{where}: a bias"))
    for number, synapse in enumerate(layer.joined):
        own = group.create_group(f"synapses/{number}")
        weight = narrowed(synapse.weight, np.int16, f"{where}: a weight")
        own.create_dataset("weight", data=weight, compression="gzip")
        own.attrs.update(input_shape=synapse.input_shape, geometry=_geometry_text(synapse.geometry))
        _write_source(own, synapse.source)
    _write_source(group, layer.source)
    pool = None if layer.pool is None else vars(layer.pool)
    group.attrs.update(
        name=layer.name,
        relu=layer.relu,
        threshold=layer.threshold,
        shift=layer.shift,
        remembers=layer.is_stateful,
        relay=layer.is_relay,
        input_shape=layer.input_shape,
        geometry=_geometry_text(layer.geometry),
        pool=json.dumps(pool),
    )


def _write_source(group: Any, source: str | None) -> None:
    if source is not None:
        group.attrs["source"] = source


def _geometry_text(geometry: Geometry) -> str:
    return json.dumps({"type": geometry.name, **vars(geometry)})


def _read_layer(fields: H5Fields) -> SpecLayer:
    name = fields.text("name")
    bias = fields.array("bias", "iu", 1) if fields.has("bias") else None
    return SpecLayer(
        name=name,
        geometry=_geometry(fields.text("geometry")),
        weight=narrowed(fields.array("weight", "iu"), np.int16, f"layer {name}: a weight"),
        bias=None if bias is None else narrowed(bias, np.int32, f"layer {name}: a bias"),
        relu=fields.flag("relu"),
        pool=_pool(fields.text("pool")),
        threshold=fields.integer("threshold"),
        scale=fields.array("scale", "f", 1).astype(np.float64),
        input_shape=_shape(fields),
        shift=fields.integer("shift", SHIFT),
        is_stateful=fields.flag("remembers", True),
        # Files of earlier versions mark relays by their names.
        is_relay=fields.flag("relay", name.endswith("_relay")),
        source=_source(fields),
        joined=tuple(_read_joined(fields, name)),
    )


def _source(fields: H5Fields) -> str | None:
    return fields.text("source") if fields.has("source") else None


def _read_joined(fields: H5Fields, name: str) -> Iterator[Synapse]:
    number = 0
    while (own := fields.inner(f"synapses/{number}")) is not None:
        weight = narrowed(own.array("weight", "iu"), np.int16, f"layer {name}: a weight")
        yield Synapse(_geometry(own.text("geometry")), weight, _shape(own), _source(own))
        number += 1


def _geometry(text: str) -> Geometry:
    values = _values(text)
    return kind_named(values.pop("type", None))(**values)


def _pool(text: str) -> Pool | None:
    return None if text == "null" else Pool(**_values(text))


def _values(text: str) -> dict[str, Any]:
    """The JSON object of a geometry or a pool, whose constructors check the values."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"a geometry {text[:80]}, expected an object")
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }


def _shape(fields: H5Fields) -> Shape:
    channels, height, width = fields.integers("input_shape", 3)
    return (channels, height, width)
