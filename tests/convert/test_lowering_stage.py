"""What `convert` says of network.net: nothing that overflows is handed over, and why none is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import random_spec
from recordings import write_recordings
from rich.console import Console

from ann2sdnn.convert.render.sheets import headroom_sheet, size_sheet
from ann2sdnn.convert.report.lowering import (
    LoweredRanges,
    LoweringRefusal,
    LoweringReport,
    lowering_warnings,
)
from ann2sdnn.convert.stages.lower import (
    lower_and_measure,
    lowering_report,
    ranges_report,
    refuse_overflow,
)
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.sources.dhp19 import FrameRun, plan_runs
from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.lowering.lower import lower_spec
from ann2sdnn.sdnn.lowering.ranges import LayerRange
from ann2sdnn.sdnn.spec.grid import Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.terminal import sheet_text

STATE, MESSAGE = 2**23 - 1, 2**15 - 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameRun, ...]:
    folder = write_recordings(tmp_path_factory.mktemp("data"), subjects=1)
    return plan_runs(open_recordings(folder), (2,))


def blur(weight: int, input_gain: int = 4) -> Spec:
    """All nine pixels around each, on frames of 260 x 344; spike_exp 6."""
    layer = SpecLayer(
        name="blur",
        geometry=Convolution(pads=(1, 1, 1, 1)),
        weight=np.full((1, 1, 3, 3), weight, np.int16),
        bias=None,
        relu=True,
        pool=None,
        threshold=0,
        scale=np.ones(1),
        input_shape=(1, 260, 344),
    )
    return Spec((1, 260, 344), 1.0, input_gain, Grid(6), (layer,), "")


def seen_by(spec: Spec, *ranges: LayerRange) -> LoweredRanges:
    return ranges_report(spec, lower_spec(spec), ranges, n_frames=3, n_runs=1)


def test_a_network_inside_its_ranges_is_written(runs: tuple[FrameRun, ...], tmp_path: Path) -> None:
    lowering = lower_and_measure(blur(2), runs, headroom=1.25)
    lowering.write(tmp_path)
    assert (tmp_path / "network.net").is_file()
    assert isinstance(lowering.report, LoweringReport)
    ranges = lowering.report.ranges
    assert ranges is not None
    # Five of the recording's six frames; at most 9 pixels of 255, 4 units each, times 2.
    assert (ranges.frames, ranges.runs) == (5, 1)
    (layer,) = ranges.layers
    assert 0 < layer.state_peak <= 9 * 255 * 4 * 2
    assert layer.message_peak == layer.state_peak >> 6
    assert layer.state_headroom_bits == pytest.approx(np.log2(STATE / layer.state_peak))
    assert not ranges.overflows


def test_a_network_that_overflows_on_its_calibration_frames_is_refused(
    runs: tuple[FrameRun, ...],
) -> None:
    """Nine pixels of up to 255, 120 units each, times 254: up to 70 million, of 8.4."""
    with pytest.raises(
        ConversionError,
        match=r"layer blur: a state gets as large as [\d,]+ on .*24 bits hold "
        r"8,388,607; convert with --headroom \d",
    ):
        lower_and_measure(blur(254, 120), runs, headroom=1.25)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (LayerRange(STATE, STATE, MESSAGE), None),
        (LayerRange(0, STATE + 1, 0), "a state gets as large as 8,388,608 on"),
        (LayerRange(2 * STATE, 0, 0), r"in one time step gets as large as .* --headroom 2\.63 or"),
        (LayerRange(0, 0, MESSAGE + 1), "a message gets as large as 32,768 .* 16 bits hold 32,767"),
    ],
)
def test_the_limits_of_24_and_16_bits(seen: LayerRange, said: str | None) -> None:
    ranges = seen_by(blur(2), seen)
    if said is None:
        refuse_overflow(ranges, 1.25)
        return
    with pytest.raises(ConversionError, match=f"layer blur: .*{said}"):
        refuse_overflow(ranges, 1.25)


def test_a_layer_without_headroom_is_a_warning() -> None:
    spec = blur(2)
    seen = LayerRange(int(STATE * 0.9), int(STATE * 0.98), 1)
    report = lowering_report(spec, lower_spec(spec), seen_by(spec, seen))
    (warning,) = lowering_warnings(report)
    assert "layer blur: its states have 0.03 bits of headroom left" in warning


def test_what_netx_cannot_do_is_a_sentence_and_no_file(
    runs: tuple[FrameRun, ...], tmp_path: Path
) -> None:
    spec = blur(2)
    forgetful = replace(spec, layers=(replace(spec.layers[0], is_stateful=False),))
    lowering = lower_and_measure(forgetful, runs, headroom=1.25)
    lowering.write(tmp_path)
    assert not list(tmp_path.iterdir())
    assert isinstance(lowering.report, LoweringRefusal)
    (warning,) = lowering_warnings(lowering.report)
    assert warning.startswith("there is no network.net: blur is memoryless")


def test_right_shifts_beside_the_file_are_named() -> None:
    spec = blur(2)
    shifted = replace(spec, layers=(replace(spec.layers[0], shift=8),))
    (warning,) = lowering_warnings(lowering_report(shifted, lower_spec(shifted)))
    assert "stock netx loads the file but computes something else" in warning


@pytest.fixture
def printed() -> list[str]:
    spec = random_spec()
    n_layers = len(lower_spec(spec).spec.layers)
    seen = [LayerRange(1 << i, 1 << i, 0 if i == 0 else 1 << i) for i in range(n_layers)]
    report = lowering_report(spec, lower_spec(spec), seen_by(spec, *seen))
    again = LoweringReport.model_validate(json.loads(report.model_dump_json()))
    assert again == report
    console = Console(width=80, record=True)
    headroom = headroom_sheet(again)
    assert headroom is not None
    console.print(sheet_text(size_sheet(again)), sheet_text(headroom))
    return console.export_text().splitlines()


def test_the_table_fits_80_columns(printed: list[str]) -> None:
    assert max(map(len, printed)) <= 80
    row = next(line.split() for line in printed if line.startswith("layer1 "))
    assert row == ["layer1", "1,920", "23.00", "23.00", "silent"]
    assert any("- layer1: each of 4 pooled values" in line for line in printed)
