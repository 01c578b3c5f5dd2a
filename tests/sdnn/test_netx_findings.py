"""What `lower` says about a network that slayer trained."""

from pathlib import Path

import h5py
import numpy as np
from netx_files import write_block, write_experiment

from ann2sdnn.sdnn.netx.findings import findings, how_to_run
from ann2sdnn.sdnn.netx.importer import import_netx
from ann2sdnn.sdnn.netx.table import block_sheet


def test_the_experiments_network_is_found_out(tmp_path: Path) -> None:
    """Two sum pools, two 2x2 transposed convolutions, integer biases, thresholds of 0 in most
    layers, weights that use 7 of 127 steps.
    """
    found = findings(import_netx(write_experiment(tmp_path / "old.net")))
    pools, transposed, thresholds, levels, biases = found
    assert pools.startswith("2 sum pools (pool2, pool4): slayer's Pool adds its window up")
    assert "a gain of 4 each" in pools
    assert transposed.startswith("2 transposed convolutions (convT5, convT6), kernel/stride 2x2/2")
    assert thresholds.startswith("Thresholds of 0 in 5 of 7 layers: every change is sent")
    assert levels.startswith("The largest weight of a layer is 7 of 127 steps of 2/64")
    assert "in 5 of 5 layers" in levels
    assert biases == "Biases in 2 of 7 layers, whole numbers of 1/64, 8 at most."


def test_rows_hold_what_the_file_holds(tmp_path: Path) -> None:
    rows = block_sheet(import_netx(write_experiment(tmp_path / "old.net"))).rows
    with h5py.File(tmp_path / "old.net", "r") as file:
        weight = file["layer/3/weight"][()]
    assert [row[:2] for row in rows][:2] == [
        ("input0", "1x16x20"),
        ("conv1", "1x16x20 > 4x16x20"),
    ]
    n_values, zeros = len(set(weight.ravel().tolist())), np.mean(weight == 0)
    assert rows[3] == (
        *("conv3", "4x8x10 > 6x8x10", "3x3/1", "1 0.0156", "7"),
        *(str(n_values), f"{zeros:.0%}", ""),
    )
    assert rows[1][-1] == "-4..8"
    assert rows[2][4] == "32"


def test_other_kinds_of_blocks_are_named(tmp_path: Path) -> None:
    """An averaging pool, an unpooling, a norm with a power of two, a final average."""
    square = {"kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    with h5py.File(tmp_path / "old.net", "w") as file:
        write_block(file, "input", (2, 4, 6), 5)
        write_block(file, "pool", (2, 2, 3), 1, weight=np.full((1, 1, 2, 2), 16), **square)
        write_block(file, "unpool", (2, 4, 6), 1, weight=np.full((1, 1, 2, 2), 64), **square)
        write_block(file, "flatten", (48, 1, 1))
        write_block(file, "dense", (6,), 1, weight=np.full((6, 48), 254))
        file["layer/4/neuron/weight_exp"] = -2.0
        write_block(file, "average", (3, 1, 1))
    network = import_netx(tmp_path / "old.net")
    average, unpooling, no_bias, exponents, host = findings(network)
    assert average == "1 pool (pool1): each averages its window."
    assert unpooling.startswith("1 unpooling (unpool2)")
    assert no_bias == "No layer has a bias."
    assert exponents.startswith("1 layer divides (dense4) by a power of two")
    assert host.startswith("The final average of 2 channels each")
    encoder, loader = how_to_run(network)
    assert "128 message units per count, where it is 320 or more" in encoder
    assert loader.startswith("netx knows one right shift only, so the number stands beside")


def test_a_network_with_thresholds_runs_on_stock_netx(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.net", "w") as file:
        write_block(file, "input", (6, 1, 1), 0)
        write_block(file, "dense", (3,), 1, weight=np.full((3, 6), 254))
    network = import_netx(tmp_path / "old.net")
    assert how_to_run(network)[1].startswith("Stock netx with lava-nc's released neuron computes")
