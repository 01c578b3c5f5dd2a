"""Commands touch nothing that the user owns, and say so before they work."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from netx_files import write_experiment
from raw_recordings import labels, moving_scene, write_raw
from recordings import write_network, write_recordings
from typer.testing import CliRunner

from ann2sdnn.cli import app as cli
from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.support.errors import Ann2SdnnError, OutputError, UsageError
from ann2sdnn.support.files.marker import MARKER
from ann2sdnn.support.files.writing import files_in, write_text


def run(command: str, code: int = 0) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, command.split(), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a network and its conversion, a network of slayer, raw recordings."""
    folder = tmp_path_factory.mktemp("made")
    write_recordings(folder / "data", subjects=2, frames=3)
    write_network(folder / "model.onnx")
    convert(folder / "model.onnx", folder / "data", folder / "sdnn", ConvertOptions(max_frames=6))
    write_experiment(folder / "old.net")
    write_raw(folder / "raw", moving_scene(1), labels(1, 200))
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("mine")
    (folder / "notes" / "model.onnx").write_text("my own network")
    (folder / "notes" / "report.html").write_text("my own page")
    (folder / "notes" / "S1_session1_mov1.png").write_text("my own picture")
    (folder / "notes" / "drift.png").write_text("my own picture")
    (folder / "notes" / "prepare.log").write_text("my own log")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the working directory."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def state(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
    }


CONVERT = "convert model.onnx --calibrate data --frames 4 --quiet"
TRAIN = "train-ann --data data --epochs 1 --quiet"
SYNTH = "synth --subjects 1 --movements 1 --frames 1 --quiet"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (f"{CONVERT} --out data", "data is or holds data, which this command reads"),
        (f"{CONVERT} --out .", "is the working directory"),
        (f"{CONVERT} --out ..", "is the working directory or lies above"),
        (f"{CONVERT} --out notes", r"notes has no \.ann2sdnn"),
        (f"{CONVERT} --out model.onnx", "is a file and a folder is to be"),
        (f"{CONVERT} --out model.onnx/x", "is no folder"),
        ("convert sdnn/model.onnx --calibrate data --out sdnn", "holds sdnn/model.onnx, which"),
        (f"{SYNTH} notes", r"notes has no \.ann2sdnn"),
        (f"{SYNTH} .", "is the working directory"),
        (f"{SYNTH} new --raw notes", r"notes has no \.ann2sdnn"),
        (f"{SYNTH} new --raw new", "neither may lie in the other"),
        (f"{SYNTH} new --raw new/raw", "neither may lie in the other"),
        (f"{SYNTH} new/out --raw new", "neither may lie in the other"),
        (f"{SYNTH} notes --frames 8 --format dhp19-sdnn", "notes is a folder"),
        (f"{SYNTH} x --frames 8 --format dhp19-sdnn --raw x", "neither may lie in the other"),
        ("demo --out notes", r"notes has no \.ann2sdnn"),
        ("demo --out .", "is the working directory"),
        ("diagnose --data data --out notes", r"notes has no \.ann2sdnn"),
        ("diagnose --data data --out data", "data is or holds data, which"),
        ("diagnose --data data --network sdnn --out sdnn", "sdnn is or holds sdnn, which"),
        (f"{TRAIN} --out notes", "notes holds something else than this command writes"),
        (f"{TRAIN} --init sdnn/model.onnx --out sdnn", "sdnn holds something else"),
        (f"{TRAIN} --out model.onnx", "exists already and is no folder"),
        ("train-sdnn sdnn --data data --out notes", "notes holds something else"),
        ("prepare raw notes", "notes holds something else"),
        ("prepare raw data", "data holds something else"),
        ("prepare raw model.onnx", r"model\.onnx exists already and is no folder"),
        ("show data --out notes", r"notes/S1_session1_mov1\.png exists already, and no"),
        ("drift sdnn --data data --out notes", r"notes/drift\.png exists already, and no"),
        ("evaluate sdnn --data data --out notes", r"notes/report\.html exists already, and no"),
        ("evaluate sdnn --data data --out model.onnx", "exists already and is no folder"),
        ("import-ann model.onnx --out model.onnx", "is an input of this command"),
        ("import-ann model.onnx --out notes", "notes is a folder"),
        ("lower old.net old.net", "is an input of this command"),
        ("lower old.net notes", "notes is a folder"),
        ("export sdnn --out sdnn/sdnn.h5", "is an input of this command"),
        ("export sdnn --out sdnn/report.json", "is an input of this command"),
        ("export sdnn --out /dev/null", "is no regular file"),
        ("bench sdnn --data data --json sdnn/sdnn.h5", "is an input of this command"),
        ("bench sdnn --data data --json data/S1_session1_mov1_7500events.h5", "is an input of"),
        ("bench sdnn --data data --json notes", "notes is a folder"),
        ("inspect sdnn --html sdnn/report.json", "is an input of this command"),
        ("inspect sdnn --html sdnn/model.onnx", "is an input of this command"),
    ],
)
def test_force_never_reaches_what_is_the_users(place: Path, command: str, complaint: str) -> None:
    before = state(place)
    with pytest.raises((OutputError, UsageError), match=complaint):
        run(f"{command} --force")
    assert state(place) == before


@pytest.mark.parametrize(
    "command",
    [
        f"{CONVERT} --out",
        "demo --out",
        SYNTH,
        f"{SYNTH} new --raw",
        f"{SYNTH} --frames 8 --format dhp19-sdnn",
        "diagnose --data data --out",
        f"{TRAIN} --out",
        "train-sdnn sdnn --data data --out",
        "prepare raw",
        "show data --out",
        "drift sdnn --data data --out",
        "evaluate sdnn --data data --out",
        "import-ann missing --out",
        "lower missing.net",
        "export sdnn --out",
        "bench sdnn --data data --json",
        "inspect sdnn --html",
    ],
)
@pytest.mark.parametrize("target", ["model.onnx/deep/out", f"deep/{'x' * 300}", "/proc/ann2sdnn"])
def test_a_place_that_cannot_be_written_is_found_before_the_work(
    place: Path, command: str, target: str
) -> None:
    """Before it has read anything: the inputs are gone, and the conversion's folder is empty."""
    shutil.rmtree(place / "data")
    shutil.rmtree(place / "sdnn")
    (place / "sdnn").mkdir()
    before = state(place)
    with pytest.raises(OutputError, match=r"^cannot write .*|is no folder"):
        run(f"{command} {target}")
    assert state(place) == before


@pytest.mark.parametrize("how", ["hard link", "link"])
def test_an_input_under_another_name_is_not_overwritten(place: Path, how: str) -> None:
    new = place / "new.net"
    if how == "link":
        new.symlink_to("old.net")
    else:
        new.hardlink_to(place / "old.net")
    with pytest.raises(OutputError, match=r"new\.net is old\.net, which is an input"):
        run("lower old.net new.net --force")


def test_a_conversion_that_was_looked_at_is_replaced(place: Path) -> None:
    run("inspect sdnn --html sdnn/page.html")
    run("export sdnn --force")
    run("evaluate sdnn --data data --split all --channels 2 --frames 2 --quiet")
    run("evaluate sdnn --data data --split all --channels 2 --frames 2 --quiet --force")
    with pytest.raises(OutputError, match=r"sdnn exists already; .* --force"):
        run(f"{CONVERT} --out sdnn")
    run(f"{CONVERT} --out sdnn --force")
    assert {path.name for path in (place / "sdnn").iterdir()} == {
        MARKER,
        *("model.onnx", "network.net", "report.json", "sdnn.h5"),
    }
    (place / "sdnn" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"sdnn holds thesis\.txt, which ann2sdnn did not"):
        run(f"{CONVERT} --out sdnn --force")
    assert (place / "sdnn" / "thesis.txt").read_text() == "mine"


def test_what_earlier_versions_wrote_is_for_the_user_to_remove(place: Path) -> None:
    (place / "sdnn" / MARKER).unlink()
    for command in ("export sdnn --force", f"{CONVERT} --out sdnn --force"):
        with pytest.raises(OutputError, match=r"no \.ann2sdnn .*(remove|move) it"):
            run(command)
    run("evaluate sdnn --data data --split all --channels 2 --frames 2 --quiet")
    run("evaluate sdnn --data data --split all --channels 2 --frames 2 --quiet --force")


def test_pictures_are_replaced_where_they_were_drawn(place: Path) -> None:
    run("show data --out pictures --frames 2")
    run("show data --out pictures --frames 2 --force")
    with files_in(place / "notes"):
        write_text(place / "notes" / "ours", "")
    with pytest.raises(OutputError, match="exists already, and no"):
        run("show data --out notes --force")


def test_preparing_nothing_is_no_success(place: Path) -> None:
    (place / "raw" / "Vicon_data" / "S1_1_1.mat").write_bytes(b"no labels")
    told = run("prepare raw out --window-events 300 --quiet", code=1)
    assert told.splitlines()[-1] == "Nothing was prepared: all 1 recordings were skipped"
    run("prepare raw out --window-events 300 --quiet", code=1)
    write_raw(place / "raw", moving_scene(2), labels(2, 200), (2, 1, 1))
    told = run("prepare raw out --window-events 300 --quiet")
    assert told.splitlines()[-1] == "out holds 1 of 2 recordings; 1 were skipped"


def _damage(text: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text)

    return write


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_damage(b"{"), r"prepare\.json is damaged; .* --force"),
        (_damage(b"\xff\xfe"), r"prepare\.json is damaged; .* --force"),
        (_damage(b"[1]"), r"prepare\.json is damaged; .* --force"),
        (_damage(b"[" * 100_000), r"prepare\.json is damaged; .* --force"),
        (_damage(b'{"schema": 2}'), r"prepare\.json says that its recordings were made with other"),
        (_folder, "out exists already"),
    ],
)
def test_damaged_options_of_prepare(
    place: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    run("prepare raw out --window-events 300 --quiet")
    damage(place / "out" / "prepare.json")
    with pytest.raises(OutputError, match=complaint):
        run("prepare raw out --window-events 300 --quiet")


def test_recordings_of_the_users_beside_prepared_ones_are_kept(place: Path) -> None:
    run("prepare raw out --window-events 300 --quiet")
    mine = place / "out" / "S7_session1_mov1_7500events.h5"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"S7.*exists already, and no \.ann2sdnn"):
        run("prepare raw out --window-events 300 --quiet --force")
    write_raw(place / "raw", moving_scene(7), labels(7, 200), (7, 1, 1))
    with pytest.raises(OutputError, match=r"S7.*exists already, and no \.ann2sdnn"):
        run("prepare raw out --window-events 300 --quiet")
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 2, "No space left on device"),
        (OSError(errno.EACCES, "x", "a/b"), 2, "a/b: Permission denied"),
        (OSError(errno.EXDEV, "x", "a", None, "b"), 2, "a to b: Invalid cross-device link"),
        (OSError("h5py says\nmuch"), 2, "h5py says"),
        (MemoryError(), 2, "out of memory"),
        (Ann2SdnnError("a sentence"), 2, "a sentence"),
    ],
)
def test_whatever_the_machine_does_is_one_sentence(
    error: Exception,
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failing(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", failing)
    assert cli.exit_code() == code
    told = capsys.readouterr().err
    assert told.startswith(f"ann2sdnn: {sentence}")
    assert len(told.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_output_that_nobody_takes() -> None:
    command = [sys.executable, "-c", "from ann2sdnn.cli.app import main; main()", "--help"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "ann2sdnn: No space left on device\n")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
