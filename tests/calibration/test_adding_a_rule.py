"""A threshold rule from outside the package: conversion, sweep and report use it as their own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from recordings import write_network, write_recordings

from ann2sdnn.calibration.measure.statistics import LayerStatistics
from ann2sdnn.calibration.thresholds.rule import RULES, Series, StatisticsRule, register
from ann2sdnn.cli import app
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.convert.stages.sweep import Sweep
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.fields import number


@dataclass(frozen=True)
class LargestActivation(StatisticsRule):
    """In each layer a share of the largest activation."""

    name = "largest-activation"
    series = (Series("largest-activation", "#000000", "x"),)
    swept = (0.125, 0.5)

    share: float = number(0.25, at_least=0, at_most=1, option="--share")
    """For largest-activation: of the largest activation of each layer."""

    def threshold(self, seen: LayerStatistics, scale: float) -> float:
        return self.share * float(seen.a_max.max()) * scale


@pytest.fixture
def registered() -> Iterator[None]:
    register(LargestActivation)
    yield
    del RULES[LargestActivation.name]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., None]:
    """`ann2sdnn convert` on small recordings, with more arguments."""
    data = write_recordings(tmp_path / "data", subjects=2, frames=3)
    model = write_network(tmp_path / "model.onnx")
    known = [model, "--calibrate", data, "--out", tmp_path / "sdnn", "--frames", 12, "--quiet"]

    def run(*arguments: object) -> None:
        texts = [str(argument) for argument in (*known, *arguments)]
        app.load("convert").main(texts, standalone_mode=False)

    return run


@pytest.mark.usefixtures("registered")
def test_a_conversion_with_a_rule_from_outside(
    tmp_path: Path, command: Callable[..., None]
) -> None:
    command("--thresholds", "largest-activation", "--share", 0.125, "--sweep")

    report = read_report(tmp_path / "sdnn" / "report.json")
    assert report.thresholds == "largest-activation"
    assert report.fidelity.foreseen_relative_error is None
    layers = read_spec(tmp_path / "sdnn" / "sdnn.h5").layers
    # Scales of a layer's channels differ, and their mean stands for all.
    a_max = report.layers[0].activation_max_ann
    expected = 0.125 * a_max * float(layers[0].scale.mean()) * 64
    assert layers[0].threshold == pytest.approx(expected, abs=1)

    text = (tmp_path / "sdnn" / "sweep.json").read_text(encoding="utf-8")
    points = [p for p in Sweep.model_validate_json(text).points if p.rule == report.thresholds]
    assert [point.parameter for point in points] == [0.125, 0.5]
    assert points[1].synops_per_frame < points[0].synops_per_frame
    assert (tmp_path / "sdnn" / "sweep.png").is_file()


@pytest.mark.usefixtures("registered")
def test_its_options_belong_to_it(command: Callable[..., None]) -> None:
    with pytest.raises(UsageError, match="--share has no effect without --thresholds largest-a"):
        command("--thresholds", "fixed", "--share", 0.125)


def test_its_options_are_checked_and_named_in_advice() -> None:
    with pytest.raises(UsageError, match="--share"):
        LargestActivation(2.0)
    assert LargestActivation.larger() == (
        "--thresholds largest-activation with --share above 0.25, its default"
    )
