"""A written network file holds legal integers where netx looks for them."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from damage import accepted, byte_damages, h5_damages
from networks import MAX_POOL, random_spec

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import (
    first_layer_is_dense,
    stock_legal,
    write_netx,
)
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.netx.input import GROUP
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError, ModelError


def one_layer(**changes: object) -> Spec:
    layer = SpecLayer(
        name="only",
        geometry=Convolution(pads=(1, 1, 1, 1)),
        weight=np.full((2, 1, 3, 3), 4, np.int16),
        bias=np.array([1, -2], np.int32),
        relu=True,
        pool=None,
        threshold=3,
        scale=np.array([2.0, 3.0]),
        input_shape=(1, 4, 5),
    )
    return Spec((1, 4, 5), 1.0, 4, Grid(6), (replace(layer, **changes),), "")  # type: ignore[arg-type]


def test_a_layer_is_written_as_lava_dl_writes_it(tmp_path: Path) -> None:
    write_netx(tmp_path / "a.net", lower_spec(one_layer()))
    with h5py.File(tmp_path / "a.net") as file:
        assert sorted(file["layer"]) == ["0", "1"]
        assert file["layer/0/type"][0] == b"input"
        assert file["layer/0/shape"][()].tolist() == [1, 4, 5]
        layer = file["layer/1"]
        assert layer["type"][0] == b"conv"
        assert layer["shape"][()].tolist() == [2, 4, 5]
        assert layer["padding"][()].tolist() == [1, 1]
        assert layer["weight"][()].tolist() == np.full((2, 1, 3, 3), 4).tolist()
        assert layer["bias"][()].tolist() == [1, -2]
        assert layer["neuron/type"][()] == b"SDNN"
        assert layer["neuron/vThMant"][()] == 3


def test_what_netx_does_not_know_stands_beside(tmp_path: Path) -> None:
    """Threshold 3/64 of what is sent, in state units 3 * 2^(6 + 8); fine thresholds round up."""
    spec = one_layer(shift=8)
    write_netx(tmp_path / "a.net", lower_spec(spec))
    extras = read_extras(tmp_path / "a.net")
    assert (extras.shifts.tolist(), extras.vth.tolist()) == ([8], [3 << 14])
    assert extras.output_scale.tolist() == [2.0, 3.0]
    assert extras.names == ("only",)
    assert extras.unpacking.shape == (2, 4, 5)
    assert not stock_legal(lower_spec(spec))
    assert stock_legal(lower_spec(one_layer()))
    fine = replace(one_layer(), grid=Grid(6, threshold_bits=2))
    write_netx(tmp_path / "fine.net", lower_spec(fine))
    assert read_extras(tmp_path / "fine.net").vth.tolist() == [3 << 10]
    with h5py.File(tmp_path / "fine.net") as file:
        assert file["layer/1/neuron/vThMant"][()] == 1


def test_what_is_not_legal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    with pytest.raises(ConversionError, match=r"layer only: a bias of .* does not fit the 24 bits"):
        write_netx(path, lower_spec(one_layer(bias=np.array([1 << 12, 0], np.int32))))
    layer = replace(one_layer().layers[0], threshold=(4095 << 6) + 1)
    fine = replace(one_layer(), grid=Grid(5, threshold_bits=6), layers=(layer,))
    with pytest.raises(ConversionError, match=r"layer only: a threshold of 4096/64, as netx"):
        write_netx(path, lower_spec(fine))
    for geometry, size in (
        (Convolution(stride=(128, 1), pads=(1, 1, 1, 1)), 128),
        (Convolution(dilation=(1, 130), pads=(1, 130, 1, 130)), 130),
    ):
        with pytest.raises(ConversionError, match=rf"stride, dilation .* {size}; .* 127 at most"):
            write_netx(path, lower_spec(one_layer(geometry=geometry)))
    lowered = lower_spec(random_spec(pool=MAX_POOL))
    with pytest.raises(ConversionError, match="layer1 is not lowered"):
        write_netx(path, replace(lowered, spec=random_spec(pool=MAX_POOL)))
    assert not path.exists()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"weight": np.full((2, 1, 3, 3), 256, np.int16)}, "no even integer in -256..254"),
        ({"weight": np.full((2, 1, 3, 3), 3, np.int16)}, "no even integer in -256..254"),
        ({"threshold": -1}, "a threshold of -1; expected a whole number, 0 or more"),
        ({"threshold": 1 << 11}, "exceeds the 24 bits of the state"),
        ({"shift": 15}, "expected 0 to 14"),
    ],
)
def test_what_no_layer_may_hold_never_reaches_a_file(
    changes: dict[str, object], found: str
) -> None:
    with pytest.raises(ModelError, match=found):
        one_layer(**changes)


def test_an_input_gain_beyond_the_bits_of_a_message_is_refused() -> None:
    with pytest.raises(ModelError, match="a pixel of 255 must fit 16 bits"):
        replace(one_layer(), input_gain=129)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.net", "w") as file:
        file.create_group("layer")
    with pytest.raises(ModelError, match="is no network file that `ann2sdnn export` wrote"):
        read_extras(tmp_path / "a.net")


def test_whatever_is_missing_beside_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "network.net"
    write_netx(path, lower_spec(one_layer()))
    own = [one for one in h5_damages(path) if one[0].startswith(GROUP)]
    found = accepted(path, read_extras, byte_damages(path), own)
    # Whose network it was is written for people.
    assert all(name.startswith("ann2sdnn@source_sha256") for name in found)
    first = [one for one in h5_damages(path) if one[0].startswith("layer/1/type missing")]
    assert first
    assert not accepted(path, first_layer_is_dense, byte_damages(path), first)
