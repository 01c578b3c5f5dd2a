"""What people read: sentences, numbers, the terminal's tables and the page."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import accepted, byte_damages, json_damages
from rich.console import Console

from ann2sdnn.data.pose.joints import BONES, JOINTS
from ann2sdnn.eval.render.page import render_html
from ann2sdnn.eval.render.summary import conclusions, summary_rows
from ann2sdnn.eval.render.terminal import print_summary
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.examples import Example, Points
from ann2sdnn.eval.results.findings import findings
from ann2sdnn.eval.results.schema import EvaluationReport, read_json, to_json, write_json
from ann2sdnn.support.page.numbers import compact, decimals, percent

PER_JOINT = dict.fromkeys(JOINTS, 8.0)
ERRORS: dict[str, Any] = {
    "mpjpe_px": 8.25,
    "mpjpe_mm": 91.5,
    "per_joint_px": PER_JOINT,
    "per_joint_mm": dict.fromkeys(JOINTS),
    "per_channel_px": {"2": 8.0, "3": 8.5},
}
LAYER: dict[str, Any] = {
    "name": "conv1",
    "neurons": 1_430_000,
    "ann_density": 0.12345,
    "event_density": 0.0456,
    "events_per_frame": 65_208.0,
    "synops_per_frame": 39.9e6,
    "threshold": 0.015625,
    "memoryless_events_per_frame": 0.0,
    "memoryless_synops_per_frame": 28.8e6,
    "macs_per_frame": 202.4e6,
    "nonzero_macs_per_frame": 49.9e6,
    "overflows": 0,
    "oversized_messages": 0,
}


def make_report(**changes: Any) -> EvaluationReport:
    """A report with plausible numbers; ``changes`` such as ``sdnn__overflows=3``."""
    values: dict[str, Any] = {
        "split": "test",
        "channels": (2, 3),
        "recordings": ("S6_session1_mov1",),
        "frames": 64,
        "source_sha256": "ab" * 32,
        "threads": 2,
        "ann": ERRORS
        | {
            "offset_px": {"2": (3.6, -4.6), "3": None},
            "mpjpe_px_without_offset": 5.5,
            "macs_per_frame": 2.81e9,
            "nonzero_macs_per_frame": 546e6,
            "nonzero_activations_per_frame": 1.23e6,
            "seconds_per_frame": 0.123,
        },
        "sdnn": ERRORS
        | {
            "backend": "engine",
            "events_per_frame": 623e3,
            "input_events_per_frame": 2e3,
            "synops_per_frame": 333e6,
            "dense_macs_per_frame": 2.7e9,
            "overflows": 0,
            "oversized_messages": 0,
            "seconds_per_frame": 0.5,
        },
        "memoryless": ERRORS
        | {
            "events_per_frame": 523e3,
            "input_events_per_frame": 1e3,
            "synops_per_frame": 444e6,
            "displacement_px_mean": 0.9,
            "displacement_px_median": 0.5,
            "moved_over_5px": 0.01,
            "heatmap_relative_error": 0.2,
            "seconds_per_frame": 0.6,
        },
        "comparison": {
            "displacement_px_mean": 1.13,
            "displacement_px_median": 0.7,
            "moved_over_5px": 0.011,
            "heatmap_relative_error": 0.16,
            "synops_reduction_vs_dense": 2810 / 333,
            "synops_reduction_vs_nonzero": 546 / 333,
            "synops_reduction_vs_memoryless": 444 / 333,
            "n_joints": 700,
            "displacement_histogram": {"edges_px": (0.0, 1.0, 2.0), "counts": (500, 150, 50)},
        },
        "baseline_mean_pose_px": 14.5,
        "baseline_mean_pose_mm": 150.0,
        "baseline_mean_pose_from": "train",
        "baseline_mean_pose_per_joint_px": PER_JOINT,
        "layers": (LAYER, LAYER | {"name": "relay", "ann_density": None, "macs_per_frame": None}),
        "warnings": (),
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        target = values
        for parent in parents:
            target[parent] = dict(target[parent])
            target = target[parent]
        target[key] = value
    return EvaluationReport.model_validate(values)


def warnings_of(report: EvaluationReport) -> tuple[str, ...]:
    return findings(
        report.ann,
        report.sdnn,
        report.memoryless,
        report.comparison,
        report.baseline_mean_pose_px,
    )


def printed(report: EvaluationReport, *, layers: bool) -> list[str]:
    stream = io.StringIO()
    console = Console(width=80, file=stream, force_terminal=False, color_system=None)
    print_summary(report, console, last_line="Report: out/report.html", layers=layers)
    return stream.getvalue().splitlines()


def test_a_good_conversion_has_no_warnings() -> None:
    assert warnings_of(make_report()) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sdnn__overflows": 3}, "24 bits"),
        ({"sdnn__oversized_messages": 3}, "16 bits"),
        ({"memoryless__synops_per_frame": 300e6}, "loses to the memoryless network"),
        ({"ann__nonzero_macs_per_frame": 300e6}, "loses to the ANN that skips zeros"),
        ({"comparison__displacement_px_mean": 7.0}, "7.0 px on average"),
        ({"comparison__moved_over_5px": 0.2}, "20%"),
        ({"comparison__displacement_px_mean": None}, "cannot be said"),
        ({"baseline_mean_pose_px": 8.0}, "guessing the mean pose"),
    ],
)
def test_each_trouble_is_said_once(changes: dict[str, Any], said: str) -> None:
    (warning,) = warnings_of(make_report(**changes))
    assert said in warning


def test_the_summary_has_the_guess_and_the_four_rows_of_a_comparison() -> None:
    rows = {row.method: row for row in summary_rows(make_report())}
    assert list(rows) == [
        "Always the mean pose",
        "ANN (dense)",
        "ANN, skipping zeros",
        "Memoryless SDNN",
        "SDNN",
    ]
    assert rows["ANN (dense)"].fraction_of_dense == 1.0
    assert rows["SDNN"].fraction_of_dense == pytest.approx(333 / 2810)
    assert rows["SDNN"].moved_px == 1.13
    assert rows["Memoryless SDNN"].moved_px == 0.9
    assert rows["Always the mean pose"].synops_per_frame is None


def test_conclusions_say_which_way_a_comparison_went() -> None:
    winning = " ".join(conclusions(make_report()))
    assert "1.13 px" in winning
    assert "1.6 times fewer operations than the ANN skipping zeros" in winning
    losing = conclusions(make_report(comparison__synops_reduction_vs_memoryless=0.5))
    assert "2 times more operations than the memoryless network" in losing[1]
    for factor in (0.99, 1.0, 1.02):
        equal = conclusions(make_report(comparison__synops_reduction_vs_memoryless=factor))
        assert "about as many operations as the memoryless network" in equal[1]
    idle = make_report(comparison__synops_reduction_vs_nonzero=0.0)
    assert "skipping zeros" not in " ".join(conclusions(idle))
    assert conclusions(make_report(comparison=None)) == ()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0"),
        (7, "7"),
        (2.5, "2.50"),
        (999.4, "999"),
        (999.6, "1.00 k"),
        (12_345, "12.3 k"),
        (546e6, "546 M"),
        (999.96e6, "1.00 G"),
        (2.81e9, "2.81 G"),
    ],
)
def test_compact_numbers(count: float | None, text: str) -> None:
    assert compact(count) == text


def test_other_numbers() -> None:
    assert [percent(f) for f in (None, 0.0, 0.0123, 0.0996, 1.0)] == [
        "-", "0%", "1.2%", "10%", "100%",
    ]  # fmt: skip
    assert (decimals(None, 2), decimals(1.0, 2)) == ("-", "1.00")


def test_tables_fit_80_columns_and_cut_nothing() -> None:
    lines = printed(make_report(), layers=True)
    assert max(len(line) for line in lines) <= 80
    sdnn = next(line for line in lines if line.strip().startswith("SDNN"))
    assert sdnn.split() == ["SDNN", "8.25", "91.5", "1.13", "623", "k", "333", "M", "12%"]
    conv1 = next(line for line in lines if "conv1" in line)
    assert conv1.split() == [
        "conv1", "1.43M", "12%", "4.6%", "0.0156", "202M", "49.9M", "28.8M", "39.9M",
    ]  # fmt: skip
    assert not any("…" in line for line in lines)
    assert lines[-1] == "Report: out/report.html"


def test_long_layer_names_keep_their_end_and_the_table_its_width() -> None:
    name = "/encoder/blocks.[0]/convolution_17/Conv"
    lines = printed(make_report(layers=(LAYER | {"name": name},)), layers=True)
    assert any(line.strip().startswith("…ution_17/Conv") for line in lines)
    assert max(len(line) for line in lines) <= 80


def test_layers_are_printed_on_demand_and_missing_parts_are_dashes() -> None:
    alone = make_report(sdnn=None, memoryless=None, comparison=None, ann__mpjpe_mm=None)
    lines = printed(alone, layers=False)
    assert not any("conv1" in line for line in lines)
    assert not any("SDNN" in line for line in lines)
    dense = next(line for line in lines if "ANN (dense)" in line)
    assert dense.split() == ["ANN", "(dense)", "8.25", "-", "-", "-", "2.81", "G", "100%"]


class Page(HTMLParser):
    """Collects what a page refers to and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def example() -> Example:
    pixels = np.stack([np.arange(13) * 10 + 50, np.arange(13) * 12 + 40], axis=1)
    points = Points(pixels, np.ones(13, bool))
    return Example("S6, frame 3", np.zeros((260, 344), np.uint8), BONES, points, points, points)


def test_the_page_stands_alone_and_says_everything() -> None:
    report = make_report(warnings=("The SDNN loses <badly>.",))
    html = render_html(Evaluation(report, (example(), example())))
    page = Page()
    page.feed(html)
    assert page.open == []
    assert len(page.sources) == 5
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://|@import|url\(", html)
    for said in ("Memoryless SDNN", "1.13", "333 M", "relay", "(3.6, -4.6)", "unknown"):
        assert said in page.text
    assert "The SDNN loses &lt;badly&gt;." in html


@pytest.mark.parametrize("kept", ["ann", "sdnn"])
def test_the_page_of_a_single_network(kept: str) -> None:
    changes: dict[str, Any] = {"comparison": None, "ann": None, "sdnn": None, "memoryless": None}
    del changes[kept]
    nothing = dict.fromkeys(JOINTS)
    changes["baseline_mean_pose_per_joint_px"] = nothing
    page = Page()
    page.feed(render_html(Evaluation(make_report(**changes), ())))
    assert page.open == []
    assert len(page.sources) == 3


def test_json_has_the_promised_keys_and_null_for_what_is_missing() -> None:
    text = to_json(make_report(comparison=None, ann__mpjpe_mm=None))
    stored = EvaluationReport.model_validate_json(text)
    assert '"schema": 1' in text
    assert stored.ann is not None
    assert stored.ann.mpjpe_mm is None
    assert stored.comparison is None


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, make_report())
    found = accepted(path, read_json, byte_damages(path), json_damages(path))
    # A joint or a camera may be missing, and lists have any length.
    free = ("per_joint", "per_channel", "offset_px", "0 missing", "counts_of missing")
    assert all(any(part in name for part in free) for name in found), found
    assert not {name for name in found if name.startswith(("schema ", "layers ", "ann "))}
