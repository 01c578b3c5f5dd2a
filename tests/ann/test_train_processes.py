"""A training in two processes: the same network again, and one end for both of them."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recordings import write_recordings

from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.train import train
from ann2sdnn.ann.weights.checkpoint import read_checkpoint
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.training.ranks import running_fabric

SCRIPT = Path(__file__).resolve().parents[1] / "rank_script.py"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
OPTIONS: dict[str, Any] = {"epochs": 2, "crop": (32, 32), "validation_frames": 2, "workers": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("processes") / "data", subjects=2, frames=6)


def run(
    data: Path, out: Path, *launcher: str, devices: int = 2, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """The command in two processes; it has two minutes, and less work than for two seconds."""
    options = ["--epochs=2", "--crop=32x32", "--validation-frames=2", "--workers=0"]
    words = ["train-ann", "--data", str(data), "--out", str(out), *options, "--quiet"]
    return subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), *words, f"--devices={devices}"],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def weights(out: Path) -> dict[str, NDArray[np.float32]]:
    return read_checkpoint(out / "last.safetensors")[0]


def losses(out: Path) -> Sequence[float]:
    return [row["loss"] for row in json.loads((out / "train.json").read_text())["history"]]


def test_two_processes_learn_what_one_does(data: Path, tmp_path: Path) -> None:
    two, again, one = (tmp_path / name for name in ("two", "again", "one"))
    digests = tmp_path / "digests"
    digests.mkdir()
    own, by_torchrun = run(data, two, DIGESTS=str(digests)), run(data, again, *TORCHRUN)
    assert own.returncode == 0, own.stderr
    assert by_torchrun.returncode == 0, by_torchrun.stderr
    # Every process ends with the same network, and whoever starts them gets the same one.
    assert (digests / "rank0").read_text() == (digests / "rank1").read_text()
    assert (two / "last.safetensors").read_bytes() == (again / "last.safetensors").read_bytes()
    # The same pictures per step in one process: but for rounding the same steps.
    train(data, one, TrainOptions(batch_size=4, **OPTIONS))
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
    begun = tmp_path / "begun"
    train(data, begun, TrainOptions(batch_size=4, **{**OPTIONS, "max_steps": 1}))
    moved, apart = (
        sum(np.abs(weights(a)[name] - weights(b)[name]).sum() for name in weights(one))
        for a, b in ((begun, one), (two, one))
    )
    assert apart < 0.1 * moved


@pytest.mark.parametrize(
    ("fails", "sentence"),
    [
        ("1:raises", "process 1 of the 2 of this machine, counted from 0, has ended with exit"),
        ("0:raises", "recording S1_session1_mov1 cannot be read"),
        pytest.param("1:is killed", "has ended by signal 9, perhaps", marks=pytest.mark.slow),
        pytest.param("1:has a bug", "has ended with exit code 1", marks=pytest.mark.slow),
        pytest.param("1:never starts", "has ended with exit code 3", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_fails_ends_the_run(
    data: Path, tmp_path: Path, fails: str, sentence: str
) -> None:
    ended = run(data, tmp_path / "run", FAIL=fails)
    assert ended.returncode == 2
    said = ended.stderr.splitlines()
    assert sentence in said[-1]
    assert said[-1].startswith("ann2sdnn: ")
    if fails.endswith("raises"):
        assert "ann2sdnn: recording S1_session1_mov1 cannot be read; copy it again" in said
    assert not (tmp_path / "run" / "model.onnx").exists()


@pytest.mark.slow
def test_torchrun_ends_with_a_process_that_fails(data: Path, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run", *TORCHRUN, FAIL="1:raises")
    assert ended.returncode == 1
    assert "ann2sdnn: recording S1_session1_mov1 cannot be read; copy it again" in ended.stderr


def test_torchrun_and_the_options_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    started = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    expected = "expected --devices 4 --num-nodes 2"
    with pytest.raises(UsageError, match=expected), running_fabric("cpu", 1):
        pass


def test_machines_have_to_know_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="--num-nodes 2"), running_fabric("cpu", 1, num_nodes=2):
        pass
