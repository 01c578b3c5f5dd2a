"""The tasks classify, regress and output: recognised, scored, shown and written."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from labelled import (
    N_CLASSES,
    SUFFIX,
    LabelledSource,
    quarters,
    write_labelled,
    write_quarter_network,
)
from rich.console import Console

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.sources.labels import Targets
from ann2sdnn.data.sources.registry import SOURCES
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.document import print_evaluation, render_html
from ann2sdnn.eval.render.verdict import verdict_of
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.support.errors import DataError, UsageError

N_SEQUENCES, LENGTH = 12, 5


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "labelled", LabelledSource())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, converted with thresholds so high that classes change."""
    folder = tmp_path_factory.mktemp("tasks")
    frames, _ = quarters(8, LENGTH, seed=1)
    model = write_quarter_network(folder / "model.onnx")
    data = write_labelled(folder / f"calibration{SUFFIX}", frames, None)
    SOURCES["labelled"] = LabelledSource()
    try:
        convert(model, data, folder / "sdnn", ConvertOptions(RateDistortion(budget_error=0.5)))
    finally:
        del SOURCES["labelled"]
    return folder


def data_with(folder: Path, name: str, labels: Targets | None) -> Path:
    frames, _ = quarters(N_SEQUENCES, LENGTH, seed=2)
    return write_labelled(folder / f"{name}{SUFFIX}", frames, labels)


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, torch.Tensor]:
    """Outputs [S * T, 4] of ANN and SDNN, each sequence from a reset state."""
    conversion = open_conversion(folder / "sdnn")
    frames, _ = quarters(N_SEQUENCES, LENGTH, seed=2)
    ann, engine = FloatNetwork(conversion.graph), Engine(conversion.spec)
    outputs: dict[str, list[torch.Tensor]] = {"ann": [], "sdnn": []}
    for sequence in torch.from_numpy(frames):
        engine.reset()
        outputs["ann"].append(ann(ann.encode(sequence)).flatten(1))
        outputs["sdnn"].append(engine.run(sequence).outputs.flatten(1).clone())
    return {name: torch.cat(parts) for name, parts in outputs.items()}


def printed(evaluation: Evaluation) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    print_evaluation(evaluation, console, last_line="Report: out", layers=True)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    return text


def test_classes_are_counted_against_labels_and_the_ann(
    folder: Path, answers: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    _, kinds = quarters(N_SEQUENCES, LENGTH, seed=2)
    out = tmp_path / "out"
    data = data_with(tmp_path, "classes", kinds)
    evaluation = evaluate(folder / "sdnn", data, EvaluateOptions(out=out))
    report, truth = evaluation.report, torch.from_numpy(kinds.reshape(-1))
    classes = {name: output.argmax(dim=1) for name, output in answers.items()}
    assert report.task == "classify"
    assert report.ann is not None
    assert report.sdnn is not None
    assert report.memoryless is not None
    assert report.comparison is not None
    right = {name: float((one == truth).float().mean()) for name, one in classes.items()}
    changed = float((classes["sdnn"] != classes["ann"]).float().mean())
    assert 0 < changed < 0.5, "nothing to count"
    assert report.ann.accuracy == pytest.approx(right["ann"])
    assert report.sdnn.accuracy == pytest.approx(right["sdnn"]) == report.accuracy
    assert report.class_changed == pytest.approx(changed) == report.comparison.class_changed
    low, high = report.comparison.class_changed_interval or (1.0, 0.0)
    assert low <= changed <= high
    assert report.memoryless.class_changed is not None
    confusion = np.zeros((N_CLASSES, N_CLASSES), int)
    np.add.at(confusion, (truth.numpy(), classes["sdnn"].numpy()), 1)
    assert np.array_equal(report.sdnn.confusion or (), confusion)
    stored = json.loads((out / "evaluation.json").read_text())
    for key in ("task", "accuracy", "class_changed", "output_relative_error"):
        assert stored[key] == getattr(report, key)
    assert (stored["baseline_mean_pose_px"], stored["ann"]["mpjpe_px"]) == (None, None)
    (sentence,) = verdict_of(report)
    assert f"{report.accuracy:.1%} right (the ANN {report.ann.accuracy:.1%})" in sentence
    text, page = printed(evaluation), (out / "report.html").read_text(encoding="utf-8")
    assert "Confusion: frames by label (row)" in text
    for row in ("ANN (dense)", "ANN, skipping zeros", "Memoryless SDNN"):
        assert row in text
    assert "Confusion of classes" in page
    assert "Frames with the largest differences" in page
    assert (out / "examples.png").stat().st_size > 1000


def test_the_worst_frames_are_those_of_another_class(
    folder: Path, answers: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    frames, kinds = quarters(N_SEQUENCES, LENGTH, seed=2)
    examples = evaluate(
        folder / "sdnn", data_with(tmp_path, "worst", kinds), EvaluateOptions()
    ).examples
    classes = {name: output.argmax(dim=1) for name, output in answers.items()}
    changed = int((classes["sdnn"] != classes["ann"]).sum())
    assert len(examples) == 6
    for number, example in enumerate(examples):
        name, _, index = example.title.removeprefix("sequence ").partition(", frame ")
        at = int(name) * LENGTH + int(index)
        one, other = int(classes["ann"][at]), int(classes["sdnn"][at])
        assert example.caption == f"ANN {one}, SDNN {other}, label {kinds.reshape(-1)[at]}"
        assert (one != other) == (number < changed)
        assert np.array_equal(example.frame, frames[int(name), int(index)])


def test_values_have_errors_in_their_unit(
    folder: Path, answers: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    truth = (answers["ann"] + torch.tensor([0.5, 0.0, -0.25, 0.0])).float()
    truth[3, 1] = torch.nan
    labels = truth.reshape(N_SEQUENCES, LENGTH, N_CLASSES).numpy()
    data = data_with(tmp_path, "values", labels)
    evaluation = evaluate(folder / "sdnn", data, EvaluateOptions(out=tmp_path / "out"))
    report = evaluation.report
    assert report.task == "regress"
    assert report.ann is not None
    assert report.sdnn is not None
    assert report.comparison is not None
    assert report.ann.per_output_error == pytest.approx((0.5, 0, 0.25, 0), abs=1e-5)
    n_known = truth.numel() - 1
    assert report.ann.mean_absolute_error == pytest.approx(0.75 * len(truth) / n_known, abs=1e-5)
    expected = np.nanmean(np.abs((answers["sdnn"] - truth).numpy()))
    assert report.sdnn.mean_absolute_error == pytest.approx(float(expected), rel=1e-5)
    moved = float((answers["sdnn"] - answers["ann"]).abs().mean())
    assert report.comparison.output_displacement == pytest.approx(moved, rel=1e-5)
    assert report.ann.error_curve is not None
    assert report.sdnn.error_curve is not None
    assert len(report.sdnn.error_curve) == 21
    assert report.ann.error_curve[-1] == pytest.approx(0.25, abs=1e-5)
    assert report.sdnn.error_curve[-1] > 0.25
    assert (report.accuracy, report.sdnn.confusion) == (None, None)
    (sentence,) = verdict_of(report)
    assert f"a mean error of {report.sdnn.mean_absolute_error:.3g} (the ANN" in sentence
    text = printed(evaluation)
    assert "Mean absolute error against the labels: at most" in text
    assert "Mean absolute error of each output" in text
    assert "Error over frames" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_without_labels_outputs_are_compared_with_the_anns(
    folder: Path, answers: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    data = data_with(tmp_path, "plain", None)
    evaluation = evaluate(folder / "sdnn", data, EvaluateOptions(out=tmp_path / "out"))
    report = evaluation.report
    error = float((answers["sdnn"] - answers["ann"]).norm() / answers["ann"].norm())
    changed = answers["sdnn"].argmax(dim=1) != answers["ann"].argmax(dim=1)
    assert report.task == "output"
    assert report.output_relative_error == pytest.approx(error, rel=1e-4)
    assert report.class_changed == pytest.approx(float(changed.float().mean()))
    assert report.accuracy is None
    assert report.sdnn is not None
    assert report.sdnn.error_curve is not None
    curve = np.array(report.sdnn.error_curve)
    assert (np.diff(curve) >= 0).all()
    assert curve[0] < error < curve[-1]
    (sentence,) = verdict_of(report)
    assert f"relative error of {error:.2g} against the ANN, another class in" in sentence
    assert "Relative error against the ANN: at most" in printed(evaluation)
    alone = evaluate(folder / "sdnn", data, EvaluateOptions(compare=("sdnn",)))
    assert alone.report.output_relative_error is None
    assert alone.examples == ()
    assert "Memoryless SDNN" in render_html(alone)


@pytest.mark.parametrize(
    ("labels", "task", "sentence"),
    [
        (None, "classify", r"sequence 0 has no labels, and the task classify needs one class"),
        (None, "regress", r"has no labels, and the task regress needs values"),
        (
            np.zeros((2, 3, 4), np.float32),
            "classify",
            r"labels are float32 \[3, 4\]; expected whole",
        ),
        (np.full((2, 3), 4), "classify", r"classes are 4 to 4, and the network has 4 outputs"),
        (np.full((2, 3), -1), None, r"classes are -1 to -1"),
        (np.zeros((2, 3, 2), np.float32), None, r"labels are float32 \[3, 2\], .* 4 outputs"),
    ],
)
def test_labels_that_do_not_fit_are_named(
    folder: Path, tmp_path: Path, labels: Targets | None, task: str | None, sentence: str
) -> None:
    frames, _ = quarters(2, 3)
    data = write_labelled(tmp_path / f"wrong{SUFFIX}", frames, labels)
    with pytest.raises(DataError, match=sentence):
        evaluate(folder / "sdnn", data, EvaluateOptions(task=task, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_tasks_that_do_not_fit_the_output_are_refused(folder: Path, tmp_path: Path) -> None:
    data = data_with(tmp_path, "plain", None)
    with pytest.raises(DataError, match=r"sequence 0 has no pose labels.* --task, such as output"):
        evaluate(folder / "sdnn", data, EvaluateOptions(task="pose"))
    with pytest.raises(UsageError, match="--task guess; expected"):
        EvaluateOptions(task="guess")


def test_labels_are_used_only_where_they_are_asked_for(folder: Path, tmp_path: Path) -> None:
    _, kinds = quarters(N_SEQUENCES, LENGTH, seed=2)
    data = data_with(tmp_path, "classes", kinds)
    options: dict[str, Any] = {"max_frames": 8}
    report = evaluate(folder / "sdnn", data, EvaluateOptions(task="output", **options)).report
    assert (report.task, report.accuracy) == ("output", None)
    assert report.class_changed is not None


def test_the_python_api_gives_the_same(folder: Path, tmp_path: Path) -> None:
    frames, kinds = quarters(N_SEQUENCES, LENGTH, seed=2)
    report = evaluate(
        folder / "sdnn", data_with(tmp_path, "classes", kinds), EvaluateOptions()
    ).report
    assert report.ann is not None
    assert report.memoryless is not None
    sdnn = a2s.load(folder / "sdnn")
    found = sdnn.compare(list(frames), list(kinds))
    assert found["ann"].accuracy == report.ann.accuracy
    assert found["ann"].class_changed == 0
    assert found["sdnn"].accuracy == report.accuracy
    assert found["sdnn"].label_error == pytest.approx(1 - (report.accuracy or 0))
    assert found["sdnn"].class_changed == report.class_changed
    assert found["sdnn"].relative_error == pytest.approx(report.output_relative_error)
    assert found["memoryless"].class_changed == report.memoryless.class_changed
    table = found.table()
    assert "changed" in table
    assert max(map(len, table.splitlines())) <= 80
    values = [np.full((LENGTH, N_CLASSES), 0.5) for _ in frames]
    answered = sdnn.run(frames[0]).outputs.flatten(1).numpy()
    one = sdnn.compare(frames[0], values[0])["sdnn"]
    assert one.label_error == pytest.approx(float(np.abs(answered - 0.5).mean()), rel=1e-5)
    assert one.accuracy is None
    assert sdnn.compare(list(frames))["sdnn"].class_changed == report.class_changed
    with pytest.raises(DataError, match=r"labels are float32 \[5, 1\], and the network has 4"):
        sdnn.compare(frames[0], np.zeros(LENGTH))
