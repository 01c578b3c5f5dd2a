"""A diagnosis in the terminal, as plots and as files."""

import struct
from pathlib import Path

import numpy as np
import pytest
from damage import accepted, byte_damages, json_damages
from matplotlib.lines import Line2D
from rich.console import Console

from ann2sdnn.eval.diagnosis.output import print_diagnosis, write_outputs
from ann2sdnn.eval.diagnosis.plots import events_over_steps_plot, layer_plot
from ann2sdnn.sdnn.diagnosis.report import (
    Diagnosis,
    Finding,
    LayerStart,
    LayerStep,
    Step,
    read_diagnosis,
    write_diagnosis,
)
from ann2sdnn.support.errors import DataError, OutputError
from ann2sdnn.support.page.figures import to_png


def layer_step(events: int, gradient: float | None) -> LayerStep:
    return LayerStep(
        events=events,
        density=events / 1e8,
        threshold=0.015625,
        dead_channels=0.0625,
        preactivation_rms=0.00012345,
        activation_max=123456.0,
        activation_p99=0.0123,
        below_threshold=0.987,
        gradient_norm=gradient,
        experiment_gradient=gradient,
        weight_change=None if gradient is None else 0.1,
    )


def a_diagnosis(steps: int = 3, finding: bool = True) -> Diagnosis:
    names = ("conv1", "a_pool_with_a_long_name", "pred_cube")
    found = Finding(
        name="silent", sentence="It is silent." * 9, remedy="Shout.", evidence={"step": 2}
    )
    return Diagnosis(
        network="dhp19-sdnn",
        repairs=(),
        settings={"threshold": 0.1},
        batch=8,
        frames=8,
        height=260,
        width=344,
        clipped_inputs=0.0,
        readout=None,
        layers=tuple(
            LayerStart(
                name=name,
                kind="conv",
                neurons=1_234_567,
                weights=100,
                level_fractions={2 * level: 0.01 for level in range(100)},
                asked_threshold=0.1,
                threshold=0.09375,
                exported_threshold=0.09375,
                pool_gain=None,
            )
            for name in names
        ),
        steps=tuple(
            Step(
                index=index + 1,
                loss=0.00123456,
                error=0.0012345,
                event_penalty=0.0001378,
                silence_error=0.001193,
                mean_target_error=0.00113,
                input_events=123456,
                output_peak=0.123,
                layers=(
                    layer_step(123_456_789, 1.234e-10),
                    layer_step(9_999, None),
                    layer_step(0, 0.0),
                ),
            )
            for index in range(steps)
        ),
        findings=(found,) if finding else (),
    )


@pytest.mark.parametrize("steps", [1, 2, 200])
def test_the_terminal_gets_at_most_80_columns_and_no_number_is_cut(steps: int) -> None:
    console = Console(width=80, record=True, highlight=False)
    print_diagnosis(a_diagnosis(steps), console, last_line="Wrote out")
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "1e-10" in text
    assert "123M" in text
    assert "0.00012" in text.replace("1e-4", "0.00012")
    assert "1. It is silent." in text
    assert "Remedy: Shout." in text
    assert text.count("…") == (steps > 1)  # the long name
    assert str(steps) in text


def test_a_network_without_findings_is_told_so() -> None:
    console = Console(width=80, record=True)
    print_diagnosis(a_diagnosis(finding=False), console, last_line="")
    assert "No finding" in console.export_text()


def test_the_folder_holds_the_numbers_and_the_plots(tmp_path: Path) -> None:
    diagnosis = a_diagnosis()
    write_outputs(tmp_path / "out", diagnosis)
    assert read_diagnosis(tmp_path / "out" / "diagnosis.json") == diagnosis
    for name in ("gradients.png", "events.png", "events-over-steps.png"):
        header = (tmp_path / "out" / name).read_bytes()[:24]
        assert header.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", header[16:])
        assert width > 500
        assert height > 300
    with pytest.raises(OutputError):
        write_outputs(tmp_path / "out", diagnosis)
    write_outputs(tmp_path / "out", a_diagnosis(2), force=True)
    assert not (tmp_path / "out" / "events-over-steps.png").exists()  # two steps are no course


def test_a_damaged_diagnosis_is_refused(tmp_path: Path) -> None:
    (tmp_path / "diagnosis.json").write_text("{}")
    with pytest.raises(DataError, match="run diagnose again"):
        read_diagnosis(tmp_path / "diagnosis.json")


def points(line: Line2D) -> list[list[float]]:
    """The x and y of a drawn line."""
    return np.asarray(line.get_xydata()).tolist()  # type: ignore[no-any-return]


def test_lines_hold_the_values_and_crosses_mark_zeros() -> None:
    layers = ["a", "b", "c", "d"]
    figure = layer_plot(layers, {"step 1": [1e-3, None, 1e-5, 0.0]}, "gradient norm")
    line, cross = map(points, figure.axes[0].get_lines())
    assert line[:2] == [[0, 1e-3], [2, 1e-5]]
    assert cross == [[3, pytest.approx(1e-6)]]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == layers


def test_plots_of_silence_can_be_drawn() -> None:
    """Nothing to show on a logarithmic axis is no reason to fail."""
    for figure in (
        layer_plot(["a", "b"], {"step 1": [0, 0]}, "events"),
        events_over_steps_plot(["a", "b"], [[0.0, 0.0], [0.0, 0.0]]),
    ):
        assert to_png(figure).startswith(b"\x89PNG")


def test_events_over_steps_has_a_line_a_layer() -> None:
    figure = events_over_steps_plot(["a", "b"], [[0.5, 0.1], [0.4, 0.0], [0.3, 0.2]])
    first, second = map(points, figure.axes[0].get_lines())
    assert first == [[1, 0.5], [2, 0.4], [3, 0.3]]
    assert str(second[1][1]) == "nan"  # a logarithmic axis has no zero


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "diagnosis.json"
    write_diagnosis(path, a_diagnosis())
    found = accepted(path, read_diagnosis, byte_damages(path), json_damages(path))
    open_tables = ("settings", "findings.0.evidence", "layers.0.level_fractions")
    optional = ("sequences_at_once missing", "target_peak missing", "steps.0.outputs missing")
    lists = ("layers.0 missing", "steps.0 missing", "steps.0.layers.0 missing", "findings")
    assert all(name.startswith((*open_tables, *optional, *lists)) for name in found)
