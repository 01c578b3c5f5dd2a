"""The commands as a user types them: output at 80 columns, one sentence and code 2 on a mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from recordings import write_network, write_recordings

MAIN = "from ann2sdnn.cli.app import main; main()"


def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [
        sys.executable,
        "-c",
        MAIN,
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a network and its conversion, made through the commands."""
    folder = tmp_path_factory.mktemp("cli")
    write_recordings(folder / "data", subjects=4)
    write_network(folder / "model.onnx")
    done = run(
        "convert", folder / "model.onnx", "--calibrate", folder / "data", "--out", folder / "sdnn"
    )
    assert f"Wrote {folder / 'sdnn'}" in done.stdout.replace("\n", "")
    assert "Activation statistics" in done.stderr
    return folder


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    done = run("--help")
    for command in (
        "demo",
        "results",
        "synth",
        "prepare",
        "train-ann",
        "import-ann",
        "convert",
        "evaluate",
        "inspect",
    ):
        assert command in done.stdout
    heavy = "{'torch', 'lava', 'numpy', 'onnx', 'rich'}"
    code = f"import sys, ann2sdnn.cli.app; print({heavy} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"


def test_the_options_of_no_command_import_anything_heavy() -> None:
    heavy = "{'torch', 'onnx', 'onnxruntime', 'numba', 'scipy', 'matplotlib', 'lava'}"
    code = f"""
import sys
from ann2sdnn.cli.app import COMMANDS, load
for command in COMMANDS:
    load(command)
    for library in {heavy} & set(sys.modules):
        print(command, library)
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout == ""


def test_inspect_fits_80_columns(folder: Path) -> None:
    done = run("inspect", folder / "sdnn")
    assert "limited by" in done.stdout
    assert "n0_Conv" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    report = json.loads(run("inspect", folder / "sdnn", "--json").stdout)
    assert report["layers"][0]["name"] == "n0_Conv"
    run("inspect", folder / "sdnn", "--html", folder / "inspect.html")
    html = (folder / "inspect.html").read_text()
    assert "n0_Conv" in html
    assert "http" not in html.split("</style>")[-1]


def test_inspect_reads_the_report_without_the_libraries_that_run_networks(folder: Path) -> None:
    code = f"""
import sys
from ann2sdnn.cli.app import load
load("inspect").main([{str(folder / "sdnn")!r}], standalone_mode=False)
print({{"torch", "onnx", "onnxruntime", "numba"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "limited by" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_evaluate_writes_json_and_html_and_ends_with_the_reports_place(folder: Path) -> None:
    out = folder / "evaluation"
    done = run(
        "evaluate", folder / "sdnn", "--data", folder / "data", "--compare", "ann", "sdnn",
        "--out", out,
    )  # fmt: skip
    assert done.stdout.strip().splitlines()[-1] == f"Report: {out / 'report.html'}"
    table = done.stdout[: done.stdout.index("Report:")]
    assert max(map(len, table.splitlines())) <= 80
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["sdnn"]["backend"] == "engine"
    assert evaluation["comparison"]["heatmap_relative_error"] < 0.05
    assert "<html" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["evaluate", "missing", "--data", "data"], "missing"),
        (["inspect", "missing"], "does not exist"),
        (["convert", "model.onnx", "--calibrate", "nowhere", "--out", "new"], "nowhere"),
        (["convert", "model.onnx", "--calibrate", "data", "--out", "sdnn"], "exists already"),
        (
            ["convert", "model.onnx", "--calibrate", "data", "--out", "new", "--channels", "2;3"],
            "expected numbers with commas",
        ),
        (["train-ann", "--data", "data", "--out", "new", "--crop", "big"], "expected HxW"),
        (["import-ann", "model.onnx", "--out", "new.onnx"], "model.onnx"),
        (["synth", "sdnn", "--subjects", "1"], "exists already"),
        (["synth", "new", "--subjects", "0"], "subjects"),
        (["synth", "new", "--hop-events", "7"], "a divisor of the window"),
        (["prepare", "nowhere", "new"], "nowhere"),
        (["show", "data", "--out", "new", "--recording", "S9_session1_mov1"], "has no recording"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    done = run(*arguments, code=2)
    assert done.stderr.startswith("ann2sdnn: ")
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_a_truncated_recording_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    write_recordings(tmp_path, subjects=1)
    frames = tmp_path / "S1_session1_mov1_7500events.h5"
    frames.write_bytes(frames.read_bytes()[:2000])
    done = run(
        "convert", folder / "model.onnx", "--calibrate", tmp_path, "--out", tmp_path / "x", code=2
    )
    assert frames.name in done.stderr
    assert not (tmp_path / "x").exists()


def test_resume_needs_no_options_repeated(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    start: list[str | Path] = [
        "train-ann",
        "--data",
        folder / "data",
        "--out",
        out,
        "--validation-frames",
        "1",
    ]
    run(*start, "--epochs", "1", "--batch-size", "3", "--crop", "32x32")
    again = run("train-ann", "--data", folder / "data", "--out", out, "--resume", "--epochs", "2")
    assert "Trained 2 epochs" in again.stdout
    options = json.loads((out / "train.json").read_text())["options"]
    assert (options["batch_size"], options["crop"], options["epochs"]) == (3, [32, 32], 2)
    other = ["--resume", "--batch-size", "4"]
    refused = run("train-ann", "--data", folder / "data", "--out", out, *other, code=2)
    assert "another batch_size (3, now 4)" in refused.stderr


def test_an_option_without_its_value_names_the_commands_own_help() -> None:
    code = MAIN
    done = subprocess.run(
        [sys.executable, "-c", code, "convert", "--frames"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "`ann2sdnn convert --help` lists" in done.stderr
