"""The estimate for Loihi 2 in reports: its tables, its sentences, and older reports."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from branched_specs import residual_spec
from calibration_cases import case
from networks import random_spec
from reports import report_of
from rich.console import Console, RenderableType

from ann2sdnn.convert.render.document import render_html, report_tables
from ann2sdnn.convert.render.loihi import cores_sheet, fit_sheet
from ann2sdnn.convert.report.loihi import LoihiReport
from ann2sdnn.convert.report.report import ConversionReport, read_report, write_report
from ann2sdnn.convert.stages.loihi import loihi_report, with_estimate
from ann2sdnn.graph.cropping import resized
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.terminal import sheet_text


def printed(content: RenderableType) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(content)
    return console.export_text().splitlines()


def estimate_of(spec: Spec) -> LoihiReport:
    return loihi_report(spec, lower_spec(spec))


@pytest.fixture(scope="module")
def report() -> ConversionReport:
    return report_of(case(n_frames=4))


def test_the_summary_is_shown_and_the_layers_with_their_option(report: ConversionReport) -> None:
    short, full = printed(report_tables(report)), printed(report_tables(report, options=["loihi"]))
    assert any(line.startswith("Will it fit Loihi 2? An estimate: 7 cores") for line in short)
    assert not any("by layer, an estimate" in line for line in short)
    assert any("by layer, an estimate" in line for line in full)
    assert max(map(len, full)) <= 80
    page = render_html(report)
    assert "Will it fit Loihi 2?" in page
    assert "Cores of Loihi 2 by layer" in page


def test_it_is_of_the_lowered_network_with_the_measured_work(report: ConversionReport) -> None:
    found = report.loihi
    assert found is not None
    assert found.network == "lowered"
    # layer1 has 6 channels on 16x20 and its pooling 2 layers, which no one measured.
    first, *tree = found.layers[:3]
    assert (first.name, first.neurons, first.cores_by_rate) == ("layer1", 1920, 1)
    assert [one.cores_by_rate for one in tree] == [None, None]
    received = report.layers[0].events_per_frame_measured
    second = found.layers[3]
    assert second.name == "layer2"
    operations = report.layers[1].synops_per_frame_measured
    busy = second.neurons * 8.4 + operations * 3.5 + received * 2.1
    assert second.busy_us == pytest.approx(busy / 1e3)
    assert found.cores == sum(layer.cores for layer in found.layers)
    assert all(system.fits for system in found.systems)


def test_sizes_that_are_named_can_be_lowered() -> None:
    """Odd sizes do not fit this network's strided paths."""
    spec = residual_spec()
    with pytest.raises(ModelError, match="joined"):
        lower_spec(resized(spec, (15, 19)))
    for system in estimate_of(spec).systems:
        assert system.largest_input is not None
        assert lower_spec(resized(spec, system.largest_input)).parts


def test_a_dense_layer_is_named_and_a_network_that_fits_nothing_says_so() -> None:
    dense = estimate_of(random_spec(dense=True))
    text = " ".join(printed(sheet_text(fit_sheet(dense))))
    assert "the layer layer6 takes this one only" in " ".join(text.split())
    assert all(system.largest_input is None for system in dense.systems)
    many = dense.model_copy(
        update={
            "fixed_layer": None,
            "cores": 2_000_000,
            "chips": 15_625,
            "systems": [one.model_copy(update={"fits": False}) for one in dense.systems],
        }
    )
    lines = printed(sheet_text(fit_sheet(many)))
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("Hala Point") and "14.2 times  no" in line for line in lines)
    assert "no input size fits any of these systems" in lines


def test_a_network_with_branches_counts_what_it_carries() -> None:
    spec = residual_spec()
    lowered = estimate_of(spec)
    converted = loihi_report(spec, None)
    assert (lowered.network, converted.network) == ("lowered", "converted")
    assert sum(x.neurons for x in lowered.layers) > sum(x.neurons for x in converted.layers)
    text = " ".join(" ".join(printed(sheet_text(fit_sheet(converted)))).split())
    assert "which has no network.net" in text
    assert max(map(len, printed(sheet_text(cores_sheet(lowered))))) <= 80


def test_long_names_and_large_numbers_fit_80_columns() -> None:
    found = estimate_of(random_spec())
    layers = [
        layer.model_copy(
            update={
                "name": f"/encoder/blocks.{n}/convolution/Conv",
                "neurons": 250_000_000,
                "weight_bytes": 67_000_000,
                "cores_by_neurons": 30_518,
                "cores_by_memory": 123_456,
                "cores_by_rate": 98_765,
                "cores": 123_456,
            }
        )
        for n, layer in enumerate(found.layers)
    ]
    large = found.model_copy(update={"layers": layers, "cores": 123_456 * len(layers)})
    assert max(map(len, printed(sheet_text(cores_sheet(large))))) <= 80


def test_reports_without_it_are_read_and_get_it_from_the_spec(
    report: ConversionReport, tmp_path: Path
) -> None:
    write_report(tmp_path / "report.json", report)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["loihi"]["cores"] == 7
    del content["loihi"]
    (tmp_path / "report.json").write_text(json.dumps(content))
    older = read_report(tmp_path / "report.json")
    assert older.loihi is None
    assert not any("Loihi" in line for line in printed(report_tables(older)))
    assert with_estimate(older, tmp_path) is older  # there is no sdnn.h5
    write_spec(tmp_path / "sdnn.h5", replace(random_spec(), source_sha256="ab" * 32))
    found = with_estimate(older, tmp_path).loihi
    assert found is not None
    assert found.cores >= 5
