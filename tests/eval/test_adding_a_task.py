"""A task registered from outside the package scores the outputs of an evaluation."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import write_network, write_recordings
from torch import Tensor

from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.tasks.registry import TASKS
from ann2sdnn.eval.tasks.task import Evaluated
from ann2sdnn.sdnn.spec.spec import Spec

NO_ERRORS: dict[str, Any] = {
    "mpjpe_px": None,
    "mpjpe_mm": None,
    "per_joint_px": {},
    "per_joint_mm": {},
    "per_channel_px": {},
}
NO_DIFFERENCE: dict[str, Any] = dict.fromkeys(
    ("displacement_px_mean", "displacement_px_median", "moved_over_5px", "heatmap_relative_error")
)


class ErrorOnly:
    """Scores the relative error of the whole output, which needs no labels."""

    def __init__(self, evaluated: Evaluated) -> None:
        self.evaluated = evaluated
        self.energies = dict.fromkeys((*evaluated.networks, "output"), 0.0)

    def add(self, frames: Frames, outputs: Iterable[Mapping[str, Tensor]]) -> None:
        n_frames = 0
        for chunk in outputs:
            for name, output in chunk.items():
                self.energies[name] += float((output - chunk["ann"]).square().sum())
            self.energies["output"] += float(chunk["ann"].square().sum())
            n_frames += len(chunk["ann"])
        assert n_frames == frames.n_frames

    def error(self, name: str) -> dict[str, Any]:
        ratio = float(np.sqrt(self.energies[name] / self.energies["output"]))
        return {**NO_DIFFERENCE, "heatmap_relative_error": ratio}

    def of_network(self, name: str) -> dict[str, Any]:
        if name == "ann":
            return {**NO_ERRORS, "offset_px": {}, "mpjpe_px_without_offset": None}
        return {**NO_ERRORS, **(self.error(name) if name == "memoryless" else {})}

    def of_comparison(self) -> dict[str, Any]:
        histogram = {"edges_px": (), "counts": ()}
        return {**self.error("sdnn"), "n_joints": 0, "displacement_histogram": histogram}

    def of_report(self) -> dict[str, Any]:
        return {
            "channels": (),
            "baseline_mean_pose_px": None,
            "baseline_mean_pose_mm": None,
            "baseline_mean_pose_from": self.evaluated.baseline_from,
            "baseline_mean_pose_per_joint_px": {},
        }

    def examples(self) -> tuple[Example, ...]:
        return ()


class ErrorTask:
    def scores(self, spec: Spec, evaluated: Evaluated) -> ErrorOnly:
        return ErrorOnly(evaluated)


def test_evaluate_asks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "error", ErrorTask())
    data = write_recordings(tmp_path / "data")
    write_network(tmp_path / "model.onnx")
    convert(tmp_path / "model.onnx", data, tmp_path / "sdnn", ConvertOptions(max_frames=4))
    options: dict[str, Any] = {"split": "all", "max_frames": 6}
    ours, pose = (
        evaluate(tmp_path / "sdnn", data, EvaluateOptions(task=task, **options)).report
        for task in ("error", "pose")
    )
    assert ours.comparison is not None
    assert pose.comparison is not None
    expected = pose.comparison.heatmap_relative_error
    assert ours.comparison.heatmap_relative_error == pytest.approx(expected, rel=1e-4)
    assert ours.comparison.displacement_px_mean is None
    assert ours.layers == pose.layers
    assert ours.baseline_mean_pose_from == "evaluated"
