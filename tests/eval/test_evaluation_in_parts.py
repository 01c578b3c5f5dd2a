"""Evaluation in several processes: every value is that of one process, to the last bit."""

import json
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import SUFFIX, LabelledSource, quarters, write_labelled, write_quarter_network
from recordings import write_network, write_recordings

from ann2sdnn.calibration.thresholds.rules import Fixed, RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.data.sources.labels import Targets
from ann2sdnn.data.sources.registry import SOURCES
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.measure import parts
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.results.timeline import Timeline
from ann2sdnn.eval.tasks.registry import TASKS
from ann2sdnn.support.errors import DataError, UsageError

Recordings = tuple[Path, Path]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """A conversion of the pose task with thresholds, and three recordings of two cameras."""
    folder = tmp_path_factory.mktemp("workers")
    data = write_recordings(folder / "data", subjects=3, frames=11)
    write_network(folder / "model.onnx")
    options = ConvertOptions(Fixed(0.05), max_frames=4)
    convert(folder / "model.onnx", data, folder / "sdnn", options)
    return folder / "sdnn", data


def values(out: Path) -> str:
    """evaluation.json without times."""
    text = (out / "evaluation.json").read_text(encoding="utf-8")
    timed = r'"seconds_per_frame": [^,\n]*'
    assert len(re.findall(timed, text)) >= 2
    return re.sub(timed, "", text)


def run_in_this_process(
    function: Callable[[Any, Any], Any],
    jobs: Sequence[Any],
    _workers: int,
    advance: Any,
    **_how: Any,
) -> Iterator[Any]:
    """As ``run_in_order``, but only what travels between processes is made to."""
    for job in jobs:
        yield pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(job)), advance)))


def test_two_processes_write_what_one_does(world: Recordings, tmp_path: Path) -> None:
    folder, data = world
    for workers, name in ((1, "one"), (2, "two")):
        options = EvaluateOptions(split="all", workers=workers, out=tmp_path / name)
        evaluate(folder, data, options)
    assert values(tmp_path / "one") == values(tmp_path / "two")
    pictures = [(tmp_path / name / "poses.png").read_bytes() for name in ("one", "two")]
    assert pictures[0] == pictures[1]
    stored = json.loads((tmp_path / "two" / "evaluation.json").read_text())
    assert stored["frames"] == 66
    assert stored["ann"]["mpjpe_mm"] > 0, "cameras of different processes were not joined"
    assert stored["comparison"]["displacement_px_mean"] > 0, "nothing to compare"


def test_the_film_and_the_values_over_time_are_the_same(
    world: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "run_in_order", run_in_this_process)
    one, two = (
        evaluate(*world, EvaluateOptions(split="all", workers=workers)) for workers in (1, 2)
    )
    assert one.film is not None
    assert two.film is not None
    assert np.array_equal(one.film.shares, two.film.shares)
    assert [each.title for each in one.film.frames] == [each.title for each in two.film.frames]
    assert [each.title for each in one.examples] == [each.title for each in two.examples]
    assert_same_timeline(one.timeline, two.timeline)


def assert_same_timeline(one: Timeline | None, two: Timeline | None) -> None:
    assert one is not None
    assert two is not None
    for before, after in zip(one.sequences, two.sequences, strict=True):
        assert (before.name, before.n_frames) == (after.name, after.n_frames)
        assert before.moved
        for values, others in ((before.error, after.error), (before.moved, after.moved)):
            assert values.keys() == others.keys()
            for name, each in values.items():
                assert np.array_equal(each, others[name], equal_nan=True)


@pytest.mark.parametrize("task", ["classify", "regress", "output"])
def test_every_task_merges(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "labelled", LabelledSource())
    monkeypatch.setattr(parts, "run_in_order", run_in_this_process)
    frames, kinds = quarters(12, 9, seed=2)
    labels: dict[str, Targets | None] = {
        "classify": kinds,
        "regress": np.random.default_rng(3).random((12, 9, 4), np.float32),
        "output": None,
    }
    model = write_quarter_network(tmp_path / "model.onnx")
    data = write_labelled(tmp_path / f"data{SUFFIX}", frames, labels[task])
    budget = ConvertOptions(RateDistortion(budget_error=0.5), split="all")
    convert(model, data, tmp_path / "sdnn", budget)
    outs = (tmp_path / "one", tmp_path / "two")
    one, two = (
        evaluate(
            tmp_path / "sdnn",
            data,
            EvaluateOptions(split="all", task=task, workers=workers, out=out),
        )
        for workers, out in enumerate(outs, start=1)
    )
    assert_same_timeline(one.timeline, two.timeline)
    assert values(outs[0]) == values(outs[1])
    pages = [(out / "examples.png").read_bytes() for out in outs]
    assert pages[0] == pages[1]
    stored = json.loads((outs[1] / "evaluation.json").read_text())
    assert stored["task"] == task
    assert stored["output_relative_error"] > 0, "nothing to merge"


def test_scores_that_cannot_be_merged_are_refused(
    world: Recordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scores:
        pass

    class Task:
        def recognises(self, spec: object, sequences: object) -> bool:
            return False

        def scores(self, spec: object, evaluated: object) -> Any:
            return Scores()

    monkeypatch.setitem(TASKS, "alone", Task())
    options = EvaluateOptions(split="all", task="alone", workers=2)
    with pytest.raises(UsageError, match="scores of the task alone cannot be merged"):
        evaluate(*world, options)


def test_a_recording_that_cannot_be_read_ends_all_processes(
    world: Recordings, tmp_path: Path
) -> None:
    folder, data = world
    broken = tmp_path / "data"
    broken.mkdir()
    for path in data.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (last,) = broken.glob("S3*events.h5")
    content = bytearray(last.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    last.write_bytes(content)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="S3_session1_mov1"):
        evaluate(folder, broken, EvaluateOptions(split="all", workers=2, out=out))
    assert not out.exists()
