"""Commands killed while they write leave the old folder, the new one or none, and can be repeated.

`make interrupt` kills more commands, at random moments and many times, and fills their disk.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from applications_script import script
from doc_blocks import ROOT
from small_commands import write_world
from typer.testing import CliRunner

from ann2sdnn.cli.app import app

commands = script("interrupted.commands")
starting = script("interrupted.starting")
trials_of = script("interrupted.trials")

SYNTH = commands.Command(
    (
        *("synth", "out", "--subjects", "1", "--movements", "1", "--kinds", "walk"),
        *("--frames", "2", "--workers", "1"),
    ),
    older=("--seed", "7"),
    whole=True,
)
CONVERT = commands.Command(
    (
        *("convert", "net.onnx", "--calibrate", "frames.npy", "--thresholds", "none"),
        *("--out", "out"),
    ),
    older=("--frames", "8"),
    whole=True,
)


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Undisturbed, commands run in this process, which has imported everything."""
    write_world(tmp_path)
    # What lies in shared memory may belong to tests that run beside this one.
    monkeypatch.setattr(trials_of, "_shared_memory", set)

    def undisturbed(arguments: tuple[str, ...], folder: Path) -> "subprocess.CompletedProcess[str]":
        with monkeypatch.context() as context:
            context.chdir(folder)
            done = CliRunner().invoke(app, arguments)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.output, done.output)

    return trials_of.Trials(request.param, tmp_path, starting.NewInterpreters(), undisturbed)


@pytest.mark.parametrize(
    ("trials", "first", "last"),
    [(SYNTH, ".ann2sdnn", "synthetic.json"), (CONVERT, "sdnn.h5", "report.json")],
    indirect=["trials"],
    ids=["synth", "convert"],
)
def test_a_killed_command_leaves_nothing_half(trials: Any, first: str, last: str) -> None:
    """Killed while it writes, and when all is written; the second time the old folder is there."""
    assert trials.older != trials.expected
    trials.kill(0.0, first)
    trials.kill(0.0, last)
    assert trials.result.faults == []
    assert trials.result.trials == 2
    assert trials.result.ended < 2


@pytest.mark.parametrize("trials", [SYNTH], indirect=True, ids=["synth"])
def test_a_part_of_a_folder_is_noticed(trials: Any) -> None:
    (name, *_) = trials.expected
    (trials.world / "out").mkdir()
    (trials.world / "out" / name).write_bytes((trials.world / "older" / name).read_bytes())
    trials._look("here")
    assert "a part of the folder" in trials.result.faults[0]


@pytest.mark.slow
def test_commands_survive_kills_and_full_disks() -> None:
    """All commands of `make interrupt`, killed at two random moments each."""
    done = subprocess.run(
        (sys.executable, str(ROOT / "benchmarks" / "interruption.py"), "--trials", "2"),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    n = len(commands.COMMANDS)
    assert done.stdout.endswith(f"{2 * n} kills, {3 * n} full disks, 0 faults\n")
