"""The operating points in the conversion report: verdict, table, thresholds by layer, page."""

import io
from typing import Any

import pytest
from calibration_cases import case
from reports import report_of
from rich.console import Console

from ann2sdnn.convert.render import points, sheets
from ann2sdnn.convert.render.document import render_html, report_tables
from ann2sdnn.convert.report.report import ConversionReport, Measured, ThresholdBudget, Tuned, Work

WORK = Work(
    all_macs_per_frame=2.8e9,
    macs_per_frame=2.8e9,
    nonzero_macs_per_frame=400e6,
    synops_per_frame=150e6,
    first_frame_synops=240e6,
    nonzero_pixels_per_frame=4000.0,
    changed_pixels_per_frame=1000.0,
)


def tuned(synops: float, added: float, *, memoryless_layers: tuple[str, ...] = ()) -> Tuned:
    def measured(value: float) -> Measured:
        interval = (value - 0.05, value + 0.05)
        return Measured(value=value, interval=interval, mean_px=0.4, moved_over_5px=0.004)

    return Tuned(
        memoryless_layers=list(memoryless_layers),
        synops_per_frame=synops,
        synops_per_frame_predicted=synops,
        displacement_px=0.5,
        added_px=0.4,
        added_error=0.02,
        added_error_predicted=0.02,
        added=measured(added),
        to_ann=measured(added),
        held_out_added=measured(added + 0.01),
        held_out_synops_per_frame=synops,
    )


BUDGET: dict[str, Any] = {
    "unit": "px",
    "budget_px": 0.2,
    "bounds": "added",
    "memory": "mixed",
    "frames": 128,
    "rounding_px": 0.3,
    "rounding": Measured(value=0.1, interval=(0.05, 0.2), mean_px=0.3, moved_over_5px=0.01),
    "synops_per_frame_without": 330e6,
    "remembering": tuned(142e6, 0.18),
    "mixed": tuned(90e6, 0.17, memoryless_layers=("input", "layer0")),
    "memoryless": tuned(211e6, 0.19),
    "engine_has_its_own": True,
    "held_out_frames": 64,
    "held_out_rounding_px": 0.3,
    "held_out_px": 0.4,
    "held_out_added_px": 0.3,
    "held_out_synops_per_frame": 140e6,
    "unmeasured_layers": [],
    "trials": [
        {
            "memory": memory,
            "synops_per_frame": synops,
            "added": added,
            "used": added / 0.2,
            "added_px": added,
        }
        for memory, synops, added in (("all", 2e8, 0.1), ("mixed", 9e7, 0.17), ("none", 3e8, 0.2))
    ],
}


@pytest.fixture(scope="module")
def plain() -> ConversionReport:
    return report_of(case(), threshold=1)


def with_search(plain: ConversionReport, **changes: Any) -> ConversionReport:
    budget = ThresholdBudget(**(BUDGET | changes))
    layers = [
        layer.model_copy(update={"engine_threshold": 0.5, "engine_remembers": index > 0})
        for index, layer in enumerate(plain.layers)
    ]
    update = {"threshold_budget": budget, "work": WORK, "layers": layers}
    return plain.model_copy(update=update)


def printed(report: ConversionReport) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(report_tables(report))
    return console.export_text()


def test_the_verdict_is_that_of_the_calibration_frames(plain: ConversionReport) -> None:
    (sentence,) = points.verdict_of(with_search(plain))
    assert sentence == (
        f"On {plain.calibration_frames} calibration frames the SDNN (engine, mixed) needs 90.0 M"
        " operations per frame, 31 times fewer than the dense ANN, 4.4 times fewer than the ANN"
        " that skips zeros and 2.3 times fewer than the memoryless network, with thresholds that"
        " add 0.17 px."
    )
    (alone,) = points.verdict_of(with_search(plain, engine_has_its_own=False))
    assert "the SDNN needs 142 M operations per frame, 20 times fewer" in alone
    (losing,) = points.verdict_of(with_search(plain, memoryless=tuned(100e6, 0.2)))
    assert "lava's operating point needs 1.4 times more than the memoryless network" in losing
    old = plain.model_copy(update={"work": None})
    assert points.verdict_of(old) == ()
    assert "Operations per frame" not in render_html(old)


def test_budget_and_measured_values_with_intervals_stand_in_the_table(
    plain: ConversionReport,
) -> None:
    report = with_search(plain)
    sheet = points.table(report)
    assert sheet is not None
    assert sheet.title == "Budget: thresholds add at most 0.2 px"
    assert sheet.rows == (
        ("ANN (dense)", "-", "-", "-", "2.80 G", "100%"),
        ("ANN, skipping zeros", "-", "-", "-", "400 M", "14%"),
        ("Memoryless SDNN", "0.19 (0.14-0.24)", "0.4%", "0.20 (0.15-0.25)", "211 M", "7.5%"),
        ("SDNN (lava)", "0.18 (0.13-0.23)", "0.4%", "0.19 (0.14-0.24)", "142 M", "5.1%"),
        ("SDNN (engine, mixed)", "0.17 (0.12-0.22)", "0.4%", "0.18 (0.13-0.23)", "90.0 M", "3.2%"),
    )
    assert sheet.marked == 4
    notes = " ".join(sheet.notes)
    for said in ("SDNN needs 240 M", "128 frames searched, 64 held out", "0 need 330 M"):
        assert said in notes
    assert "rounding alone lies 0.10 (0.05-0.20) px from the ANN (plain mean 0.30 px)" in notes
    text = printed(report)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_a_budget_as_a_relative_error_has_no_pixels(plain: ConversionReport) -> None:
    none_moved = {"moved_over_5px": None, "mean_px": None}
    error = tuned(142e6, 0.018)
    report = with_search(
        plain,
        unit="error",
        budget_px=None,
        budget_error=0.02,
        rounding_px=None,
        rounding=Measured(value=0.05, interval=None, **none_moved),
        remembering=error,
    )
    sheet = points.table(report)
    assert sheet is not None
    assert sheet.title == "Budget: thresholds add at most 0.02 (relative error)"
    assert sheet.headings[1:3] == ("error added,\nsearched", "error added,\nheld out")
    assert "px" not in " ".join(sheet.notes)
    assert max(map(len, printed(report).splitlines())) <= 80


def test_thresholds_and_memory_of_both_points_stand_side_by_side(plain: ConversionReport) -> None:
    sheet = sheets.threshold_layers(with_search(plain))
    assert sheet is not None
    own = f"{plain.layers[0].threshold:.3g}"
    assert sheet.rows[0][1:4] == (own, "0.5", "memoryless")
    assert sheet.rows[1][3] == "stateful"
    alone = sheets.threshold_layers(with_search(plain, engine_has_its_own=False))
    assert alone is not None
    assert alone.rows[0][1:3] == ("stateful", own)


def test_without_a_search_only_operations_are_compared(plain: ConversionReport) -> None:
    sheet = points.table(plain)
    assert sheet is not None
    assert [row[0] for row in sheet.rows] == ["ANN (dense)", "ANN, skipping zeros", "SDNN"]
    assert len(sheet.headings) == 3
    assert points.search(plain) is None
    html = render_html(plain)
    assert html.count("<figure>") == 1
    assert render_html(with_search(plain)).count("<figure>") == 2


def test_the_page_begins_with_the_verdict_and_facts_follow(plain: ConversionReport) -> None:
    html = render_html(with_search(plain))
    order = [
        html.index(part)
        for part in (
            "calibration frames the SDNN (engine, mixed) needs",
            "SDNN (lava)",
            'alt="Operations per frame',
            'alt="Operations against displacement',
            "Calibrated on",
        )
    ]
    assert order == sorted(order)
