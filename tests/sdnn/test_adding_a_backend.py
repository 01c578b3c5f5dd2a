"""A backend registered from outside the package is chosen by name, like the built-in ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from networks import assert_equal_messages, moving_frames, random_spec
from recordings import write_network, write_recordings

from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.sources.dhp19 import Dhp19Options
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.sdnn.backends import BACKENDS, make_backend
from ann2sdnn.sdnn.engine.run import BackendResult, CountsOf
from ann2sdnn.sdnn.reference.reference import Reference
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.progress import Reporter


class IntegerBackend:
    """The integer reference as a backend; ``chunks``: numbers of frames it was given."""

    frames_at_once = 3
    counts_of: CountsOf = "converted"

    def __init__(self, spec: Spec) -> None:
        self._reference = Reference(spec)
        self.chunks: list[int] = []

    def reset(self) -> None:
        self._reference.reset()

    def run(self, frames: torch.Tensor, *, keep_messages: bool = False) -> BackendResult:
        self.chunks.append(len(frames))
        return self._reference.run(frames, keep_messages=keep_messages)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[IntegerBackend]:
    """The backends made so far, while "integers" is registered."""
    backends: list[IntegerBackend] = []

    def make(spec: Spec, reporter: Reporter) -> IntegerBackend:
        backends.append(IntegerBackend(spec))
        return backends[-1]

    monkeypatch.setitem(BACKENDS, "integers", make)
    return backends


def test_evaluate_runs_it(tmp_path: Path, made: list[IntegerBackend]) -> None:
    write_recordings(tmp_path / "data", subjects=2)
    write_network(tmp_path / "model.onnx")
    options = ConvertOptions(split="all", max_frames=4)
    convert(tmp_path / "model.onnx", tmp_path / "data", tmp_path / "sdnn", options)
    reports = [
        evaluate(
            tmp_path / "sdnn",
            tmp_path / "data",
            EvaluateOptions(backend=name, split="all", source=Dhp19Options((2,)), max_frames=4),
        ).report.model_dump()
        for name in ("integers", "engine")
    ]
    assert made[0].chunks
    assert max(made[0].chunks) <= IntegerBackend.frames_at_once
    ours, engine = (report["sdnn"] for report in reports)
    assert (ours.pop("backend"), engine.pop("backend")) == ("integers", "engine")
    del ours["seconds_per_frame"], engine["seconds_per_frame"]
    assert_same_numbers(ours, engine)
    assert_same_numbers(reports[0]["comparison"], reports[1]["comparison"])


def assert_same_numbers(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Sums over outputs that lie in memory in another order differ in their last digits."""
    for name, value in ours.items():
        other = theirs[name]
        is_sum = isinstance(value, float)
        assert value == (pytest.approx(other, rel=1e-12) if is_sum else other), name
    assert ours.keys() == theirs.keys()


def test_it_is_compared_with_another_by_name(made: list[IntegerBackend]) -> None:
    spec, frames = random_spec(threshold=2), moving_frames(4)
    assert_equal_messages(make_backend("integers", spec), make_backend("engine", spec), frames)
    assert made[0].chunks == [len(frames)]


def test_an_unknown_name_is_refused_with_the_known_ones(made: list[IntegerBackend]) -> None:
    with pytest.raises(UsageError, match=r"no backend 'chip' here; choose one of .*integers"):
        make_backend("chip", random_spec())
    with pytest.raises(UsageError, match=r"--backend chip; expected .*integers"):
        EvaluateOptions(backend="chip")
