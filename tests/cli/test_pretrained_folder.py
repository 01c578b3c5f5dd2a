"""The shipped conversion by its name: in the commands, and as ``pretrained()`` in Python."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import typer
from commands import COMMANDS
from recordings import write_recordings
from typer.testing import CliRunner

import ann2sdnn as a2s
from ann2sdnn.ann.weights.pretrained import PRETRAINED, SHIPPED
from ann2sdnn.cli.app import app
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.support.errors import OutputError, UsageError


def run(*arguments: str) -> str:
    """The output of a command, in one line."""
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recordings."""
    write_recordings(tmp_path / "data", subjects=1, frames=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shipped() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in SHIPPED.iterdir()}


def test_it_was_converted_from_the_shipped_network() -> None:
    opened, report = open_conversion(SHIPPED), a2s.pretrained().report
    assert opened.model.sha256 == opened.spec.source_sha256 == report.source_sha256
    assert [layer.name for layer in report.layers] == [one.name for one in opened.spec.layers]
    assert report.calibration_frames >= 64
    assert str(Path.home()) not in (SHIPPED / "report.json").read_text()
    assert sum(len(content) for content in shipped().values()) < 1_500_000


def test_evaluate_compares_it_as_python_does(place: Path) -> None:
    before = shipped()
    said = run("evaluate", "pretrained", "--data", "data", "--split", "all", "--channels", "2",
               "--frames", "3", "--quiet")  # fmt: skip
    assert "Report: pretrained-evaluation/report.html" in said
    report = json.loads((place / "pretrained-evaluation" / "evaluation.json").read_text())
    (frames,) = a2s.open_frames(place / "data", Dhp19Options((2,)))
    pictures = torch.from_numpy(np.concatenate(list(frames.chunks())))
    result = a2s.pretrained().run(pictures, point="lava")
    assert result.outputs.shape == (3, 13, 260, 344)
    assert result.outputs.any()
    assert report["sdnn"]["synops_per_frame"] == int(result.synops.sum()) / 3
    with pytest.raises(OutputError, match=r"pretrained-evaluation/evaluation\.json exists already"):
        run("evaluate", "pretrained", "--data", "data")
    assert shipped() == before


def test_export_writes_the_named_file_only(place: Path) -> None:
    with pytest.raises(UsageError, match="name the file to write with --out"):
        run("export", "pretrained")
    run("export", "pretrained", "--out", "network.net")
    with h5py.File(place / "network.net") as file:
        assert len(file["layer"]) > 17  # its layers, and those that lowering adds
    assert not (SHIPPED / "network.net").exists()


def test_a_folder_of_that_name_goes_first(place: Path) -> None:
    assert "SDNN needs" in run("inspect", "pretrained")
    (place / PRETRAINED).mkdir()
    done = CliRunner().invoke(app, ["inspect", "pretrained"])
    assert "pretrained/report.json does not exist" in str(done.exception)


def test_every_command_on_a_conversion_takes_the_name(place: Path) -> None:
    opened = {
        name: parameter.process_value(typer.Context(made), "pretrained")
        for name, made in COMMANDS.items()
        for parameter in made.params
        if parameter.name == "folder"
    }
    named = ("bench", "drift", "evaluate", "export", "inspect", "live", "simulate", "train-sdnn")
    assert opened == dict.fromkeys(named, SHIPPED)


@pytest.mark.lava
def test_diagnose_takes_the_name(place: Path) -> None:
    np.save(place / "small.npy", np.zeros((2, 1, 16, 20), np.uint8))
    with pytest.raises(UsageError, match=r"the conversion takes \[1, 260, 344\]"):
        run("diagnose", "--network", "pretrained", "--data", "small.npy", "--out", "diagnosis")
