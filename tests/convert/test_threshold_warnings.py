"""Every operating point that exceeds its budget on held-out frames is named in a warning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import quarters, write_quarter_network

from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.explain.thresholds import threshold_warnings
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.report.report import Measured, ThresholdBudget, Tuned, read_report

Interval = tuple[float, float] | None


def measured(value: float, interval: Interval = None, moved: float | None = None) -> Measured:
    return Measured(value=value, interval=interval, mean_px=None, moved_over_5px=moved)


def tuned(held_out: Measured | None, added: Measured | None = None) -> Tuned:
    return Tuned(
        memoryless_layers=[],
        synops_per_frame=1.0,
        synops_per_frame_predicted=1.0,
        displacement_px=None,
        added_px=None,
        added_error=0.0,
        added_error_predicted=None,
        added=added or measured(0.01),
        held_out_added=held_out,
    )


def budget_with(
    lava: Measured | None,
    engine: Measured | None = None,
    memoryless: Measured | None = None,
    **others: Any,
) -> ThresholdBudget:
    """A budget of 0.02 in relative error, or in another unit, and what was held out."""
    within = measured(0.01)
    fields: dict[str, Any] = {
        "unit": "error",
        "budget_px": None,
        "budget_error": 0.02,
        "bounds": "added",
        "memory": "mixed",
        "frames": 30,
        "rounding_px": None,
        "synops_per_frame_without": 1.0,
        "remembering": tuned(lava),
        "mixed": tuned(engine or within),
        "memoryless": tuned(memoryless or within),
        "engine_has_its_own": engine is not None,
        "held_out_frames": 8,
        "held_out_rounding_px": None,
        "held_out_px": None,
        "held_out_added_px": None,
        "held_out_synops_per_frame": None,
        "unmeasured_layers": [],
    }
    return ThresholdBudget(**(fields | others))


def sentences(budget: ThresholdBudget) -> list[str]:
    return list(threshold_warnings(budget, "sequence"))


WITHIN = measured(0.0199, (0.019, 0.03))
BEYOND = measured(0.03, (0.025, 0.04))
PERHAPS = measured(0.025, (0.015, 0.04))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((WITHIN, None, WITHIN), []),
        ((BEYOND, None, WITHIN), ["add 0.03 (0.025 to 0.04) in the SDNN, more"]),
        ((BEYOND, WITHIN, WITHIN), ["add 0.03 (0.025 to 0.04) in lava's operating point, more"]),
        ((WITHIN, BEYOND, WITHIN), ["add 0.03 (0.025 to 0.04) in the engine's, more"]),
        ((WITHIN, None, BEYOND), ["add 0.03 (0.025 to 0.04) in the memoryless network, more"]),
        ((WITHIN, None, measured(0.03)), ["add 0.03 in the memoryless network, more"]),
        (
            (measured(0.05), BEYOND, BEYOND),
            [
                "0.05 in lava's operating point, 0.03 (0.025 to 0.04) in the engine's and 0.03"
                " (0.025 to 0.04) in the memoryless network, more than the budget of 0.02"
            ],
        ),
        (
            (BEYOND, None, PERHAPS),
            [
                "in the SDNN, more than the budget of 0.02 (relative error); calibrate on more"
                " varied sequences",
                "add 0.025 (0.015 to 0.04) in the memoryless network, more than the budget of 0.02"
                " (relative error), which the interval includes; calibrate on more sequences to",
            ],
        ),
    ],
)
def test_points_beyond_the_budget_are_named(points: Any, expected: list[str]) -> None:
    found = sentences(budget_with(*points))
    assert len(found) == len(expected)
    for sentence, part in zip(found, expected, strict=True):
        assert sentence.startswith("on 8 held-out frames thresholds add")
        assert part in sentence


def test_in_pixels_joints_that_move_far_count_as_well() -> None:
    far = measured(0.15, moved=0.03)
    others = {"unit": "px", "budget_px": 0.2, "budget_error": None}
    (sentence,) = sentences(budget_with(measured(0.1, moved=0.005), None, far, **others))
    assert "add 0.15 px and move 3.0% of the joints by more than 5 px (at most 1.0%" in sentence
    assert "in the memoryless network" in sentence


def test_what_cannot_be_checked_is_said() -> None:
    budget = budget_with(None, unit="px", budget_px=0.2)
    unchecked = dict.fromkeys(("mixed", "memoryless"), tuned(None))
    (sentence,) = sentences(budget.model_copy(update=unchecked))
    assert "the ANN is confident of no joint" in sentence
    assert sentence.endswith("calibrate on more sequences")
    (sentence,) = sentences(
        budget_with(WITHIN, remembering=tuned(WITHIN, measured(0.02, (0.001, 0.05))))
    )
    assert sentence.startswith("what thresholds add is uncertain: 0.02 (0.001 to 0.05) on 30")


@pytest.mark.parametrize(("n_sequences", "seed", "n_beyond"), [(4, 1, 0), (2, 3, 1)])
def test_a_conversion_warns_of_each_point(
    n_sequences: int, seed: int, n_beyond: int, tmp_path: Path
) -> None:
    """Few sequences of a small classifier, on two of which thresholds do not hold."""
    frames, _ = quarters(n_sequences, 8, seed=seed)
    data = tmp_path / "frames.npz"
    np.savez(data, frames=frames.reshape(-1, 1, 8, 8), lengths=[8] * n_sequences)
    options = ConvertOptions(RateDistortion(task="output"), split="all")
    convert(write_quarter_network(tmp_path / "model.onnx"), data, tmp_path / "sdnn", options)
    report = read_report(tmp_path / "sdnn" / "report.json")
    budget = report.threshold_budget
    assert budget is not None
    assert budget.memoryless is not None
    assert not budget.engine_has_its_own
    text = " ".join(warning for warning in report.warnings if "held-out frames" in warning)
    beyond = 0
    for point, name in ((budget.remembering, "SDNN"), (budget.memoryless, "memoryless network")):
        assert point.held_out_added is not None
        exceeds = point.held_out_added.value > 1.005 * 0.02
        assert (f"in the {name}" in text) == exceeds
        beyond += exceeds
    assert beyond == n_beyond
    assert "recording" not in " ".join(report.warnings)
