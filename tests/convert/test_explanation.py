"""The report of small networks: its numbers, its tables, its page, its advice."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from calibration_cases import case
from damage import accepted, byte_damages, json_damages
from networks import SUM_POOL
from reports import quantised_of, report_of, with_layer
from rich.console import Console

from ann2sdnn.calibration.scales.plan import Limit
from ann2sdnn.convert.explain.advice import warnings_of
from ann2sdnn.convert.explain.build import alternatives
from ann2sdnn.convert.options import QuantiseOptions
from ann2sdnn.convert.render.document import document, render_html, report_tables, write_html
from ann2sdnn.convert.render.layer_plots import caption, half_octave_edges, smaller
from ann2sdnn.convert.report.layer import HalfOctaves, StateBound
from ann2sdnn.convert.report.report import Alternative, ConversionReport, read_report, write_report
from ann2sdnn.convert.stages.assemble import spec_from
from ann2sdnn.graph.pooling import Pool
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.support import __version__
from ann2sdnn.support.errors import ModelError, OutputError
from ann2sdnn.support.page.document import Gallery

UNIT = 2.0**-12
AVERAGE = Pool("average", SUM_POOL.kernel, SUM_POOL.stride)


@pytest.fixture(scope="module")
def convolutions() -> ConversionReport:
    return report_of(case(pool=AVERAGE), relays=(2,))


@pytest.fixture(scope="module")
def classifier() -> ConversionReport:
    """Dense layers with biases; frames come alone, so that nothing changes."""
    return report_of(case(dense=True), threshold=1, chunk=1)


@pytest.fixture(params=["convolutions", "classifier"])
def report(
    request: pytest.FixtureRequest, convolutions: ConversionReport, classifier: ConversionReport
) -> ConversionReport:
    return {"convolutions": convolutions, "classifier": classifier}[request.param]


def shown(report: ConversionReport, *, layers: bool = False) -> str:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(report_tables(report, layers=layers))
    return console.export_text()


def test_many_layers_are_shown_by_block(convolutions: ConversionReport) -> None:
    first = convolutions.layers[0]
    layers = [
        first.model_copy(update={"name": f"/a/a.{block}/conv{conv}/Conv"})
        for block in range(10)
        for conv in (1, 2, 3)
    ]
    deep = convolutions.model_copy(update={"layers": layers})
    by_block, by_layer = shown(deep), shown(deep, layers=True)
    for text in (by_block, by_layer):
        assert max(map(len, text.splitlines())) <= 80
    n_tables = by_layer.count("a.7/conv2")
    assert n_tables == by_block.count("a.7 (3)") >= 3
    assert "conv2" not in by_block[by_block.index("Range:") :]
    row = next(line for line in by_block.splitlines() if line.startswith("a.7 (3)"))
    assert row.split()[2] == first.op
    neurons = next(
        line for line in by_block[by_block.index("Activity") :].splitlines() if "a.7 (3)" in line
    )
    assert neurons.split()[2] == f"{3 * first.neurons:,}"
    assert shown(convolutions) == shown(convolutions, layers=True)
    galleries = [part for part in document(deep).parts if isinstance(part, Gallery)]
    assert [block.name for block in galleries[0].blocks] == [f"a.{block}" for block in range(10)]


def test_shares_and_bits_add_up(convolutions: ConversionReport) -> None:
    layers = convolutions.layers
    assert sum(layer.share_of_output_error or 0 for layer in layers) == pytest.approx(1)
    assert sum(layer.share_of_operations or 0 for layer in layers) == pytest.approx(1)
    for layer in layers:
        assert layer.weight_bits is None or 1 <= layer.weight_bits <= layer.weight_bits_available


def test_work_is_counted_without_the_first_frame_of_a_run() -> None:
    one = case(pool=AVERAGE)
    work, frames = report_of(one).work, one.frames
    assert work is not None
    plan = one.plan()
    spec = spec_from(one.graph, plan, quantised_of(one, plan).rounded, "")
    result = Engine(spec).run(frames)
    assert work.synops_per_frame == result.synops[1:].sum() / (len(frames) - 1)
    assert work.first_frame_synops == result.synops[0].sum()
    assert work.changed_pixels_per_frame == result.events[1:, 0].sum() / (len(frames) - 1)
    assert work.nonzero_pixels_per_frame == (frames > 0).sum() / len(frames)
    assert 0 < work.nonzero_macs_per_frame < work.macs_per_frame


def test_predicted_and_measured_error_stand_side_by_side(
    convolutions: ConversionReport, classifier: ConversionReport
) -> None:
    fidelity, plan = convolutions.fidelity, convolutions.plan
    assert fidelity.foreseen_relative_error == pytest.approx(plan.foreseen_error)
    assert fidelity.foreseen_relative_error == pytest.approx(
        fidelity.heatmap_relative_error, rel=0.6
    )
    assert classifier.fidelity.foreseen_relative_error is None, "a fixed threshold predicts nothing"


def test_the_last_layers_noise_is_the_outputs_error(convolutions: ConversionReport) -> None:
    """Every chunk's last frame of ten is looked at: nearly the same frames."""
    error, noise = (
        convolutions.fidelity.heatmap_relative_error,
        convolutions.layers[-1].activation_snr_db,
    )
    assert error is not None
    assert noise is not None
    assert 10 ** (-noise / 20) == pytest.approx(error, rel=0.5)


def test_a_relay_passes_on_what_it_gets(convolutions: ConversionReport) -> None:
    relay = next(i for i, layer in enumerate(convolutions.layers) if layer.op == "relay")
    before = convolutions.layers[relay - 1]
    assert convolutions.layers[relay].activation_snr_db == before.activation_snr_db
    assert convolutions.layers[relay + 1].weight_bits_available == 13


def test_tables_fit_80_columns_and_name_every_layer(report: ConversionReport) -> None:
    text = shown(report)
    assert max(len(line) for line in text.splitlines()) <= 80
    sheets = document(report).tables
    assert report.loihi is not None
    of_loihi = (3, len(report.loihi.layers))  # systems, and layers of the lowered network
    assert [len(sheet.rows) for sheet in sheets] == [*[len(report.layers)] * 3, 4, *of_loihi]
    assert all(len(row) == len(sheet.headings) for sheet in sheets for row in sheet.rows)
    assert text.count(report.layers[0].name) >= 3


# Files of a plot's or table's numbers, inside the page.
NUMBERS = ("data:text/csv;", "data:application/json;")


class _Page(HTMLParser):
    """Targets of links, what they point to, and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            if name == "href" and not (value or "").startswith(NUMBERS):
                self.links.add((value or "").removeprefix("#"))
            if name == "src":
                self.sources.append(value or "")


def test_the_page_is_self_contained(report: ConversionReport) -> None:
    page = _Page()
    text = render_html(report)
    page.feed(text)
    assert page.links <= page.ids
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "http" not in re.sub(r"data:[^\"]*", "", text)
    assert len(page.links) == len(document(report).parts) + len(report.layers)
    assert f"Converted with ann2sdnn {__version__}, " in text
    assert len(page.sources) == 6 + len(report.layers)  # operations, then plots


def test_names_are_escaped(convolutions: ConversionReport) -> None:
    named = with_layer(convolutions, 0, name="<script>[bold]")
    assert "<script>" not in render_html(named)
    assert "<script>[bold]"[:10] in shown(named)


def test_the_page_is_not_replaced_without_force(
    convolutions: ConversionReport, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_html(convolutions, tmp_path / "page.html", force=False)
    assert (tmp_path / "page.html").read_text() == "mine"


def test_smaller_counts_within_a_bin() -> None:
    seen = HalfOctaves(counts=[0, 0, 4, 4], below=2, total=20)
    assert half_octave_edges(4).tolist() == [1, 1.5, 2, 3, 4]
    assert smaller(seen, 2.5) == pytest.approx(0.4)  # 2 below and half of 4, of 10
    assert smaller(seen, 1.0) == pytest.approx(0.2)
    assert smaller(HalfOctaves(counts=[], below=0, total=9), 5.0) == 0


def test_captions_say_what_the_threshold_holds_back(
    classifier: ConversionReport, convolutions: ConversionReport
) -> None:
    texts = [caption(layer, UNIT) for one in (classifier, convolutions) for layer in one.layers]
    assert all(text.count(". ") == 0 and text.endswith(".") for text in texts), "one sentence"
    assert "holds back" in texts[0]
    assert "holds back" not in texts[-1]
    assert "changes between frames" in texts[-1]


def quiet(report: ConversionReport) -> ConversionReport:
    """``report`` with nothing to complain about."""
    plan = report.plan
    layers = [
        layer.model_copy(
            update={"density": 1.0, "silent_channels": 0, "state_bound": None, "overflows": 0}
        )
        for layer in report.layers
    ]
    update = {"foreseen_error": 0.01, "held_out_frames": 8, "headroom": plan.headroom_asked}
    fidelity = report.fidelity.model_copy(
        update={"heatmap_relative_error": 0.01, "foreseen_relative_error": 0.01}
    )
    return report.model_copy(
        update={
            "layers": layers,
            "fidelity": fidelity,
            "plan": plan.model_copy(update=update),
            "warnings": [],
        }
    )


def test_nothing_wrong_is_nothing_said(convolutions: ConversionReport) -> None:
    assert warnings_of(quiet(convolutions)) == []


def with_plan(report: ConversionReport, **changes: object) -> ConversionReport:
    return report.model_copy(update={"plan": report.plan.model_copy(update=changes)})


def with_fidelity(report: ConversionReport, **changes: object) -> ConversionReport:
    fidelity = report.fidelity.model_copy(update=changes)
    return report.model_copy(update={"fidelity": fidelity})


BOUND = StateBound(
    channels=2, channel=3, preactivation_ann=-5230.0, activation_ann=410.0, wasted_bits=1.75
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda r: with_plan(r, headroom=2.0),
            r"held-out recordings would have left.*x2\.00 instead of x1\.25",
        ),
        (lambda r: with_plan(r, held_out_frames=0), "too few recordings.*4 recordings"),
        (
            lambda r: with_plan(
                r,
                foreseen_error=0.2,
                alternatives=[Alternative(options="--relays 2", foreseen_error_nearest=0.04)],
            ),
            r"by 20%, most of it in layer.*--relays 2 \(predicted 0\.040 instead of",
        ),
        (
            lambda r: with_layer(
                r.model_copy(update={"pose_network": True}),
                1,
                state_bound=BOUND,
                share_of_output_error=0.3,
            ),
            r"layer2 \(30%.*wastes 1\.8 bits because channel 3's pre-activation reaches -5,230"
            r" and its activation 410 \(2 of 8 channels.*train-ann",
        ),
        (
            lambda r: with_fidelity(r, heatmap_relative_error=0.3, foreseen_relative_error=0.1),
            "differs by 30% .* where 10% was predicted",
        ),
        (
            lambda r: with_layer(r, 0, density=0.0, events_per_frame_measured=1e6),
            "stateful layers do not pay",
        ),
        (lambda r: with_layer(r, 1, silent_channels=2), r"silent.*layer2 \(2 of 8\)"),
        (lambda r: with_layer(r, 1, overflows=7), r"layer2: 7 states left.*--headroom"),
        (lambda r: with_layer(r, 1, oversized=7), r"layer2: 7 messages do not fit.*--headroom"),
    ],
)
def test_each_thing_wrong_is_one_warning(
    change: object, sentence: str, convolutions: ConversionReport
) -> None:
    assert callable(change)
    (warning,) = warnings_of(change(quiet(convolutions)))
    assert re.search(sentence, warning), warning


@pytest.mark.parametrize(
    "change",
    [
        lambda r: with_plan(r, foreseen_error=0.2),
        lambda r: with_layer(r, 1, state_bound=BOUND, share_of_output_error=0.3),
    ],
)
def test_only_the_pose_network_is_sent_to_train_ann(
    change: object, convolutions: ConversionReport
) -> None:
    assert callable(change)
    assert convolutions.pose_network is False
    (warning,) = warnings_of(change(quiet(convolutions)))
    assert "What helps: " in warning
    assert "train-ann" not in warning
    (other,) = warnings_of(change(quiet(convolutions.model_copy(update={"pose_network": True}))))
    assert "train-ann --init MODEL --conversion-aware" in other


@pytest.mark.parametrize("rule", ["none", "fixed", "percentile", "mean-delta"])
def test_the_default_thresholds_are_advised_where_layers_are_busy(
    rule: str, convolutions: ConversionReport
) -> None:
    busy = with_layer(quiet(convolutions), 0, density=0.0, events_per_frame_measured=1e6)
    (warning,) = warnings_of(busy.model_copy(update={"thresholds": rule}))
    assert "the default --thresholds rate-distortion" in warning


def test_options_that_are_not_predicted_to_help_are_not_advised() -> None:
    one = case()
    plan = one.plan()
    noise = replace(plan.noise, weight=0 * plan.noise.weight + 0.003 / len(plan.layers))
    poor = quantised_of(one, replace(plan, noise=noise))
    assert plan.noise.relative_error < 0.05 < poor.plan.noise.relative_error
    for found in alternatives(poor, QuantiseOptions()):
        assert found.foreseen_error_nearest < 0.95 * poor.plan.noise.relative_error


def test_why_weights_have_few_bits(convolutions: ConversionReport) -> None:
    """The layers before the first full one share its range."""
    report = with_plan(quiet(convolutions), foreseen_error=0.2)
    report = with_layer(report, 0, weight_bits=5.25, limited_by=(Limit.NOISE,))
    report = with_layer(
        report, 1, weight_bits=7.9, limited_by=(Limit.MESSAGE,), activation_max_ann=123.0
    )
    (warning,) = warnings_of(report)
    assert "largest weights of 1 layer use 5.2 of 8 bits" in warning or "5.3 of 8" in warning
    assert "up to layer2" in warning
    assert "activations reach 123 there, its message range is full" in warning
    none = with_layer(report, 0, weight_bits=7.5)
    assert "share one range" not in warnings_of(none)[0]


def test_alternatives_are_better_plans_with_their_numbers() -> None:
    """Where rounding is predicted to cost much: two more relays, and a shift per layer."""
    one = case()
    plan = one.plan()
    noisy = replace(plan, noise=replace(plan.noise, weight=plan.noise.weight + 1.0))
    quantised = quantised_of(one, noisy)
    found = alternatives(quantised, QuantiseOptions())
    assert [other.options for other in found] == ["--relays 2", "--shifts per-layer"]
    for other in found:
        assert 0 < other.foreseen_error_nearest < plan.noise.relative_error * 1.001
    assert alternatives(quantised, QuantiseOptions(shifts="per-layer")) == []
    quiet_plan = replace(plan, noise=replace(plan.noise, weight=0 * plan.noise.weight))
    assert alternatives(quantised_of(one, quiet_plan), QuantiseOptions()) == []


def test_whatever_is_missing_or_of_another_form_is_one_sentence(
    convolutions: ConversionReport, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    write_report(path, convolutions)
    found = accepted(path, read_report, byte_damages(path), json_damages(path))
    # Stages have names of their own, and lists have any length; older reports have no work, no
    # estimate of cores, no point of the engine and no name for their recordings.
    lists = {name for name in found if name.endswith(".0 missing")}
    lists |= {"work missing", "group_name missing", "layers.0.sources missing"}
    lists |= {"plan.relay_steps missing", "loihi missing", "loihi.fixed_layer is something else"}
    lists |= {f"layers.0.engine_{name} missing" for name in ("threshold", "remembers")}
    free = ("seconds", "versions")  # any names
    assert all(name.startswith(free) for name in found - lists), found - lists
    whole = path.read_text()
    for right, wrong in (('"schema": 1', '"schema": 2'), ('"headroom": ', '"headroom": -')):
        path.write_text(whole.replace(right, wrong, 1))
        with pytest.raises(
            ModelError, match=r"report\.json is no conversion report of this version"
        ):
            read_report(path)
    for right, wrong, complaint in (
        ('"thresholds": "none"', '"thresholds": "half"', "there is no threshold rule half"),
        ('"op": "conv"', '"op": "sum"', "a linear operation sum; expected one of conv"),
    ):
        assert right in whole
        path.write_text(whole.replace(right, wrong, 1))
        with pytest.raises(ModelError, match=complaint):
            read_report(path)
    path.write_text(whole.replace('"headroom": ', '"other": 1, "headroom": ', 1))
    with pytest.raises(ModelError, match=r"other: Extra inputs are not permitted"):
        read_report(path)
