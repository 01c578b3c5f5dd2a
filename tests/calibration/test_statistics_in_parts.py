"""Calibration in several processes: the conversion is that of one process, to the last byte."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled import quarters, write_quarter_network
from networks import ArrayRun, moving_frames, small_graph

from ann2sdnn.calibration.measure.observer import LayerObserver
from ann2sdnn.calibration.measure.parts import shared
from ann2sdnn.calibration.measure.statistics import Seen, measure, observe, statistics_of
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions


def report_of(folder: Path) -> Any:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report.pop("seconds")
    return report


def test_two_processes_write_what_one_does(tmp_path: Path) -> None:
    frames, _ = quarters(7, 9, seed=4)
    data = tmp_path / "data"
    data.mkdir()
    for number, sequence in enumerate(frames):
        np.save(data / f"{number}.npy", sequence)
    model = write_quarter_network(tmp_path / "model.onnx", is_even=False)
    for workers, name in ((1, "one"), (2, "two")):
        rule = RateDistortion(budget_error=0.05)
        options = ConvertOptions(rule, split="all", workers=workers)
        convert(model, data, tmp_path / name, options)
    one, two = tmp_path / "one", tmp_path / "two"
    assert (one / "sdnn.h5").read_bytes() == (two / "sdnn.h5").read_bytes()
    assert report_of(one) == report_of(two)
    assert report_of(two)["layers"][0]["activation_max"] > 0


# Some processes get one sequence, some none.
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 9])
def test_statistics_do_not_depend_on_the_processes(workers: int) -> None:
    graph = small_graph()
    lengths = (7, 1, 12, 3, 5)
    runs = [ArrayRun(moving_frames(n, seed=number).numpy()) for number, n in enumerate(lengths)]
    total = Seen([LayerObserver(layer) for layer in graph.layers])
    for (part,) in shared([runs], workers):
        seen = Seen([LayerObserver(layer) for layer in graph.layers])
        observe(graph, part, seen, lambda _n: None)
        total.merge(seen)
    merged, expected = statistics_of(graph, total), measure(graph, runs)
    assert (merged.n_frames, merged.n_runs) == (28, 5)
    for one, other in zip(merged.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(one.values.counts, other.values.counts)
        np.testing.assert_array_equal(one.changes.counts, other.changes.counts)
        assert (one.values.total, one.changes.total) == (other.values.total, other.changes.total)
        for name in ("z_min", "z_max", "a_max"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_processes_share_the_frames_and_keep_their_order() -> None:
    runs = [ArrayRun(moving_frames(n, seed=n).numpy()) for n in (4, 4, 8, 2, 6)]
    parts = shared([runs[:3], runs[3:]], 3)
    assert [[len(group) for group in part] for part in parts] == [[2, 0], [1, 0], [0, 2]]
    flat = [run for part in parts for group in part for run in group]
    assert flat == runs
    assert shared([runs[:1], []], 4) == [[[runs[0]], []]]
