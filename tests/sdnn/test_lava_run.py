"""The exported network in lava-nc itself: equal to slayer, and nothing left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import needs_lava  # noqa: F401
import numpy as np
import pytest
import torch
from networks import MAX_POOL, moving_frames, random_spec

from ann2sdnn.eval.simulate import simulate
from ann2sdnn.sdnn.lava.convolution import ExactConvolution
from ann2sdnn.sdnn.lava.importing import import_lava
from ann2sdnn.sdnn.lava.network import load_network
from ann2sdnn.sdnn.lava.run import run_lava
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.netx.export import write_netx
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import SimulationError

# The worker, two processes a layer, source and sink, at the least.
N_PROCESSES = 1 + 2 * 7 + 2


def shifted_spec(*, dense: bool = False) -> Spec:
    spec = random_spec(threshold=2, pool=MAX_POOL, dense=dense)
    shifts = (6, 7, 6, 5, 6, 6, 6)
    layers = tuple(replace(x, shift=s) for x, s in zip(spec.layers, shifts, strict=False))
    return replace(spec, layers=layers)


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test does: no process and no shared memory of its own outlives it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    shared = set(Path("/dev/shm").glob("a2s*"))
    yield
    assert not processes(tmp_path)
    assert set(Path("/dev/shm").glob("a2s*")) <= shared


def processes(folder: Path) -> list[int]:
    """All processes of the simulations whose files lie in ``folder``, the workers first."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    marker = f"ann2sdnn.sdnn.lava.worker {folder}"
    lines = [line for line in listing.stdout.splitlines() if marker in line]
    return sorted(int(line.split()[0]) for line in lines)


def test_stock_netx_loads_the_file_unmodified(tmp_path: Path) -> None:
    Network = import_lava("lava.lib.dl.netx.hdf5").Network

    lowered = lower_spec(random_spec(pool=MAX_POOL, dense=True))
    write_netx(tmp_path / "a.net", lowered)
    network = Network(net_config=str(tmp_path / "a.net"), input_message_bits=16)
    assert len(network.layers) == len(lowered.spec.layers)
    assert tuple(network.inp.shape) == lowered.spec.input_shape[::-1]
    assert {int(layer.neuron.state_exp.init) for layer in network.layers} == {6}


def test_our_loader_applies_the_right_shifts(tmp_path: Path) -> None:
    lowered = lower_spec(shifted_spec())
    write_netx(tmp_path / "a.net", lowered)
    network = load_network(tmp_path / "a.net")
    found = [int(layer.neuron.state_exp.init) for layer in network.layers]
    assert found == [6, 6, 6, 7, 6, 5, 6]
    assert [int(layer.neuron.vth.init) for layer in network.layers[:4]] == [2 << 12, 0, 0, 2 << 13]


def test_every_message_in_lava_equals_slayer() -> None:
    """Pooling, transposed convolution, biases, thresholds, right shifts, dense layers."""
    result = simulate(shifted_spec(dense=True), moving_frames(4))
    assert result.largest == 0
    assert all(layer.sent > 0 for layer in result.layers)
    assert np.array_equal(result.lava_joints, result.slayer_joints)


@pytest.mark.slow
def test_the_stock_neuron_in_lava_equals_slayers() -> None:
    """lava-nc's own dynamics, and other messages than the corrected neuron's. Its states have 32
    bits in the simulation, so the input is one that keeps them inside 24.
    """
    spec = replace(shifted_spec(), input_gain=1)
    stock = simulate(spec, moving_frames(4), model="stock")
    assert stock.largest == 0
    corrected = simulate(spec, moving_frames(4))
    sent = [tuple(layer.sent for layer in one.layers) for one in (stock, corrected)]
    assert sent[0] != sent[1]


@pytest.mark.parametrize("amplitude", [100, 30_000])
def test_our_convolution_is_the_released_one(amplitude: int) -> None:
    """Large messages take the float64 path and wrap round at 24 bits, as the release does."""
    utils = import_lava("lava.proc.conv.utils")

    rng = np.random.default_rng(0)
    messages = rng.integers(-amplitude, amplitude + 1, (9, 7, 4)).astype(np.int32)
    weight = (2 * rng.integers(-128, 128, (6, 3, 2, 2))).astype(np.int32)
    stride, padding, dilation = (np.array(pair, np.int8) for pair in ((2, 1), (1, 2), (1, 2)))
    expected = utils.conv(messages, weight, (3, 2), stride, padding, dilation, 2)
    wrapped = utils.signed_clamp(expected, bits=24)
    found = ExactConvolution(weight, stride, padding, dilation, 2)(messages)
    assert found.dtype == np.int32
    assert np.array_equal(found, wrapped)
    assert (amplitude > 1000) == bool((expected != wrapped).any())


def when_built(folder: Path, action: int) -> threading.Thread:
    """A thread that sends ``action`` to one of lava's processes as soon as they all run."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = processes(folder)
            if len(found) > N_PROCESSES:
                os.kill(found[8], action)
                return
            time.sleep(0.02)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def run_long(path: Path, **options: float) -> None:
    messages = np.ones((3000, 1, 16, 20), np.int32)
    with run_lava(path, messages, **options):  # type: ignore[arg-type]
        pass


def test_a_dead_process_is_reported_and_everything_is_gone(tmp_path: Path) -> None:
    write_netx(tmp_path / "a.net", lower_spec(shifted_spec()))
    thread = when_built(tmp_path, signal.SIGKILL)
    with pytest.raises(SimulationError, match=r"died in .*(layer|source|sink).*SIGKILL"):
        run_long(tmp_path / "a.net")
    thread.join()
    assert not processes(tmp_path)


@pytest.mark.slow
def test_a_hang_is_reported_with_its_layer(tmp_path: Path) -> None:
    write_netx(tmp_path / "a.net", lower_spec(shifted_spec()))
    thread = when_built(tmp_path, signal.SIGSTOP)
    with pytest.raises(
        SimulationError, match=r"has not moved for 4 seconds; .* time step \d+ for layer"
    ):
        run_long(tmp_path / "a.net", hang_seconds=4)
    thread.join()
    assert not processes(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ended_by", "n_processes"),
    [(signal.SIGINT, N_PROCESSES), (signal.SIGKILL, N_PROCESSES), (signal.SIGKILL, 0)],
    ids=["Ctrl-C", "killed", "killed at its start"],
)
def test_nothing_is_left_after_an_interrupt(
    tmp_path: Path, ended_by: signal.Signals, n_processes: int
) -> None:
    write_netx(tmp_path / "a.net", lower_spec(shifted_spec()))
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from ann2sdnn.sdnn.lava.run import run_lava;"
        "run = run_lava(Path(sys.argv[1]), np.ones((3000, 1, 16, 20), np.int32)); run.__enter__()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.net")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as host:
        deadline = time.monotonic() + 60
        while len(processes(tmp_path)) <= n_processes and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(processes(tmp_path)) > n_processes
        host.send_signal(ended_by)
        host.wait(timeout=20)
    # A worker that has only started looks for its host once it has imported lava.
    deadline = time.monotonic() + (100 if ended_by == signal.SIGKILL else 0)
    while processes(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes(tmp_path)
    assert not list(tmp_path.glob("ann2sdnn-lava-*"))


@pytest.mark.slow
def test_messages_of_a_silent_input_are_silent() -> None:
    """Biases make layers speak before the first frame; the reference starts as early as lava."""
    result = simulate(shifted_spec(), torch.zeros(2, 1, 16, 20, dtype=torch.uint8))
    assert result.largest == 0
