"""Thresholds for a budget in pixels, end to end on small recordings; the sweep; refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import ModelBuilder, random_weights
from recordings import write_network, write_recordings

from ann2sdnn.calibration.thresholds.budget import pieces, split_runs
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.explain.advice import warnings_of
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.render.document import report_tables
from ann2sdnn.convert.report.report import (
    Alternative,
    ConversionReport,
    ThresholdBudget,
    read_report,
)
from ann2sdnn.convert.stages.sweep import Sweep
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.sources.dhp19 import plan_runs
from ann2sdnn.sdnn.spec.file import read_points
from ann2sdnn.support.errors import UsageError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), subjects=4, frames=4)


@pytest.fixture(scope="module")
def tuned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    model = write_network(folder / "model.onnx")
    thresholds = RateDistortion(budget_px=2.0, memory="mixed")
    options = ConvertOptions(thresholds, threshold_bits=2, spike_exp=6, sweep=True)
    convert(model, data, folder / "sdnn", options)
    return folder / "sdnn"


def budget_of(report: ConversionReport) -> ThresholdBudget:
    assert report.threshold_budget is not None
    return report.threshold_budget


def test_the_budget_is_kept_and_saves_operations(tuned: Path) -> None:
    budget = budget_of(read_report(tuned / "report.json"))
    assert budget.memoryless is not None
    for found in (budget.remembering, budget.mixed, budget.memoryless):
        assert found.added is not None
        assert found.added.value <= 2.0
        assert found.added.moved_over_5px is not None
        assert found.added.moved_over_5px <= 0.1
        assert found.synops_per_frame < budget.synops_per_frame_without
        assert found.added_error > 0
    assert budget.remembering.memoryless_layers == []
    assert budget.mixed.synops_per_frame <= budget.memoryless.synops_per_frame
    assert {trial.memory for trial in budget.trials} >= {"all", "none"}
    assert budget.mixed.synops_per_frame <= budget.remembering.synops_per_frame
    assert budget.held_out_frames > 0
    assert budget.held_out_added_px is not None


def test_the_spec_is_what_the_report_says(tuned: Path) -> None:
    report, points = read_report(tuned / "report.json"), read_points(tuned / "sdnn.h5")
    spec, budget = points.lava, budget_of(report)
    assert spec.grid.threshold_bits == 2
    assert spec.memoryless_layers == ()
    assert points.memoryless is not None
    assert set(points.memoryless.memoryless_layers) >= {x.name for x in spec.layers[:-1]}
    cheaper = budget.mixed.synops_per_frame < 0.9 * budget.remembering.synops_per_frame
    assert (points.engine is not None) is cheaper is budget.engine_has_its_own
    if points.engine is not None:
        assert list(points.engine.memoryless_layers) == budget.mixed.memoryless_layers
    for row, layer in zip(report.layers, spec.layers, strict=True):
        assert row.threshold == layer.threshold / 256
        assert row.remembers is layer.is_stateful
    assert max(layer.threshold for layer in spec.layers[:-1]) > 0
    assert spec.layers[-1].threshold == 0
    shares = [row.share_of_error for row in report.layers if row.share_of_error is not None]
    of_input = budget.remembering.input_share_of_error
    assert of_input is not None
    assert sum(shares) + of_input == pytest.approx(1)
    assert budget.remembering.input_threshold == spec.input_threshold / spec.input_gain > 0
    assert report_tables(report)


def test_the_sweep_has_every_rule_and_its_picture(tuned: Path) -> None:
    result = Sweep.model_validate_json((tuned / "sweep.json").read_text())
    rules = {point.rule for point in result.points}
    assert {"fixed", "percentile", "mean-delta", "rate-distortion"} < rules
    assert "rate-distortion, memoryless" in rules
    assert (tuned / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert result.dense_macs_per_frame > result.nonzero_macs_per_frame > 0
    for rule in rules:
        points = [point for point in result.points if point.rule == rule]
        errors = [point.added_error for point in points]
        assert len(points) == 5
        assert errors[-1] > errors[0], f"{rule}: the last parameter is the coarsest"
    assert json.loads((tuned / "sweep.json").read_text())["schema"] == 1


def test_recordings_are_kept_apart_whole(data: Path) -> None:
    runs = plan_runs(open_recordings(data), (2, 3))
    tuning, apart = split_runs(runs)
    names = [{run.group for run in side} for side in (tuning, apart)]
    assert names[0]
    assert names[1]
    assert not names[0] & names[1]
    assert len(tuning) + len(apart) == len(runs)
    assert split_runs(runs[:1]) == (runs[:1], ())
    assert sum(run.n_frames for run in pieces(runs, 9)) == 8


def test_a_budget_in_pixels_needs_heat_maps(data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    builder = ModelBuilder(("N", 1, "H", "W"))
    builder.add("Conv", np.abs(random_weights(rng, 2, 1, 260, 344))).add("Relu")
    model = builder.save(tmp_path / "model.onnx")
    options = ConvertOptions(RateDistortion(budget_px=0.2), input_scale=1 / 255)
    with pytest.raises(UsageError, match=r"--budget-px needs heat maps.*--budget-error"):
        convert(model, data, tmp_path / "sdnn", options)
    assert not (tmp_path / "sdnn").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"budget_px": 0.0}, {"memory": "none"}, {"budget_error": 0.0}],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        RateDistortion(**wrong)


def test_two_budgets_are_refused() -> None:
    with pytest.raises(UsageError, match="two budgets"):
        RateDistortion(budget_px=0.2, budget_error=0.02)


def test_what_helps_busy_layers_is_what_there_is(tuned: Path) -> None:
    report = read_report(tuned / "report.json")
    layers = [one.model_copy(update={"density": 0.0, "remembers": True}) for one in report.layers]
    for own, advice in ((True, "What helps: the engine's own"), (False, "What helps: a larger")):
        budget = budget_of(report).model_copy(update={"engine_has_its_own": own})
        busy = report.model_copy(update={"layers": layers, "threshold_budget": budget})
        (said,) = [one for one in warnings_of(busy) if "stateful layers do not pay" in one]
        assert advice in said


def test_a_budget_below_the_cost_of_rounding_is_said_with_what_helps(tuned: Path) -> None:
    report = read_report(tuned / "report.json")
    budget = budget_of(report)
    assert budget.rounding is not None
    rounding = budget.rounding.model_copy(update={"value": 2.5})
    other = Alternative(
        options="--relays 2", foreseen_error_nearest=report.plan.foreseen_error_nearest / 8
    )
    beyond = report.model_copy(
        update={
            "threshold_budget": budget.model_copy(update={"rounding": rounding}),
            "plan": report.plan.model_copy(update={"alternatives": [other]}),
        }
    )
    (said,) = [one for one in warnings_of(beyond) if "rounding alone costs" in one]
    assert "2.5 px" in said
    assert "budget of 2 px" in said
    assert "--relays 2 (about 0.16 px)" in said  # 2.5 / 8^(4/3)
    assert not [one for one in warnings_of(report) if "rounding alone costs" in one]
