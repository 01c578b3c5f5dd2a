"""`train-sdnn` of a network with several outputs and without poses: learns the ANN's outputs."""

import json
import re
from pathlib import Path

import needs_lava  # noqa: F401
import pytest
from detector import N_FRAMES, converted_detector, write_frames
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions


@pytest.mark.parametrize("scratch", ["", "--scratch"])
def test_the_validation_is_the_error_against_the_ann(tmp_path: Path, scratch: str) -> None:
    folder = converted_detector(tmp_path / "sdnn", has_tail=True)
    data = write_frames(tmp_path / "data.npz", 8)
    out = tmp_path / "tuned"
    result = CliRunner().invoke(
        app,
        f"train-sdnn {folder} --data {data} --out {out} --epochs 2 --max-steps 4 --crop none"
        f" --sparsity 0 --quiet {scratch}",
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    history = json.loads((out / "training.json").read_text())["history"]
    assert [row["mpjpe_px"] for row in history] == [None, None, None]
    report = evaluate(out, data, EvaluateOptions(split="validation")).report
    assert report.frames == N_FRAMES
    assert report.output_relative_error == pytest.approx(history[-1]["relative_error"], rel=1e-3)
    errors = [row["relative_error"] for row in history]
    assert errors[0] > 0.5 if scratch else errors[0] < 0.1
    for name, error in (("Before", errors[0]), ("After", errors[-1])):
        line = rf"{name} +relative error {error:.3g}, [\d.]+ k synaptic operations per frame"
        assert re.search(line, result.output), result.output
