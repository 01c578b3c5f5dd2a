"""`bench`: four networks timed on the same frames, and the backends' messages compared."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from points import add_points
from recordings import write_network, write_recordings
from rich.console import Console
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.eval.bench.bench import bench, bench_sheet
from ann2sdnn.eval.bench.options import BenchOptions
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.terminal import sheet_text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    write_recordings(folder / "data", subjects=1)
    write_network(folder / "model.onnx")
    options = ConvertOptions(split="all", max_frames=4)
    convert(folder / "model.onnx", folder / "data", folder / "sdnn", options)
    return folder


@pytest.mark.lava
def test_the_command_prints_a_table_and_writes_the_numbers(folder: Path) -> None:
    path = folder / "bench.json"
    arguments = ["bench", folder / "sdnn", "--data", folder / "data", "--frames", 3]
    arguments += ["--rounds", 2, "--json", path, "--quiet"]
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80 + len(str(path))
    found = json.loads(path.read_text())
    assert found["messages_equal"] is True
    assert found["messages_compared"] > 100_000
    assert (found["frames"], found["rounds"]) == (3, 2)
    assert found["threads"] == torch.get_num_threads()
    for name in ("engine", "slayer", "torch", "onnxruntime"):
        rounds = found["all_ms_per_frame"][name]
        assert len(rounds) == 2
        assert min(rounds) <= found[f"{name}_ms_per_frame"] <= max(rounds)


@pytest.mark.lava
def test_the_engines_own_point_has_a_row_and_messages_are_compared_on_lavas(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "sdnn", tmp_path / "sdnn")
    add_points(tmp_path / "sdnn")
    report = bench(tmp_path / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert report.messages_equal
    assert report.mixed_ms_per_frame is not None
    assert report.mixed_ms_per_frame in report.all_ms_per_frame["mixed"]
    assert "SDNN, engine, its own point" in [row[0] for row in bench_sheet(report).rows]
    without = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert without.mixed_ms_per_frame is None
    assert len(bench_sheet(without).rows) == 4


@pytest.mark.lava
def test_backends_that_differ_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(Engine):
        """An engine that loses a message."""

        def run(self, frames: torch.Tensor, *, keep_messages: bool = False):  # type: ignore[no-untyped-def]
            run = super().run(frames, keep_messages=keep_messages)
            if run.messages is not None:
                run.messages[1][tuple(torch.nonzero(run.messages[1])[0])] = 0
            return run

    def make(name, spec):  # type: ignore[no-untyped-def]
        wrong = name == "engine"
        return Wrong(spec) if wrong else make_backend(name, spec)

    monkeypatch.setattr("ann2sdnn.eval.bench.bench.make_backend", make)
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert not report.messages_equal


def test_messages_that_were_not_kept_are_not_called_equal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(Engine):
        """An engine that keeps no messages."""

        def run(self, frames: torch.Tensor, *, keep_messages: bool = False):  # type: ignore[no-untyped-def]
            return super().run(frames)

    def make(name, spec):  # type: ignore[no-untyped-def]
        return Forgetful(spec)

    monkeypatch.setattr("ann2sdnn.eval.bench.bench.make_backend", make)
    monkeypatch.setattr("ann2sdnn.eval.bench.bench.has_lava", lambda: True)
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert report.messages_equal is None
    assert report.messages_compared == 0
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sheet_text(bench_sheet(report)))
    assert "Messages of engine and slayer: - (0 values compared)" in console.export_text()


def test_without_lava_the_others_are_timed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ann2sdnn.eval.bench.bench.has_lava", lambda: False)
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert (report.slayer_ms_per_frame, report.messages_equal) == (None, None)
    sheet = bench_sheet(report)
    assert len(sheet.rows) == 3
    assert "slayer was not timed" in sheet.notes[0]


@pytest.mark.parametrize("options", [{"frames": 0}, {"rounds": 0}])
def test_nothing_to_time_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"expected a whole number from [12]"):
        BenchOptions(**options)
