"""Labels that cannot be are told of, with what was found and expected; plausible ones are not."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from raw_recordings import labels, moving_scene, write_raw
from recordings import write_network, write_recordings
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.data.recordings.label_check import label_findings, label_warnings
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.recordings.writer import recording_writer

FloatArray = NDArray[np.float64]


def person(n: int = 12, seed: int = 0) -> FloatArray:
    """Labels [n, 3, 13] of somebody who walks through the middle of the room."""
    rng = np.random.default_rng(seed)
    joints = rng.uniform([-300, -300, 0], [300, 300, 1800], (13, 3)).T
    steps = np.array([40.0, 10.0, 0.0])[None, :, None] * np.arange(n)[:, None, None]
    labels: FloatArray = joints + steps + rng.normal(0, 3, (n, 3, 13))
    return labels


def without_left_side(labels: FloatArray) -> FloatArray:
    labels = labels.copy()
    labels[:, :, 7:] = np.nan
    return labels


def in_metres(labels: FloatArray) -> FloatArray:
    return labels / 1000


def without_a_hand(labels: FloatArray) -> FloatArray:
    labels = labels.copy()
    labels[:, :, 8] = 0
    return labels


def with_infinity(labels: FloatArray) -> FloatArray:
    labels = labels.copy()
    labels[3, 1, 5] = -np.inf
    return labels


ABOVE = np.array([0.0, 0.0, 7200.0])[:, None]  # of the cameras
IMPOSSIBLE: list[tuple[Callable[[FloatArray], FloatArray], str]] = [
    (
        in_metres,
        r"joints too close together: a person spans 1\.\d+, .*millimetres.*metres",
    ),
    (lambda labels: labels / 10, r"joints too close together: a person spans 1\d\d,.*centimetres"),
    (without_a_hand, "joints at 0, 0, 0: 12 of 156; expected NaN"),
    (lambda labels: labels * 1000, r"joints too far apart: .* 3,000"),
    (lambda labels: labels * 0, "all coordinates are 0: expected millimetres"),
    (lambda labels: labels * np.nan, "no joint has a position: all are NaN"),
    (with_infinity, r"infinite coordinates: 1 of 468"),
    (lambda labels: labels + 50_000, r"a joint outside the room: .*coordinate is 5\d,\d{3}"),
    (lambda labels: np.repeat(labels[:1], len(labels), axis=0), "no joint moves: .* 12 frames"),
    (lambda labels: labels + ABOVE, "no joint lies in a picture: of all 4 cameras"),
]


@pytest.mark.parametrize("labels", [person(), person(1), without_left_side(person())])
def test_a_person_in_the_room_is_nothing_to_tell_of(labels: FloatArray) -> None:
    assert label_findings(labels) == ()


def test_no_frames_have_no_findings() -> None:
    assert label_findings(np.zeros((0, 3, 13))) == ()


@pytest.mark.parametrize(("change", "said"), IMPOSSIBLE)
def test_what_cannot_be_is_told(change: Callable[[FloatArray], FloatArray], said: str) -> None:
    (found,) = label_findings(change(person()))
    assert re.match(said, str(found)), found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recordings with labels in millimetres and in metres, and a conversion."""
    folder = tmp_path_factory.mktemp("labels")
    good = open_recordings(write_recordings(folder / "good", subjects=3))
    for one in good:
        with recording_writer(folder / "metres", one.name.stem) as writer:
            frames = one.frames(range(one.n_frames), range(4))
            for frame, xyz_mm in zip(frames, one.labels(range(one.n_frames)), strict=True):
                whole = np.zeros((260, 346, 4), np.uint8)
                whole[:, :344] = np.moveaxis(frame, 0, -1)
                writer.append(whole, xyz_mm / 1000)
    write_network(folder / "model.onnx")
    run("convert", folder / "model.onnx", "--calibrate", folder / "good", "--out", folder / "sdnn")
    return folder


def run(*arguments: str | Path) -> str:
    """What a command prints, on both streams."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return " ".join(result.output.split())


SAID = "labels of S1_session1_mov1 and 2 other recordings: joints too close together"


def test_recordings_with_the_same_fault_share_a_sentence(folder: Path) -> None:
    assert label_warnings(open_recordings(folder / "good")) == ()
    (sentence,) = label_warnings(open_recordings(folder / "metres"))
    assert sentence.startswith(SAID)
    assert label_warnings(open_recordings(folder / "metres")[:1])[0].startswith(
        "labels of S1_session1_mov1: joints"
    )


@pytest.mark.parametrize("data", ["good", "metres"])
def test_commands_that_use_labels_tell(folder: Path, tmp_path: Path, data: str) -> None:
    told = data == "metres"
    options: tuple[str | Path, ...] = ("--data", folder / data, "--out", tmp_path / "evaluation")
    printed = run("evaluate", folder / "sdnn", *options, "--split", "all")
    assert (SAID in printed) is told
    evaluation = json.loads((tmp_path / "evaluation/evaluation.json").read_text())
    assert any(SAID in one for one in evaluation["warnings"]) is told
    options = ("--data", folder / data, "--out", tmp_path / "ann", "--epochs", "1")
    printed = run("train-ann", *options, "--crop", "32x32", "--validation-frames", "1")
    assert (SAID in printed) is told
    printed = run("show", folder / data, "--out", tmp_path / "pictures", "--frames", "1")
    assert ("Warning: labels of S1_session1_mov1: joints too close together" in printed) is told


@pytest.mark.lava
@pytest.mark.parametrize("data", ["good", "metres"])
def test_diagnose_tells_too(folder: Path, tmp_path: Path, data: str) -> None:
    options = ("--data", folder / data, "--out", tmp_path / "d", "--preset", "dhp19-ann")
    printed = run("diagnose", *options, "--crop", "32x32", "--batch", "1", "--frames", "3")
    assert (SAID in printed) is (data == "metres")


def test_prepare_tells_of_labels_in_metres(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", moving_scene(1), labels(1, 250) / 1e6)
    printed = run("prepare", tmp_path / "raw", tmp_path / "out", "--window-events", "300")
    assert "Warning: labels of S1_session1_mov1: joints too close together" in printed
    assert "Warning: labels of" in (tmp_path / "out" / "prepare.log").read_text()
