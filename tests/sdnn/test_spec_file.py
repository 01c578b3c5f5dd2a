"""sdnn.h5: what is written is read back, and damage is refused in a sentence."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from networks import moving_frames, random_spec

from ann2sdnn.errors import ModelError, OutputError
from ann2sdnn.sdnn.engine import Engine
from ann2sdnn.sdnn.network import network_from_spec
from ann2sdnn.sdnn.spec_file import read_spec, write_spec


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
    first, second = (Engine(network_from_spec(s)).run(frames).outputs for s in (spec, again))
    assert (first == second).all()


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
