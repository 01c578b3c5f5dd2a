"""Pictures in folders of classes, from the command line to the confusion matrix."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from labelled import quarters, write_quarter_network
from PIL import Image

from ann2sdnn.cli.app import app
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.data.sources.files.picture_folders import PictureOptions
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions

# The quarters of the network's outputs by name.
OUTPUTS = ("top-left", "top-right", "bottom-left", "bottom-right")


def run(*arguments: str | Path) -> None:
    app(list(map(str, arguments)), standalone_mode=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in folders of their quarters, and the network that tells these, converted."""
    folder = tmp_path_factory.mktemp("classes")
    frames, kinds = quarters(12, 5, seed=1)
    for number, (frame, kind) in enumerate(
        zip(frames.reshape(-1, 8, 8), kinds.reshape(-1), strict=True)
    ):
        path = folder / "data" / OUTPUTS[kind] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(path)
    write_quarter_network(folder / "model.onnx")
    return folder


def test_labels_are_the_folders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, sdnn = folder / "data", folder / "sdnn"
    (data / "classes.txt").write_text("\n".join(OUTPUTS))
    run("convert", folder / "model.onnx", "--calibrate", data, "--out", sdnn)
    budget = read_report(sdnn / "report.json").threshold_budget
    assert budget is not None
    assert budget.unit == "class"
    run("evaluate", sdnn, "--data", data, "--split", "test")
    report = evaluate(sdnn, data, EvaluateOptions()).report
    assert (report.task, report.class_names) == ("classify", OUTPUTS)
    assert report.ann is not None
    assert report.ann.accuracy == 1.0
    counts = np.array(report.ann.confusion)
    n_pictures = [len(list((data / name).glob("*.png"))) for name in OUTPUTS]
    assert counts.diagonal().tolist() == [max(1, n // 4) for n in n_pictures]
    text = capsys.readouterr().out
    assert "2 bottom-left" in text
    page = (sdnn / "report.html").read_text(encoding="utf-8")
    assert "3 bottom-right" in page
    assert not any("classes" in warning for warning in report.warnings)


def test_classes_that_lack_a_folder_are_not_renumbered_in_silence(
    folder: Path, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "sdnn"
    shutil.copytree(folder / "data", data, ignore=shutil.ignore_patterns("classes.txt"))
    run("convert", folder / "model.onnx", "--calibrate", data, "--folders", "classes", "--out", out)
    shutil.rmtree(data / "top-left")
    options = EvaluateOptions(source=PictureOptions(folders="classes"), split="all")
    report = evaluate(out, data, options).report
    (warning,) = (warning for warning in report.warnings if "classes.txt" in warning)
    assert "3 classes, from 0 bottom-left to 2 top-right, and the network 4" in warning
