"""The command `results`: steps that are done stay, commands are recorded, ratios are right."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import COMMANDS
from evaluations import MIXED, make_report
from onnx_models import ModelBuilder
from recordings import write_network

from ann2sdnn.cli import results as command
from ann2sdnn.eval.bench.report import BenchReport
from ann2sdnn.eval.study.document import methods, times
from ann2sdnn.eval.study.options import StudiedNetwork, StudyOptions, published_network
from ann2sdnn.eval.study.records import MethodRow, StudyTable
from ann2sdnn.eval.study.runner import run_steps
from ann2sdnn.eval.study.steps import study_steps
from ann2sdnn.eval.study.study import study
from ann2sdnn.eval.study.tables import (
    ann_rows,
    check_same_frames,
    memoryless_rows,
    sdnn_rows,
    time_table,
)
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.support.errors import Ann2SdnnError, DataError, ModelError, OutputError
from ann2sdnn.support.progress import SILENT

TINY = {"recorded_frames": 2, "calibration_people": 1, "people": 1, "movements": 1}
SIZE = StudyOptions(
    windows=("overlapping",), conversions=("stock", "sparse"), calibration_movements=1, **TINY
)


def written(folder: Path) -> Callable[[Sequence[str]], int]:
    """A command that writes a file of the output's name, and counts its calls."""

    def execute(words: Sequence[str]) -> int:
        execute.calls.append(tuple(words))  # type: ignore[attr-defined]
        named = {"synth": 1, "convert": words.index("--out") + 1 if "--out" in words else 0}
        place = named.get(words[0]) or words.index("--json" if words[0] == "bench" else "--out") + 1
        output = Path(words[place])
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("made")
        return 0

    execute.calls = []  # type: ignore[attr-defined]
    return execute


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_network(tmp_path / "model.onnx")


class Runs:
    """Runs the steps of a size in one folder; ``run`` returns the commands that were run."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model

    def run(self, *, again: bool = False, size: StudyOptions = SIZE) -> list[str]:
        steps = study_steps(size, (StudiedNetwork("tiny", "Tiny", self.model),))
        execute = written(self.folder)
        run_steps(self.folder, steps, execute, again=again, reporter=SILENT)
        return [words[0] for words in execute.calls]  # type: ignore[attr-defined]


ALL = ["synth"] * 2 + ["convert", "evaluate", "bench"] * 2


def test_only_steps_that_are_not_done_as_asked_are_run(tmp_path: Path, model: Path) -> None:
    runs = Runs(tmp_path / "out", model)
    assert runs.run() == ALL
    assert runs.run() == []
    assert runs.run(again=True) == ALL
    # Another number of frames is another command line.
    more = StudyOptions(
        windows=("overlapping",),
        conversions=("stock", "sparse"),
        calibration_movements=1,
        frames=7,
        **TINY,
    )
    assert runs.run(size=more) == ["evaluate"] * 2
    assert runs.run(size=more) == []
    # Another network.
    write_network(model, seed=1)
    assert runs.run(size=more) == ["convert", "evaluate", "bench"] * 2


def test_what_was_changed_or_removed_is_made_again(tmp_path: Path, model: Path) -> None:
    runs = Runs(tmp_path / "out", model)
    runs.run()
    (tmp_path / "out/tiny/overlapping/stock/sdnn").write_text("cut")
    (tmp_path / "out/tiny/overlapping/sparse/bench.json").unlink()
    # What was made from it is made again as well.
    assert runs.run() == ["convert", "evaluate", "bench", "bench"]
    (tmp_path / "out" / "steps.json").write_text("{")
    assert runs.run() == ALL


def test_what_was_made_from_an_older_output_is_made_again_after_an_interruption(
    tmp_path: Path, model: Path
) -> None:
    runs = Runs(tmp_path / "out", model)
    runs.run()
    (tmp_path / "out/tiny/overlapping/stock/sdnn").unlink()
    steps = study_steps(SIZE, (StudiedNetwork("tiny", "Tiny", model),))
    real = written(tmp_path / "out")

    def interrupted(words: Sequence[str]) -> int:
        if words[0] == "evaluate":
            raise KeyboardInterrupt
        return real(words)

    with pytest.raises(KeyboardInterrupt):
        run_steps(tmp_path / "out", steps, interrupted, again=False, reporter=SILENT)
    assert runs.run() == ["evaluate", "bench"]


def test_another_version_makes_everything_again(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path / "out", model)
    runs.run()
    monkeypatch.setattr("ann2sdnn.eval.study.runner.__version__", "99")
    assert runs.run() == ALL


def test_a_step_that_fails_is_named(tmp_path: Path, model: Path) -> None:
    steps = study_steps(SIZE, (StudiedNetwork("tiny", "Tiny", model),))
    with pytest.raises(Ann2SdnnError, match=r"`ann2sdnn synth data/overlapping/calibration .*code"):
        run_steps(tmp_path / "out", steps, lambda _: 1, again=False, reporter=SILENT)


def test_command_lines_name_no_place_of_the_machine(tmp_path: Path) -> None:
    network = published_network(tmp_path / "DHP_CNN.model")
    lines = [step.command for step in study_steps(StudyOptions(), (network,))]
    assert lines[4] == "ann2sdnn import-ann DHP_CNN.model --out published/model.onnx"
    assert lines[5].startswith("ann2sdnn convert published/model.onnx --calibrate data/overlapping")
    assert str(tmp_path) not in "\n".join(lines)
    assert len(lines) == len(set(lines)) == 5 + 2 * 4 * 3
    for line in lines:  # each is a line of this program's commands
        assert line.split()[1] in COMMANDS


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path, model: Path) -> None:
    """With the real commands."""
    ran: list[str] = []

    def interrupted(words: Sequence[str]) -> int:
        ran.append(words[0])
        if words[0] == "bench" and len(ran) == 5:
            raise KeyboardInterrupt
        return command._execute(words, quiet=True)

    networks = (StudiedNetwork("tiny", "A tiny network", model),)
    size = StudyOptions(
        windows=("overlapping",),
        conversions=("stock",),
        frames=2,
        calibration_frames=2,
        bench_frames=2,
        rounds=1,
        calibration_movements=1,
        **TINY,
    )
    typed = command._typed(size, tmp_path / "DHP_CNN.model")
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        study(out, networks, size, interrupted, typed=typed)
    assert not (out / "results.md").exists()
    study(out, networks, size, interrupted, typed=typed)
    assert ran == ["synth", "synth", "convert", "evaluate", "bench", "bench"]
    text = (out / "results.md").read_text()
    found = json.loads((out / "results.json").read_text())
    (table,) = found["tables"]
    steps = json.loads((out / "steps.json").read_text())["steps"].values()
    for step in steps:
        assert f"\n{step['command']}\n" in text
    assert (
        "\nann2sdnn results OUT --published DHP_CNN.model --windows overlapping --conversions stock"
        " --frames 2 --calibration-frames 2 --bench-frames 2 --rounds 1\n"
    ) in text
    evaluation = json.loads((out / "tiny/overlapping/stock/evaluation/evaluation.json").read_text())
    rows = {row["method"]: row for row in table["rows"]}
    sdnn = evaluation["sdnn"]["sustained_synops_per_frame"]
    name = "SDNN, stock" + (", lava's point" if evaluation["mixed"] else "")
    assert rows[name]["operations"] == sdnn
    assert rows[name]["of_dense"] == sdnn / evaluation["ann"]["all_macs_per_frame"]
    timed = {row["network"] for row in table["times"][0]["rows"]}
    assert {"engine", "onnxruntime", "onnxruntime_int8"} <= timed
    assert "slayer" not in timed
    with (out / "results.csv").open() as stream:
        assert [line["method"] for line in csv.DictReader(stream)] == list(rows)


def _main(arguments: list[str]) -> None:
    COMMANDS["results"].main(arguments, standalone_mode=False)


def test_a_folder_of_the_users_and_a_missing_network_are_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "note.txt").write_text("mine")
    for force in ((), ("--force",)):
        with pytest.raises(OutputError, match="holds something else"):
            _main([str(mine), *force])
    with pytest.raises(ModelError, match=r"nothing\.model is no file"):
        _main([str(tmp_path / "new"), "--published", str(tmp_path / "nothing.model")])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "note.txt"]


def test_dense_operations_are_those_of_all_weights(tmp_path: Path) -> None:
    # A 3x3 kernel meets (3 * 4 - 2) * (3 * 5 - 2) pixels of a 4x5 picture, for two outputs.
    weight = np.ones((2, 1, 3, 3), np.float32)
    weight[0] = 0
    path = ModelBuilder(("N", 1, 4, 5)).add("Conv", weight, pads=(1, 1, 1, 1)).add("Relu")
    graph = read_onnx(path.save(tmp_path / "model.onnx"))
    counted = CountedAnn(graph)
    assert (counted.dense.tolist(), counted.macs.tolist()) == ([2 * 130], [130])


def test_ratios_are_to_all_weights_also_of_a_pruned_network() -> None:
    report = make_report(mixed=MIXED)
    dense = 4e9  # of these 2.81e9 by weights that are not zero
    rows = {row.method: row for row in ann_rows(report, dense)}
    assert rows["always the mean pose"] == MethodRow(
        method="always the mean pose", error_px=14.5, error_mm=150.0
    )
    assert rows["ANN, dense"].operations == dense
    assert rows["ANN, dense"].energy_45nm_uj == pytest.approx(1200)  # 0.3 pJ each
    assert rows["ANN, non-zero weights"].of_dense == 0.7025
    assert rows["ANN, skipping zeros"].of_dense == 0.135
    (memoryless,) = memoryless_rows(report, "stock", dense)
    assert (memoryless.of_dense, memoryless.messages) == (0.11, 520e3)
    assert memoryless.method == "memoryless SDNN (stock, own thresholds)"
    lava, engine = sdnn_rows(report, "stock", dense)
    assert (lava.method, lava.of_dense, lava.moved_px) == ("SDNN, stock, lava's point", 0.075, 0.81)
    assert (engine.method, engine.of_dense) == ("SDNN, stock, engine's point", 0.0375)
    unpruned = [row.method for row in ann_rows(report, 2.81e9)]
    assert unpruned == ["always the mean pose", "ANN, dense", "ANN, skipping zeros"]


def test_times_are_a_row_per_conversion() -> None:
    values = {"torch": (90.0, 0.0), "onnxruntime_int8": (51.0, 0.12), "engine": (20.0, 0.17)}
    report = BenchReport(
        frames=5,
        rounds=3,
        threads=1,
        messages_equal=None,
        messages_compared=0,
        first_ms={name: 2 * ms for name, (ms, _) in values.items()},
        all_ms_per_frame={name: [ms + 1, ms, ms - 1] for name, (ms, _) in values.items()},
        displacement_px={name: px for name, (_, px) in values.items()},
        relative_error=dict.fromkeys(values, 0.1),
        not_timed={},
    )
    table = time_table(report, "stock", "ann2sdnn bench sdnn")
    fastest = table.rows[0]
    assert (fastest.network, fastest.least_ms, fastest.most_ms) == ("engine", 19, 21)
    heading, _, row = times([table]).splitlines()
    assert heading.startswith("| conversion | ANN, torch | ANN, ONNX Runtime int8 | SDNN, engine |")
    assert row == "| stock | 90.0 | 51.0 | 20.0 | 2.5 | 40.0 | 0.17 | 0.12 |"


def test_a_table_in_the_document() -> None:
    rows = (
        MethodRow(method="always the mean pose", error_px=14.5),
        MethodRow(
            method="SDNN, stock",
            error_px=8.25,
            error_mm=91.5,
            moved_px=0.81,
            messages=600e3,
            operations=300e6,
            of_dense=0.075,
            energy_45nm_uj=150.0,
            energy_loihi_uj=7100.0,
        ),
    )
    fields: dict[str, Any] = dict.fromkeys(StudyTable.model_fields)
    table = StudyTable.model_construct(**{**fields, "rows": rows})
    assert methods(table).splitlines()[2:] == [
        "| always the mean pose | 14.50 |  |  |  |  |  |  |  |",
        "| SDNN, stock | 8.25 | 91.5 | 0.81 | 600 k | 300 M | 7.5% | 150 µJ | 7.10 mJ |",
    ]


def test_evaluations_of_different_frames_are_not_compared() -> None:
    same = make_report(frames_sha256="ab" * 32)
    check_same_frames({"stock": same, "relays": same})
    for change in ({"frames_sha256": "cd" * 32}, {"frames_sha256": "ab" * 32, "frames": 65}):
        with pytest.raises(DataError, match="stock and relays saw different frames"):
            check_same_frames({"stock": same, "relays": make_report(**change)})
