"""Budgets in the unit of the task: chosen by labels or by name, kept, and shown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import COMMANDS
from labelled import SUFFIX, LabelledSource, quarters, write_labelled, write_quarter_network

import ann2sdnn as a2s
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.render.points import table, verdict_of
from ann2sdnn.convert.report.report import ConversionReport, ThresholdBudget
from ann2sdnn.convert.report.search_curve import read_search_curve
from ann2sdnn.data.sources.registry import SOURCES
from ann2sdnn.support.errors import UsageError


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "labelled", LabelledSource())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_quarter_network(tmp_path / "model.onnx")


def converted(model: Path, labels: bool, *options: str) -> ConversionReport:
    """The report of `convert` on 12 sequences, with their classes as labels or without."""
    frames, kinds = quarters(12, 5, seed=3)
    data = write_labelled(model.with_name(f"data{SUFFIX}"), frames, kinds if labels else None)
    arguments = ["--calibrate", str(data), "--out", str(model.with_name("out")), "--quiet"]
    COMMANDS["convert"].main([str(model), *arguments, *options], standalone_mode=False)
    return ConversionReport.model_validate_json(
        (model.with_name("out") / "report.json").read_text(encoding="utf-8")
    )


def budget_of(report: ConversionReport) -> ThresholdBudget:
    assert report.threshold_budget is not None
    return report.threshold_budget


def test_labelled_classes_have_a_budget_of_changed_classes(model: Path) -> None:
    report = converted(model, True)
    budget = budget_of(report)
    assert (budget.unit, budget.budget_class) == ("class", 0.005)
    assert (budget.budget_px, budget.budget_error) == (None, None)
    added = budget.remembering.added
    assert added is not None
    assert 0 < added.value <= 0.005
    assert added.class_changed == 0
    assert budget.synops_per_frame_without > budget.remembering.synops_per_frame
    sheet = table(report)
    assert sheet is not None
    assert sheet.title == "Budget: thresholds change the class of at most 0.5% of the frames"
    assert any("%" in cell for row in sheet.rows for cell in row[1:2])
    (sentence,) = verdict_of(report)
    assert "with thresholds that change the class of 0." in sentence
    curve = read_search_curve(model.with_name("out") / "report.json")
    assert curve is not None
    assert (curve.unit, curve.budget) == ("class", 0.005)


def test_the_estimate_holds_on_other_frames(model: Path) -> None:
    """Of 2,000 frames about as many change their class as the search estimated on 60."""
    report = converted(model, True, "--budget-class", "5%")
    added = budget_of(report).remembering.added
    assert added is not None
    assert added.interval is not None
    assert 0.001 < added.value < added.interval[1] <= 0.05
    sdnn = a2s.load(model.with_name("out"))
    frames, _ = quarters(400, 5, seed=9)
    changed = sdnn.compare(list(frames))["sdnn"].class_changed
    assert changed is not None
    assert changed < 3 * 0.05


def test_rounding_does_not_use_up_a_budget_of_classes(model: Path) -> None:
    """It bounds what thresholds add to the rounded network, as budgets in pixels do."""
    write_quarter_network(model, is_even=False)
    coarse = ("--headroom", "64", "--rounding", "nearest", "--relays", "0")
    report = converted(model, True, "--budget-class", "0.2%", *coarse)
    budget = budget_of(report)
    assert budget.rounding is not None
    assert budget.rounding.value > 0.002
    assert any("rounding alone costs" in warning for warning in report.warnings)
    added = budget.remembering.added
    assert added is not None
    assert added.interval is not None
    assert added.interval[1] <= 0.002
    assert report.layers[0].threshold > 0
    assert budget.synops_per_frame_without > budget.remembering.synops_per_frame


def test_thresholds_that_stay_0_say_why(model: Path) -> None:
    report = converted(model, True, "--budget-class", "0.00001%")
    assert not any(layer.threshold for layer in report.layers)
    (warning,) = (text for text in report.warnings if "all thresholds stay 0" in text)
    assert "the smallest that were tried add 0.0" in warning
    assert "on 45 frames, which may be more than the budget of 1e-05% (class changed)" in warning


@pytest.mark.parametrize(("unit", "n_frames"), [("class", (225, 75)), ("error", (125, 60))])
def test_small_networks_search_classes_on_more_frames(
    model: Path, unit: str, n_frames: tuple[int, int]
) -> None:
    frames, _ = quarters(60, 5, seed=3)
    budget = {f"budget_{unit}": 0.02}
    sdnn = a2s.to_sdnn(a2s.from_onnx(model), list(frames), **budget)  # type: ignore[arg-type]
    found = budget_of(sdnn.report)
    assert (found.frames, found.held_out_frames) == n_frames


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        (False, (), ("error", 0.02)),
        (True, ("--task", "output"), ("error", 0.02)),
        (False, ("--task", "classify"), ("class", 0.005)),
        (True, ("--budget-error", "0.1"), ("error", 0.1)),
        (False, ("--budget-class", "2%"), ("class", 0.02)),
    ],
)
def test_the_unit_follows_labels_or_options(
    model: Path, labels: bool, options: tuple[str, ...], expected: tuple[str, float]
) -> None:
    budget = budget_of(converted(model, labels, *options))
    assert (budget.unit, budget.limit) == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--budget-class", "0.5"), r"--budget-class 0\.5; expected a percentage such as 0\.5%"),
        (("--budget-class", "0%"), r"--budget-class 0%; expected a percentage"),
        (("--budget-class", "101%"), r"--budget-class 101%; expected .* at most 100%"),
        (("--budget-class", "-1%"), r"--budget-class -1%; expected a percentage"),
        (("--budget-class", "1e1%"), r"--budget-class 1e1%; expected a percentage"),
        (("--budget-class", "1%", "--budget-error", "0.1"), "are two budgets"),
        (("--budget-class", "1%", "--task", "output"), "--task output chooses the default budget"),
        (("--task", "pose"), r"--task pose needs heat maps, .* \(4, 1, 1\)"),
        (("--task", "walk"), "--task walk; expected pose, classify, regress or output"),
        (("--task", "output", "--thresholds", "none"), "--task"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    model: Path, options: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        converted(model, False, *options)
    assert not model.with_name("out").exists()


def test_from_python(model: Path) -> None:
    frames, _ = quarters(6, 5, seed=3)
    sdnn = a2s.to_sdnn(a2s.from_onnx(model), list(frames), budget_class=0.01)
    assert budget_of(sdnn.report).budget_class == 0.01
    with pytest.raises(UsageError, match="are two budgets"):
        a2s.to_sdnn(a2s.from_onnx(model), list(frames), budget_class=0.01, budget_error=0.1)
    with pytest.raises(UsageError, match=r"--budget-class 50(\.0)?%?|expected a percentage"):
        RateDistortion(budget_class=50.0)


def test_maps_have_no_classes(tmp_path: Path) -> None:
    module = torch.nn.Conv2d(1, 3, 3, padding=1)
    network = a2s.from_torch(module, torch.zeros(1, 1, 8, 8), input_scale=1 / 255)
    frames, _ = quarters(4, 3)
    with pytest.raises(UsageError, match=r"--budget-class needs two or more outputs of one pixel"):
        a2s.to_sdnn(network, list(frames), budget_class=0.01)


def test_reports_of_earlier_versions_are_read(model: Path) -> None:
    report = converted(model, False)
    path = model.with_name("out") / "report.json"
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    del stored["threshold_budget"]["budget_class"]
    for choice in ("remembering", "mixed", "memoryless"):
        del stored["threshold_budget"][choice]["added"]["class_changed"]
    path.write_text(json.dumps(stored), encoding="utf-8")
    again = a2s.load(path.parent).report
    assert again.threshold_budget is not None
    assert again.threshold_budget.limit == budget_of(report).limit
    assert np.isfinite(again.threshold_budget.limit or np.nan)
