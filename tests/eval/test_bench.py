"""`bench`: networks timed on the same frames, their distances, and the backends' messages."""

import io
import json
import shutil
import statistics
import sys
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
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.eval.bench.bench import bench
from ann2sdnn.eval.bench.networks.registry import NETWORKS
from ann2sdnn.eval.bench.options import BenchOptions
from ann2sdnn.eval.bench.report import BenchReport
from ann2sdnn.eval.bench.sheet import bench_sheet
from ann2sdnn.graph.operations import FloatNetwork
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
    for name in ("engine", "slayer", "torch", "onnxruntime", "onnxruntime_int8"):
        rounds = found["all_ms_per_frame"][name]
        assert len(rounds) == 2
        assert found[f"{name}_ms_per_frame"] == statistics.median(rounds)
    assert found["mixed_ms_per_frame"] is None
    assert found["fastest"] == min(
        found["all_ms_per_frame"], key=lambda n: found[f"{n}_ms_per_frame"]
    )
    assert found["displacement_px"]["torch"] == found["displacement_px"]["onnxruntime"] == 0
    assert 0 < found["relative_error"]["onnxruntime_int8"] < 0.1
    assert BenchReport.model_validate(found).model_dump() == found


def test_distances_are_those_of_the_outputs_from_the_float_network(folder: Path) -> None:
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=4, rounds=1))
    conversion = open_conversion(folder / "sdnn")
    frames = torch.from_numpy(next(open_frames(folder / "data")[0].part(0, 4).chunks()))
    ann = FloatNetwork(conversion.graph)
    comparison = HeatmapComparison()
    comparison.add(ann(ann.encode(frames)), Engine(conversion.spec).run(frames).outputs)
    expected = comparison.result()
    assert report.displacement_px["engine"] == expected.displacement_px_mean
    assert report.relative_error["engine"] == pytest.approx(expected.heatmap_relative_error)


@pytest.mark.lava
def test_the_engines_own_point_has_a_row_and_messages_are_compared_on_lavas(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "sdnn", tmp_path / "sdnn")
    add_points(tmp_path / "sdnn")
    report = bench(tmp_path / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert report.messages_equal
    assert report.ms_per_frame["mixed"] in report.all_ms_per_frame["mixed"]
    assert "SDNN, engine, its own point" in [row[0] for row in bench_sheet(report).rows]
    without = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert set(report.ms_per_frame) - set(without.ms_per_frame) == {"mixed"}
    assert len(bench_sheet(without).rows) == len(without.ms_per_frame)


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

    monkeypatch.setattr("ann2sdnn.eval.bench.networks.sdnn.make_backend", make)
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

    monkeypatch.setattr("ann2sdnn.eval.bench.networks.sdnn.make_backend", make)
    monkeypatch.setattr("ann2sdnn.eval.bench.networks.sdnn.has_lava", lambda: True)
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert report.messages_equal is None
    assert report.messages_compared == 0
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sheet_text(bench_sheet(report)))
    assert "Messages of engine and slayer: - (0 compared)" in console.export_text()


def test_without_lava_the_others_are_timed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ann2sdnn.eval.bench.networks.sdnn.has_lava", lambda: False)
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert report.model_dump()["slayer_ms_per_frame"] is None
    assert report.messages_equal is None
    assert {"engine", "torch", "onnxruntime", "onnxruntime_int8"} <= set(report.ms_per_frame)
    assert any("slayer was not timed" in note for note in bench_sheet(report).notes)
    assert not any("Messages" in note for note in bench_sheet(report).notes)


def test_without_openvino_one_sentence_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    report = bench(folder / "sdnn", folder / "data", BenchOptions(frames=2, rounds=1))
    assert "onnxruntime_int8" in report.ms_per_frame
    assert {"openvino", "openvino_bf16", "openvino_int8"} <= set(report.not_timed)
    notes = [note for note in bench_sheet(report).notes if "OpenVINO" in note]
    assert len(notes) == 1
    assert "pip install openvino" in notes[0]


def test_the_winner_is_named_twice_where_it_is_less_exact_than_the_sdnn() -> None:
    times = {"torch": 50.0, "openvino_bf16": 12.0, "openvino_int8": 7.0, "engine": 20.0}
    notes = verdict(times, {"torch": 0, "openvino_bf16": 0.2, "openvino_int8": 0.6, "engine": 0.5})
    assert notes == [
        "Fastest: ANN, OpenVINO int8.",
        "Fastest of those at most as far from the ANN as SDNN, engine (0.50 px): ANN, OpenVINO"
        " bf16.",
    ]
    notes = verdict(times, {"torch": 0, "openvino_bf16": 0.2, "openvino_int8": 0.5, "engine": 0.5})
    assert notes == [
        "Fastest: ANN, OpenVINO int8, also of those at most as far from the ANN as SDNN, engine"
        " (0.50 px)."
    ]
    assert verdict(times, dict.fromkeys(times)) == ["Fastest: ANN, OpenVINO int8."]


def test_the_sdnn_that_rivals_are_compared_with_is_the_faster_one() -> None:
    px: dict[str, float | None] = {"torch": 0, "onnxruntime_int8": 0.6, "engine": 0.5, "mixed": 0.7}
    times = {"torch": 50.0, "onnxruntime_int8": 9.0, "engine": 20.0, "mixed": 10.0}
    (sentence,) = verdict(times, px)
    assert sentence.endswith("as far from the ANN as SDNN, engine, its own point (0.70 px).")
    times |= {"mixed": 8.0}
    assert verdict(times, px) == ["Fastest: SDNN, engine, its own point."]


def test_a_network_that_is_wrong_is_not_the_fastest() -> None:
    times = {"torch": 50.0, "openvino_int8": 7.0, "engine": 20.0}
    report = report_of(times, dict.fromkeys(times), error={"openvino_int8": 1.2, "engine": 0.1})
    assert (report.fastest, report.fastest_as_close) == ("engine", "engine")
    wrong = "ANN, OpenVINO int8 is wrong: an output of zeros would be closer to the ANN."
    assert wrong in bench_sheet(report).notes


def verdict(times: dict[str, float], px: dict[str, float | None]) -> list[str]:
    """What the table says about who is the fastest."""
    notes = bench_sheet(report_of(times, px)).notes
    return [note for note in notes if note.startswith("Fastest")]


def report_of(
    times: dict[str, float],
    px: dict[str, float | None],
    *,
    error: dict[str, float] | None = None,
) -> BenchReport:
    """A report with one round."""
    return BenchReport(
        frames=2,
        rounds=1,
        threads=1,
        messages_equal=None,
        messages_compared=0,
        first_ms=times,
        all_ms_per_frame={name: [ms] for name, ms in times.items()},
        displacement_px=px,
        relative_error={name: (error or {}).get(name) for name in times},
        not_timed={},
    )


def test_a_table_with_every_network_has_80_columns() -> None:
    names = tuple(NETWORKS)
    report = BenchReport(
        frames=16,
        rounds=3,
        threads=2,
        messages_equal=True,
        messages_compared=10**9,
        first_ms=dict.fromkeys(names, 1234.5),
        all_ms_per_frame={name: [1234.5, 2234.5, 3234.5] for name in names},
        displacement_px=dict.fromkeys(names, 12.34),
        relative_error=dict.fromkeys(names, 0.1234),
        not_timed={},
    )
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(sheet_text(bench_sheet(report)))
    rows = [line for line in console.export_text().splitlines() if "2234.5" in line]
    assert len(rows) == len(names)
    assert max(map(len, rows)) <= 80
    for entry, row in zip(NETWORKS.values(), rows, strict=True):
        assert row.startswith(entry.label)


@pytest.mark.parametrize("options", [{"frames": 0}, {"rounds": 0}])
def test_nothing_to_time_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"expected a whole number from [12]"):
        BenchOptions(**options)
