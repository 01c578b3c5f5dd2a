"""What nobody measured or predicted is null in the report and a dash in what people read."""

import io

import numpy as np
import pytest
from calibration_cases import case
from networks import MAX_POOL
from reports import report_of
from rich.console import Console

from ann2sdnn.convert.render.document import render_html, report_tables
from ann2sdnn.convert.render.sheets import accuracy, activity
from ann2sdnn.convert.report.report import ConversionReport


@pytest.fixture(scope="module")
def report() -> ConversionReport:
    """Relays before the first and the third layer."""
    return report_of(case(pool=MAX_POOL, n_frames=4), relays=(0, 2))


def test_a_relay_of_the_input_has_no_predictions(report: ConversionReport) -> None:
    first, _, _, second, *_ = report.layers
    assert (first.op, second.op) == ("relay", "relay")
    assert first.events_per_frame_measured > 0
    assert (first.events_per_frame_predicted, first.density) == (None, None)
    assert second.events_per_frame_predicted is not None
    assert second.density is not None
    for relay in (first, second):
        assert relay.state_min is None
        assert relay.state_max is not None
        assert relay.share_of_output_error is None


def test_null_is_a_dash_wherever_it_is_shown(report: ConversionReport) -> None:
    rows = activity(report).rows
    assert rows[0][2] == rows[0][4] == "-"
    assert rows[1][2] != "-"
    assert accuracy(report).rows[0][-1] == "-"
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(report_tables(report))
    assert "None" not in console.export_text()
    assert "None" not in render_html(report)
    again = ConversionReport.model_validate_json(report.model_dump_json(by_alias=True))
    assert again.layers[0].density is None


def test_states_are_reported_without_the_bias() -> None:
    measured = case(pool=MAX_POOL, n_frames=4)
    report = report_of(measured)
    layers = zip(
        report.layers, measured.graph.layers, measured.evidence.statistics.layers, strict=True
    )
    plan = measured.plan()
    for own, (found, layer, seen) in zip(plan.layers, layers, strict=True):
        assert layer.bias is not None
        low, high = ((z - layer.bias) * own.scale for z in (seen.z_min, seen.z_max))
        assert found.state_min == pytest.approx(low.min())
        assert found.state_max == pytest.approx(high.max())
        assert not np.isclose(low.min(), (seen.z_min * own.scale).min(), rtol=1e-3)
