"""`benchmarks/engine_cost.py`: which networks it times, and what it makes of the numbers."""

import csv
import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import moving_frames, random_spec

from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.grid import STATE_MAX


@pytest.fixture(scope="module")
def script() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "engine_cost.py"
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module  # dataclasses look there
    found.loader.exec_module(module)
    return module


def test_thresholds_are_multiplied_within_24_bits(script: Any) -> None:
    spec = random_spec(threshold=3)
    for factor, expected in ((0.0, 0), (0.5, 2), (1.0, 3), (4.0, 12)):
        scaled = script.with_thresholds_times(spec, factor)
        assert {layer.threshold for layer in scaled.layers} == {expected}
    largest = script.with_thresholds_times(spec, 1e9).layers[0]
    step = 2 ** (spec.grid.spike_exp + largest.shift)
    assert STATE_MAX - step < largest.state_threshold(spec.grid) <= STATE_MAX
    silent = script.with_thresholds_times(spec, 1e9)
    assert int(Engine(silent).run(moving_frames(3)).events[:, 1:].sum()) == 0


def test_what_is_counted_is_per_frame_after_the_first(script: Any) -> None:
    spec, frames = random_spec(threshold=1), moving_frames(5)
    run = Engine(spec).run(frames)
    case = script.sdnn_case("1", spec, frames)
    assert case.counts["messages"] == pytest.approx(float(run.events[1:].sum()) / 4)
    assert case.counts["operations"] == pytest.approx(float(run.synops[1:].sum()) / 4)
    still = script.sdnn_case(script.STILL, spec, frames[-1:].expand_as(frames))
    assert set(still.counts.values()) == {0}
    seen: list[int] = []
    case = script.Case(
        "any", torch.arange(3), lambda: seen.append(-1), lambda frame: seen.append(int(frame))
    )
    case.time()
    assert seen == [-1, 0, 1, 2]
    assert len(case.all_ms) == 1


def test_lines_go_through_the_moving_networks(script: Any) -> None:
    def case(name: str, n: int | None, ms: float) -> Any:
        counts = None if n is None else dict.fromkeys(script.KINDS, float(n))
        return script.Case(name, torch.zeros(2), None, None, counts, [ms + 1, ms, ms + 4])

    cases = [
        case(script.ANN_ROW, None, 50.0),
        case(script.STILL, 0, 9.0),
        case("0", 1_000_000, 21.0),
        case("1", 500_000, 11.0),
        case("2", 250_000, 6.0),
    ]
    line = script.line_through(script.moving(cases, "messages"))
    assert line.constant_ms == pytest.approx(1.0)
    assert line.ns_each == pytest.approx(20.0)
    assert line.worst_ms == pytest.approx(0.0, abs=1e-9)
    rows = list(csv.DictReader(io.StringIO(script.table(cases))))
    assert [row["thresholds_times"] for row in rows] == [case.name for case in cases]
    assert (rows[0]["messages"], rows[3]["messages"]) == ("", "500000")
    assert [rows[3][f"ms_{which}"] for which in ("least", "median", "most")] == [
        "11.000",
        "12.000",
        "15.000",
    ]
    figure = script.draw(cases)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["20 ns per message + 1.0 ms", "20 ns per visited pixel + 1.0 ms"]
