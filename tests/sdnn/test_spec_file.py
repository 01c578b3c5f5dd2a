"""sdnn.h5: what is written is read back, and damage is refused in a sentence."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from damage import accepted, byte_damages, h5_damages
from networks import MAX_POOL, moving_frames, random_spec

from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.file import read_spec, write_spec
from ann2sdnn.support.errors import ModelError, OutputError


def test_a_spec_survives_the_file(tmp_path: Path) -> None:
    spec = random_spec(threshold=3, dense=True)
    write_spec(tmp_path / "sdnn.h5", spec)
    again = read_spec(tmp_path / "sdnn.h5")
    for before, after in zip(spec.layers, again.layers, strict=True):
        np.testing.assert_array_equal(before.weight, after.weight)
        np.testing.assert_array_equal(before.scale, after.scale)
        assert before.bias is not None
        assert after.bias is not None
        np.testing.assert_array_equal(before.bias, after.bias)
        for name in ("name", "geometry", "relu", "pool", "threshold", "input_shape"):
            assert getattr(before, name) == getattr(after, name)
    for name in ("input_shape", "input_scale", "input_gain", "grid", "source_sha256"):
        assert getattr(spec, name) == getattr(again, name)
    frames = moving_frames(4)
    first, second = (Engine(s).run(frames).outputs for s in (spec, again))
    assert (first == second).all()


FORMER_TYPES = {"conv": "Convolution", "conv-t": "TransposedConvolution", "dense": "Dense"}


def test_operations_are_named_as_in_reports_and_former_names_are_read(tmp_path: Path) -> None:
    spec = random_spec(dense=True)
    path = tmp_path / "sdnn.h5"
    write_spec(path, spec)
    types = []
    with h5py.File(path, "a") as file:
        for group in file["layers"].values():
            geometry = json.loads(group.attrs["geometry"])
            types.append(geometry["type"])
            geometry["type"] = FORMER_TYPES[geometry["type"]]
            group.attrs["geometry"] = json.dumps(geometry)
    assert types == ["conv", "conv", "conv", "conv-t", "conv", "dense", "dense"]
    again = read_spec(path)
    assert [layer.geometry for layer in again.layers] == [layer.geometry for layer in spec.layers]


def test_an_existing_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    write_spec(tmp_path / "sdnn.h5", random_spec())
    with pytest.raises(OutputError, match="exists already"):
        write_spec(tmp_path / "sdnn.h5", random_spec())
    write_spec(tmp_path / "sdnn.h5", random_spec(), force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["sdnn.h5"]


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sdnn.h5"
    with pytest.raises(ModelError, match="does not exist"):
        read_spec(path)
    path.write_text("no HDF5")
    with pytest.raises(ModelError, match="is damaged"):
        read_spec(path)
    write_spec(path, random_spec(), force=True)
    with h5py.File(path, "a") as file:
        del file["layers/02"]
    with pytest.raises(ModelError, match="is damaged"):
        read_spec(path)
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 99
    with pytest.raises(ModelError, match="schema 1; convert again"):
        read_spec(path)
    write_spec(path, random_spec(), force=True)
    with h5py.File(path, "a") as file:
        file["layers/01/weight"][0] = 3
    with pytest.raises(ModelError, match=r"layer2.*no even integer"):
        read_spec(path)


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sdnn.h5"
    write_spec(path, random_spec(pool=MAX_POOL))
    found = accepted(path, read_spec, byte_damages(path), h5_damages(path))
    layers = [f"layers/{number:02d}" for number in range(5)]
    optional = {
        f"{layer}@{name} missing" for layer in layers for name in ("shift", "remembers", "relay")
    }
    optional |= {f"{layer}/bias missing" for layer in layers}
    names = {f"{layer}@name text" for layer in layers}
    assert found == optional | names | {
        "/@input_remembers missing",
        "/@threshold_bits missing",
        "/@source_sha256 text",
    }


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("input_scale", 0.0, "an input scale of 0.0; expected a finite number above 0"),
        ("input_gain", 0, "an input gain of 0"),
        ("n_layers", 0, "a network without layers"),
        ("n_layers", 6, "'05' doesn't exist"),
        ("schema", 2, "schema 1; convert again"),
        ("spike_exp", 11, "spike_exp 11"),
        ("input_shape", [1, 0, 20], "expects an input of shape"),
        ("input_shape", [2, 16, 20], "expects an input of shape"),
    ],
)
def test_numbers_that_no_spec_has(tmp_path: Path, name: str, value: object, complaint: str) -> None:
    path = tmp_path / "sdnn.h5"
    write_spec(path, random_spec())
    with h5py.File(path, "a") as file:
        file.attrs[name] = value
    with pytest.raises(ModelError, match=rf"sdnn\.h5.*{complaint}"):
        read_spec(path)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("geometry", '{"type": "Other"}', "a linear operation Other; expected one of conv"),
        ("geometry", '{"type": "Dense", "size": 3}', "size"),
        (
            "geometry",
            '{"type": "Convolution", "stride": [1, 0]}',
            "strides = .1, 0.; expected 1",
        ),
        ("geometry", '{"type": "Convolution", "stride": 1}', "strides = .1.; expected 2"),
        ("geometry", '{"type": "Convolution", "groups": 1.5}', "group = .1.5.; expected 1"),
        ("geometry", '{"type": "Convolution", "pads": [0, NaN, 0, 0]}', "pads = "),
        ("geometry", "[]", "expected an object"),
        ("pool", '{"kind": "median", "kernel": [2, 2], "stride": [2, 2]}', "of kind median"),
        ("pool", '{"kind": "max"}', "kernel"),
        ("threshold", -1, "a threshold of -1; expected a whole number, 0 or more"),
        ("shift", 15, "a right shift of 15 bits"),
    ],
)
def test_layers_that_no_spec_has(tmp_path: Path, name: str, value: object, complaint: str) -> None:
    path = tmp_path / "sdnn.h5"
    write_spec(path, random_spec())
    with h5py.File(path, "a") as file:
        file["layers/00"].attrs[name] = value
    with pytest.raises(ModelError, match=rf"sdnn\.h5.*{complaint}"):
        read_spec(path)
