"""A task registered from outside the package scores the outputs of an evaluation."""

from collections.abc import Iterable, Mapping, Sequence
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
from ann2sdnn.eval.render.verdict import verdict_of
from ann2sdnn.eval.results.examples import Example
from ann2sdnn.eval.tasks.registry import TASKS
from ann2sdnn.eval.tasks.task import Evaluated
from ann2sdnn.sdnn.spec.spec import Spec


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
        return {"output_relative_error": ratio}

    def of_network(self, name: str) -> dict[str, Any]:
        return self.error(name) if name == "memoryless" else {}

    def of_comparison(self) -> dict[str, Any]:
        return self.error("sdnn")

    def of_report(self) -> dict[str, Any]:
        return {}

    def examples(self) -> tuple[Example, ...]:
        return ()


class ErrorTask:
    """Recognised where all sequences are of one group."""

    def recognises(self, spec: Spec, sequences: Sequence[Frames]) -> bool:
        return len({frames.group for frames in sequences}) == 1

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
    assert ours.task == "error"
    assert ours.comparison is not None
    assert pose.comparison is not None
    expected = pose.comparison.heatmap_relative_error
    assert ours.output_relative_error == pytest.approx(expected, rel=1e-4)
    assert ours.comparison.displacement_px_mean is None
    assert ours.layers == pose.layers
    text = " ".join(verdict_of(ours))
    assert f"a relative error of {ours.output_relative_error:.2g} against the ANN" in text

    # Two recordings, and one.
    one = write_recordings(tmp_path / "one", subjects=1)
    asked = EvaluateOptions(split="all", max_frames=64)
    tasks = [evaluate(tmp_path / "sdnn", folder, asked).report.task for folder in (data, one)]
    assert tasks == ["pose", "error"]
