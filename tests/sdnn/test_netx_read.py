"""Files that are no network of slayer's sigma-delta blocks: refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import accepted, byte_damages, h5_damages
from netx_files import write_experiment

from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.netx.importer import import_netx, lower_network
from ann2sdnn.sdnn.netx.input import InputEncoding
from ann2sdnn.sdnn.netx.read import read_netx
from ann2sdnn.support.errors import ModelError


def write(path: Path) -> Path:
    """An input and a convolution, as export_hdf5 writes them."""
    with h5py.File(path, "w") as file:
        for index, kind in enumerate((b"input", b"conv")):
            group = file.create_group(f"layer/{index}")
            group.create_dataset("type", (1,), "S10", [kind])
            group["shape"] = [1 + index, 4, 5]
            group["neuron/type"] = "SDNN"
            group["neuron/activation"] = "relu"
            group["neuron/vThMant"] = 3 * index
        group["weight"] = np.full((2, 1, 3, 3), 4, np.float32)
        group["bias"] = np.array([-6, 2], np.float32)
        for name, value in {"stride": 1, "padding": 1, "dilation": 1}.items():
            group[name] = [value, value]
        group["groups"] = 1
    return path


def put(name: str, value: Any) -> Callable[[h5py.File], None]:
    """Replace one data set."""

    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


def drop(name: str) -> Callable[[h5py.File], None]:
    """Remove one data set."""

    def change(file: h5py.File) -> None:
        del file[name]

    return change


def test_a_block_is_read_as_it_stands(tmp_path: Path) -> None:
    pixels, conv = read_netx(write(tmp_path / "a.net"))
    assert (pixels.name, pixels.shape, pixels.weight, pixels.threshold) == (
        "input0",
        (1, 4, 5),
        None,
        0,
    )
    assert (conv.name, conv.shape, conv.threshold, conv.groups) == ("conv1", (2, 4, 5), 3, 1)
    assert conv.weight is not None
    assert conv.weight.dtype == np.int64
    assert conv.bias is not None
    assert conv.bias.tolist() == [-6, 2]
    assert (conv.stride, conv.padding, conv.dilation) == ((1, 1), (1, 1), (1, 1))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (drop("layer"), "has no group 'layer'"),
        (drop("layer/0"), "layer/0: no block with a type; expected blocks 0, 1, 2"),
        (put("layer/1/type", b"dense_rec"), r"layer/1 \(dense_rec\): cannot be lowered; expected"),
        (put("layer/1/neuron/type", "CUBA"), r"layer/1 \(conv\): a neuron of type CUBA; expected"),
        (drop("layer/1/neuron/type"), "a neuron of type no type"),
        (drop("layer/1/neuron"), "no neuron; expected a sigma-delta neuron"),
        (put("layer/1/neuron/activation", "tanh"), "the activation tanh; netx runs every layer"),
        (put("layer/1/neuron/vThMant", np.inf), "neuron/vThMant of inf; expected whole numbers"),
        (put("layer/1/neuron/vThMant", np.nan), "neuron/vThMant is nan; expected one whole number"),
        (put("layer/1/neuron/vThMant", 2**40), "neuron/vThMant of 1099511627776; expected whole"),
        (
            put("layer/1/bias", [2**40, 0]),
            "a bias of 1099511627776; expected whole numbers from -2",
        ),
        (put("layer/1/bias", [-np.inf, 0]), "a bias of -inf; expected whole numbers"),
        (put("layer/1/weight", np.full((2, 1, 3, 3), np.inf)), "a weight of inf; expected whole"),
        (put("layer/1/stride", [np.inf, 1.0]), "stride of inf; expected whole numbers"),
        (put("layer/1/stride", [2**40, 1]), "stride of 1099511627776; expected whole numbers"),
        (put("layer/1/groups", np.inf), "groups of inf; expected whole numbers"),
        (put("layer/1/shape", [2.5, 4.0, 5.0]), "a size of 2.5; expected whole numbers"),
        (put("layer/1/shape", [np.inf, 4.0, 5.0]), "a size of inf; expected whole numbers"),
        (put("layer/1/neuron/vThMant", [3, 4]), "neuron/vThMant is 3, 4; expected one whole"),
        (put("layer/1/weight", np.full((2, 1, 3, 3), 0.5)), "its weight is not made of whole"),
        (put("layer/1/weight", np.full((2, 1, 3, 3), np.nan)), "its weight is not made of whole"),
        (put("layer/1/bias", [0.25, 1.0]), "its bias is not made of whole numbers of 1/64"),
        (put("layer/1/weight", "none"), "no numbers weight; the file is damaged"),
        (drop("layer/1/shape"), "no numbers shape; the file is damaged"),
        (put("layer/1/shape", [2, 4]), r"the shape \[2, 4\]; expected channels, height, width"),
        (put("layer/1/stride", [1, 1, 1]), r"stride is 1, 1, 1; expected one or two whole numbers"),
        (put("layer/1/stride", [0, 1]), r"stride is 0, 1; expected one or two whole numbers"),
        (put("layer/1/delay", [0.0, 3.0]), "axonal delays"),
        (put("ann2sdnn/shift", [6]), "is lowered already"),
    ],
)
def test_a_file_of_something_else_is_refused(
    change: Callable[[h5py.File], None], complaint: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.net")
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ModelError, match=complaint):
        read_netx(path)


def test_complex_weights_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net")
    with h5py.File(path, "a") as file:
        del file["layer/1/weight"]
        file["layer/1/weight/real"] = np.ones((2, 1, 3, 3))
    with pytest.raises(ModelError, match="complex weights; expected real ones"):
        read_netx(path)


def test_a_damaged_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.net").read_bytes()
    refused = 0
    for length in range(0, len(whole), 97):
        (tmp_path / "cut.net").write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_netx(tmp_path / "cut.net")
        refused += 1
    assert refused > 20


def test_flipped_bytes_are_read_or_refused(tmp_path: Path) -> None:
    """No other exception leaves the reader, whichever byte is damaged."""
    whole = write(tmp_path / "a.net").read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for position in rng.integers(0, len(whole), 300):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        (tmp_path / "bad.net").write_bytes(damaged)
        try:
            read_netx(tmp_path / "bad.net")
        except ModelError:
            n_refused += 1
    assert n_refused > 5


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    path = write_experiment(tmp_path / "old.net")
    first = [one for one in h5_damages(path) if one[0].startswith(("layer/1/", "layer/4/"))]
    found = accepted(
        path, lambda one: lower_network(import_netx(one)), byte_damages(path), first, say=" "
    )
    # A kernel's size is that of its weight, an unnamed activation a ReLU; the rest has defaults.
    unread = {name for name in found if "kernelSize" in name}
    assert found - unread <= {
        f"layer/{block}/{name}"
        for block in (1, 4)
        for name in (
            "bias missing",
            "dilation missing",
            "groups missing",
            "stride missing",
            "padding missing",
            "neuron/activation missing",
            "neuron/vThMant of another shape",
        )
    }


def test_what_the_host_does_is_read_whole_or_refused(tmp_path: Path) -> None:
    network = import_netx(write_experiment(tmp_path / "old.net"))
    path = tmp_path / "new.net"
    write_netx(path, lower_network(network), encoding=network.encoding)
    own = [one for one in h5_damages(path) if "@slayer_input" in one[0]]
    found = accepted(path, InputEncoding.read, byte_damages(path), own)
    numbers = ("gain", "offset", "threshold")
    assert found == {f"ann2sdnn@slayer_input_{name} negative" for name in numbers}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 0.5])
@pytest.mark.parametrize("name", ["shape", "stride", "groups", "neuron/vThMant", "bias"])
def test_numbers_that_no_block_has(tmp_path: Path, name: str, value: float) -> None:
    path = write(tmp_path / "a.net")
    with h5py.File(path, "a") as file:
        size = file[f"layer/1/{name}"].shape
        put(f"layer/1/{name}", np.full(size, value))(file)
    with pytest.raises(ModelError, match=r"a\.net, layer/1 \(conv\): "):
        read_netx(path)


def test_weights_that_do_not_divide_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net")
    with h5py.File(path, "a") as file:
        put("layer/1/type", np.array([b"dense"], "S10"))(file)
        put("layer/1/shape", [4, 1, 1])(file)
        put("layer/1/weight", np.full(81, 2.0))(file)
    with pytest.raises(ModelError, match="81 weights do not divide into its 4 neurons"):
        import_netx(path)
