"""What people read: sentences, numbers, the terminal's tables and the page."""

import io
import json
import re
from collections.abc import Collection
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import accepted, byte_damages, json_damages
from evaluations import LAYER, MIXED, make_report, read_evaluation
from rich.console import Console

from ann2sdnn.convert.report.search_curve import read_search_curve
from ann2sdnn.data.pose.joints import BONES, JOINTS
from ann2sdnn.eval.render.document import print_evaluation, render_html
from ann2sdnn.eval.render.energy import joules
from ann2sdnn.eval.render.sheets import summary
from ann2sdnn.eval.render.verdict import verdict_of
from ann2sdnn.eval.results.energy import EnergyReport, ann_energy, sdnn_energy
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.examples import Example, Points
from ann2sdnn.eval.results.findings import findings
from ann2sdnn.eval.results.schema import (
    AnnResult,
    Comparison,
    EvaluationReport,
    LayerResult,
    MemorylessResult,
    MixedResult,
    to_json,
)
from ann2sdnn.support.errors import ModelError


def printed(report: EvaluationReport, *, layers: bool, options: Collection[str] = ()) -> list[str]:
    stream = io.StringIO()
    console = Console(width=80, file=stream, force_terminal=False, color_system=None)
    print_evaluation(
        Evaluation(report, ()),
        console,
        last_line="Report: out/report.html",
        layers=layers,
        options=options,
    )
    return stream.getvalue().splitlines()


def test_a_good_conversion_has_no_warnings() -> None:
    assert findings(make_report()) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sdnn__overflows": 3}, "24 bits"),
        ({"sdnn__oversized_messages": 3}, "16 bits"),
        ({"mixed": MIXED | {"overflows": 2}}, "in the operating point for the engine"),
        ({"mixed": MIXED | {"moved_over_5px": 0.2}}, "in the operating point for the engine"),
        ({"comparison__displacement_px_mean": 7.0}, "7.0 px on average"),
        ({"comparison__moved_over_5px": 0.2}, "20%"),
        ({"comparison__displacement_px_mean": None}, "displacement of joints is unknown"),
        ({"baseline_mean_pose_px": 8.0}, "guessing the mean pose"),
    ],
)
def test_each_trouble_is_said_once(changes: dict[str, Any], said: str) -> None:
    (warning,) = findings(make_report(**changes))
    assert said in warning


def test_the_summary_has_the_guess_and_the_four_rows_of_a_comparison() -> None:
    rows = {row[0]: row[1:] for row in summary(Evaluation(make_report(), ())).rows}
    assert list(rows) == [
        "Always the mean pose",
        "ANN (dense)",
        "ANN, skipping zeros",
        "Memoryless SDNN",
        "SDNN",
    ]
    # Error in px and mm, displacement, messages, operations, their share of dense.
    assert rows["ANN (dense)"][3:] == ("-", "-", "2.81 G", "100%")
    assert rows["ANN, skipping zeros"][5:] == ("540 M", "19%")
    assert rows["SDNN"] == ("8.25", "91.5", "0.81", "1.13", "600 k", "300 M", "11%")
    assert rows["Memoryless SDNN"] == ("8.25", "91.5", "0.60", "0.90", "520 k", "440 M", "16%")
    assert rows["Always the mean pose"] == ("14.50", "150.0", "-", "-", "-", "-", "-")


def test_the_engines_point_is_a_fifth_row_and_stands_out_where_it_is_better() -> None:
    sheet = summary(Evaluation(make_report(mixed=MIXED, comparison__best="mixed"), ()))
    assert [row[0] for row in sheet.rows[4:]] == ["SDNN (lava)", "SDNN (engine, mixed)"]
    assert sheet.rows[5][1:] == ("8.25", "91.5", "0.33", "0.44", "290 k", "150 M", "5.3%")
    assert sheet.marked == 5
    assert "470 M (lava) and 200 M (engine) operations" in sheet.notes[1]
    (first_frame,) = summary(Evaluation(make_report(), ())).notes[1:]
    assert "SDNN needs 470 M operations" in first_frame


def said(**changes: Any) -> str:
    (sentence,) = verdict_of(make_report(**changes))
    return sentence


def test_the_verdict_names_the_better_point_and_its_factors() -> None:
    assert said() == (
        "On 64 frames the SDNN needs 300 M operations per frame, 9.4 times fewer than the dense"
        " ANN, 1.8 times fewer than the ANN that skips zeros and 1.5 times fewer than the"
        " memoryless network, 0.81 px from the ANN."
    )
    both = said(mixed=MIXED)
    assert "the SDNN (engine, mixed) needs 150 M operations per frame, 19 times fewer" in both
    assert both.endswith("2.9 times fewer than the memoryless network, 0.33 px from the ANN.")
    assert verdict_of(make_report(comparison=None, ann=None)) == ()


def test_the_verdict_says_where_lavas_point_loses_and_why() -> None:
    losing = said(mixed=MIXED, memoryless__sustained_synops_per_frame=200e6)
    assert "1.3 times fewer than the memoryless network" in losing
    assert "lava's operating point needs 1.5 times more than the memoryless network" in losing
    assert "as many values change from frame to frame as are not zero, or more" in losing
    assert losing.endswith("so run this data in the engine.")
    disjoint = said(
        mixed=MIXED,
        memoryless__sustained_synops_per_frame=200e6,
        sdnn__sustained_input_events_per_frame=6240.0,
    )
    assert "because most non-zero pixels change from frame to frame (160 changes per" in disjoint
    skipping = said(mixed=MIXED, ann__sustained_nonzero_macs_per_frame=200e6)
    assert "needs 1.5 times more than the ANN that skips zeros, because" in skipping


@pytest.mark.parametrize("rival", ["memoryless", "nonzero"])
@pytest.mark.parametrize("factor", [0.5, 0.98, 1.0, 1.02])
@pytest.mark.parametrize("mixed", [False, True])
def test_no_win_is_claimed_that_is_none(rival: str, factor: float, mixed: bool) -> None:
    best = 150e6 if mixed else 300e6
    where = {
        "memoryless": "memoryless__sustained_synops_per_frame",
        "nonzero": "ann__sustained_nonzero_macs_per_frame",
    }
    sentence = said(mixed=MIXED if mixed else None, **{where[rival]: factor * best})
    assert sentence.startswith("On 64 frames the SDNN does not pay: ")
    assert ("2 times more than" if factor == 0.5 else "about as many as") in sentence
    assert sentence.endswith("on such data use the memoryless operating point.")
    alone = said(
        memoryless__from_point="lava", memoryless__sustained_synops_per_frame=factor * 300e6
    )
    assert "convert with a budget" in alone


def test_a_verdict_on_another_network_or_on_nothing() -> None:
    assert "but it is not the same network any more, 0.81 px" in said(
        comparison__moved_over_5px=0.2
    )
    assert "px from the ANN" not in said(sdnn__displacement_capped_px=None)
    still = said(sdnn__sustained_synops_per_frame=0.0)
    assert "nothing changes after the first frame: the SDNN needs no operations" in still
    idle = said(ann__sustained_nonzero_macs_per_frame=0.0)
    assert "skips zeros" not in idle


def test_tables_fit_80_columns_and_cut_nothing() -> None:
    lines = printed(make_report(), layers=True)
    assert max(len(line) for line in lines) <= 80
    sdnn = next(line for line in lines if line.strip().startswith("SDNN"))
    assert sdnn.split() == ["SDNN", "8.25", "91.5", "0.81", "1.13", "600", "k", "300", "M", "11%"]
    conv1 = next(line for line in lines if "conv1" in line)
    assert conv1.split() == [
        "conv1", "1.43M", "12%", "4.6%", "0.0156", "202M", "49.9M", "28.8M", "39.9M",
    ]  # fmt: skip
    assert not any("…" in line for line in lines)
    assert lines[-1] == "Report: out/report.html"


def test_long_layer_names_keep_their_end_and_the_table_its_width() -> None:
    name = "/encoder/blocks.[0]/convolution_17/Conv"
    lines = printed(make_report(layers=(LAYER | {"name": name},)), layers=True)
    assert any(line.startswith("…") and "volution_17/Conv " in line for line in lines)
    assert max(len(line) for line in lines) <= 80


def test_layers_are_printed_on_demand_and_missing_parts_are_dashes() -> None:
    alone = make_report(sdnn=None, memoryless=None, comparison=None, ann__mpjpe_mm=None)
    lines = printed(alone, layers=False)
    assert not any("conv1" in line for line in lines)
    assert not any("SDNN" in line for line in lines)
    dense = next(line for line in lines if "ANN (dense)" in line)
    assert dense.split() == ["ANN", "(dense)", "8.25", "-", "-", "-", "-", "2.81", "G", "100%"]


def test_energy_is_shown_where_it_is_asked_for() -> None:
    energy = EnergyReport(
        ann=ann_energy(2.5e9),
        ann_skipping=ann_energy(4e8),
        memoryless=sdnn_energy(1.5e8, 8e5, 4e3, 14_042_080),
        sdnn=sdnn_energy(9e7, 5e5, 2e3, 14_042_080),
        mixed=sdnn_energy(8.9e7, 4e5, 2e3, 14_042_080),
    )
    report = make_report(mixed=MIXED, energy=energy.model_dump())
    title = "Energy per frame, an estimate"
    assert title not in printed(report, layers=True)
    assert title not in printed(make_report(), layers=True)
    lines = printed(report, layers=False, options=("energy",))
    table = lines[lines.index(title) :]
    assert max(map(len, lines)) <= 80
    # 2.5 G of 4.6 pJ and of 0.3 pJ.
    dense = next(line for line in table if line.startswith("ANN (dense)"))
    assert dense.split()[2:] == ["11.5", "mJ", "750", "µJ", "-", "-", "-", "-"]
    # 90 M of 0.5 pJ and 14 M comparisons; on Loihi 90 M of 23.6 pJ, 498 k updates of 81 pJ and the
    # others of 52 pJ, 500 k messages of 1.7 pJ.
    sdnn = next(line for line in table if line.startswith("SDNN (lava)"))
    assert sdnn.split()[2:8] == ["-", "47.8", "µJ", "2.87", "mJ", "2.12"]
    assert sdnn.split()[9:] == ["745", "µJ", "850", "nJ"]
    assert any("none are published" in line.lower() for line in table)
    assert title in render_html(Evaluation(report, ()))


@pytest.mark.parametrize(
    ("microjoules", "text"),
    [
        (None, "-"),
        (0.0, "0 pJ"),
        (0.0005, "500 pJ"),
        (0.9994, "999 nJ"),
        (0.9996, "1.00 µJ"),
        (2.5e6, "2.50 J"),
    ],
)
def test_joules_have_three_digits(microjoules: float | None, text: str) -> None:
    assert joules(microjoules) == text


class Page(HTMLParser):
    """Collects what a page refers to and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        links = [value or "" for key, value in attrs if key in ("src", "href")]
        inside = ("#", "data:text/csv;", "data:application/json;")
        self.sources += [link for link in links if not link.startswith(inside)]
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
    assert len(page.sources) == 6
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://|@import|url\(", html)
    for said in ("Memoryless SDNN", "1.13", "300 M", "relay", "(3.6, -4.6)", "unknown"):
        assert said in page.text
    assert "The SDNN loses &lt;badly&gt;." in html


def test_the_first_screen_is_verdict_table_bars_and_the_search(tmp_path: Path) -> None:
    trials = [
        {"memory": memory, "synops_per_frame": synops, "added": added, "added_px": 9.0}
        for memory in ("all", "mixed", "none")
        for synops, added in ((3e8, 0.05), (2e8, 0.15), (1e8, 0.25))
    ]
    path = tmp_path / "report.json"
    chosen = {"synops_per_frame": 2e8, "added": {"value": 0.15, "interval": None}}
    budget = {"budget_px": 0.2, "trials": trials, "mixed": chosen, "frames": 48}
    path.write_text(json.dumps({"threshold_budget": budget}))
    search = read_search_curve(path)
    assert search is not None
    assert search.chosen("mixed") is None  # no point of the engine's own
    budget["engine_has_its_own"] = True
    path.write_text(json.dumps({"threshold_budget": budget}))
    search = read_search_curve(path)
    assert search is not None
    assert search.chosen("mixed") == (0.15, 2e8)
    assert search.chosen("all") is None
    assert search.of("none") == ((0.05, 3e8), (0.15, 2e8), (0.25, 1e8))
    report = make_report(mixed=MIXED, warnings=("Something is wrong.",))
    html = render_html(Evaluation(report, (example(),), search=search))
    order = [
        html.index(part)
        for part in (
            "On 64 frames the SDNN (engine, mixed) needs",
            "Always the mean pose",
            'alt="Operations per frame"',
            'alt="Operations against displacement',
            "<details>",
            "Something is wrong.",
            "The ANN computes every value again",
        )
    ]
    assert order == sorted(order)
    page = Page()
    page.feed(html)
    assert page.open == []
    without = render_html(Evaluation(report, (example(),)))
    assert without.count("<figure>") == html.count("<figure>") - 1 == 1


def test_the_search_is_read_from_reports_of_any_version(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert read_search_curve(path) is None
    for text in ("{}", '{"threshold_budget": null}', '{"threshold_budget": {"budget_px": 1}}'):
        path.write_text(text)
        assert read_search_curve(path) is None
    for text in ("no JSON", '{"threshold_budget": {"trials": 3}}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ModelError, match=r"report\.json is no conversion report"):
            read_search_curve(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"report\.json cannot be read"):
        read_search_curve(path)


@pytest.mark.parametrize("kept", ["ann", "sdnn"])
def test_the_page_of_a_single_network(kept: str) -> None:
    changes: dict[str, Any] = {"comparison": None, "ann": None, "sdnn": None, "memoryless": None}
    del changes[kept]
    nothing = dict.fromkeys(JOINTS)
    changes["baseline_mean_pose_per_joint_px"] = nothing
    page = Page()
    page.feed(render_html(Evaluation(make_report(**changes), ())))
    assert page.open == []
    assert len(page.sources) == 4


def test_json_has_the_promised_keys_and_null_for_what_is_missing() -> None:
    text = to_json(make_report(comparison=None, ann__mpjpe_mm=None))
    stored = EvaluationReport.model_validate_json(text)
    assert '"schema": 1' in text
    assert stored.ann is not None
    assert stored.ann.mpjpe_mm is None
    assert stored.comparison is None


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(to_json(make_report()))
    found = accepted(path, read_evaluation, byte_damages(path), json_damages(path))
    # A joint or a camera may be missing, and lists have any length. A task leaves out what it does
    # not know, and its name may be any.
    free = (
        "per_joint",
        "per_channel",
        "per_movement",
        "offset_px",
        "0 missing",
        "displacement_capped_px",
        "task ",
        "frames_sha256 ",  # null in older files
    )
    records = (EvaluationReport, AnnResult, MixedResult, MemorylessResult, Comparison, LayerResult)
    optional = {
        f"{name} missing"
        for record in records
        for name, field in record.model_fields.items()
        if not field.is_required()
    }
    rest = {name for name in found if not any(part in name for part in free)}
    assert {name.rpartition(".")[2] for name in rest} <= optional, rest
    assert not {name for name in found if name.startswith(("schema ", "layers ", "ann "))}
