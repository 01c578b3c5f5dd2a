"""The same command writes the same bytes, in another process and at another time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_commands import write_world
from typer.testing import CliRunner

from ann2sdnn.cli.app import app

_PROGRAM = "from ann2sdnn.cli.app import main; main()"
# Of the report: the only key whose value is a time.
_TIMES = "seconds"


def twice(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    """Write `first` in this process, and `second` in one that orders sets otherwise.

    The start of the other process takes longer than the second by which HDF5 counts times.
    """
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, [*arguments, "first"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    other = str(1 + (os.environ.get("PYTHONHASHSEED") == "1"))
    subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments, "second"],
        env={**os.environ, "PYTHONHASHSEED": other},
        check=True,
        capture_output=True,
    )


def contents(folder: Path) -> dict[str, Any]:
    """Files by name; of the report everything but times."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    if "report.json" in found:
        report = json.loads(found["report.json"])
        assert report.pop(_TIMES)
        found["report.json"] = json.dumps(report, indent=2)
    return found


def test_synth_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("--subjects", "1", "--movements", "1", "--kinds", "walk", "--frames", "2")
    twice(monkeypatch, tmp_path, "synth", *few, "--workers", "1")
    assert len(list((tmp_path / "first").glob("*.h5"))) == 2
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_convert_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path)
    twice(monkeypatch, tmp_path, "convert", "net.onnx", "--calibrate", "frames.npy", "--out")
    first = contents(tmp_path / "first")
    assert {"sdnn.h5", "report.json", "network.net"} <= set(first)
    assert first == contents(tmp_path / "second")
