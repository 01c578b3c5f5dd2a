"""A mistyped command, option or choice is answered with the nearest; a wrong folder by its kind."""

from pathlib import Path

import pytest

from ann2sdnn.cli import app as cli


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("evalute", "there is no command evalute; did you mean evaluate? `ann2sdnn --help` lists"),
        ("xyzzy", "there is no command xyzzy; `ann2sdnn --help` lists them"),
        ("convert --calibrat x", "no such option: --calibrat; did you mean --calibrate? `ann2sdnn"),
        ("synth x --format dhp91", "'dhp91' is not one of 'dhp19', 'dhp19-sdnn'; did you mean dhp"),
        (
            "convert m --calibrate x --out y --thresholds mean-dlta",
            "expected none, fixed, percentile, mean-delta or rate-distortion; did you mean mean-d",
        ),
        (
            "evaluate folder --data x --split tests",
            "--split tests; expected train, validation, test or all; did you mean test?",
        ),
        ("doctor --need openvio", "; did you mean openvino?"),
        ("inspect nowhere", "nowhere does not exist; name a folder that `ann2sdnn convert` wrote"),
        ("inspect note.txt", "note.txt is a file; name a folder that `ann2sdnn convert` wrote"),
        ("evaluate note.txt --data x", "note.txt is a file; name a folder that `ann2sdnn convert`"),
        ("prepare nowhere out", "nowhere does not exist; give the folder that DHP19 was unpacked"),
        ("train-ann --data x --out folder", "folder exists already, and holds something else"),
    ],
)
def test_one_sentence_says_what_was_meant(
    words: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    (tmp_path / "note.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["ann2sdnn", *words.split()])
    assert cli.exit_code() == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.startswith("ann2sdnn: ")
    assert len(told.splitlines()) == 1
