"""`bench --profile`: the rows of the engine's profile, and their table."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import moving_frames, random_spec
from recordings import write_network, write_recordings
from rich.console import Console
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.eval.bench.profile import EngineProfile, engine_profile, profile_points
from ann2sdnn.eval.bench.profile_sheet import profile_sheets
from ann2sdnn.sdnn.engine.profile import Profile
from ann2sdnn.sdnn.spec.points import OperatingPoints
from ann2sdnn.support.terminal import sheet_text

LAYERS = 5


def made_up(threads: int) -> Profile:
    """Four frames; layers of 4, 8, ... ms of work per frame, half of it scatter."""
    work = 4e-3 * np.array([1, *(4 * k for k in range(1, LAYERS + 1)), 2])
    scatter = np.where(np.arange(LAYERS + 2) % (LAYERS + 1) == 0, 0, work / 2)
    waiting = work / 4 if threads > 1 else np.zeros(LAYERS + 2)
    return Profile(
        frames=4,
        threads=threads,
        seconds=float((work + waiting).sum()) + 4e-3,
        work=work,
        scatter=scatter,
        waiting=waiting,
        messages=np.arange(1, LAYERS + 2) * 4000,
        operations=np.arange(LAYERS + 1) * 4_000_000,
        visited=np.array([np.nan, *np.linspace(0.2, 1.0, LAYERS)]),
    )


def text_of(profile: EngineProfile) -> str:
    (sheet,) = profile_sheets({"engine": profile})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sheet_text(sheet))
    return console.export_text()


def test_rows_are_per_frame_and_add_up() -> None:
    spec = random_spec()
    found = engine_profile(spec, made_up(threads=2), unmeasured_ms=70.0)
    names = ["input", *(layer.name for layer in spec.layers), "output", "calls"]
    assert [row.name for row in found.rows] == names
    assert sum(row.ms for row in found.rows) == pytest.approx(found.total.ms)
    assert found.rows[-1].ms == pytest.approx(1.0)
    second = found.rows[2]
    assert (second.ms, second.scatter_ms, second.waiting_ms) == pytest.approx((10.0, 4.0, 2.0))
    assert (second.messages_received, second.messages_sent) == (2000, 3000)
    assert second.operations == 2_000_000
    assert second.gmac_per_s == pytest.approx(0.5)  # in 4 ms
    assert second.bookkeeping == pytest.approx(0.6)
    assert second.ns_per_message == pytest.approx(5000)
    assert second.touched == pytest.approx(0.4)
    first, output = found.rows[0], found.rows[-2]
    assert (first.messages_received, first.messages_sent) == (None, 1000)
    assert (output.messages_received, output.messages_sent) == (6000, None)
    assert found.total.messages_received == 21_000
    assert found.total.operations == 15_000_000
    assert found.total.bookkeeping == pytest.approx(1 - 30 / found.total.ms)
    neurons = [float(np.prod(layer.output_shape)) for layer in spec.layers]
    visited = [row.touched or 0.0 for row in found.rows[1:-2]]
    assert found.total.touched == pytest.approx(np.average(visited, weights=neurons))


def test_the_table_shows_waiting_where_threads_wait() -> None:
    alone, two = (engine_profile(random_spec(), made_up(n), 70.0) for n in (1, 2))
    assert "waiting  " not in text_of(alone)
    lines = text_of(two).splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = (line.split() for line in lines if line.strip().startswith("layer2"))
    assert row[1:] == ["10.00", "2k", "2M", "40%", "0.5", "5000", "60%", "20%"]
    assert "70.00 ms" in text_of(two)


def test_long_names_keep_the_table_within_80_columns() -> None:
    spec = random_spec()
    layers = tuple(
        replace(layer, name=f"/backbone/features/{index}/depthwise/Conv")
        for index, layer in enumerate(spec.layers)
    )
    profile = made_up(threads=2)
    busy = replace(profile, messages=profile.messages * 123_457, seconds=10 * profile.seconds)
    text = text_of(engine_profile(replace(spec, layers=layers), busy, 70.0))
    assert max(map(len, text.splitlines())) <= 80
    assert "/2/depthwise/Conv"[-8:] in text


def test_both_operating_points_are_profiled() -> None:
    spec = random_spec(threshold=1)
    own = replace(spec, layers=(replace(spec.layers[0], is_stateful=False), *spec.layers[1:]))
    found = profile_points(OperatingPoints(spec, engine=own), moving_frames(4), 2)
    assert list(found) == ["engine", "mixed"]
    sent = [profile.rows[1].messages_sent for profile in found.values()]
    assert sent[0] != sent[1]
    assert [profile.frames for profile in found.values()] == [3, 3]
    assert min(profile.unmeasured_ms for profile in found.values()) > 0
    assert len(profile_sheets(found)) == 2


def test_the_command_shows_and_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ann2sdnn.eval.bench.networks.sdnn.has_lava", lambda: False)
    write_recordings(tmp_path / "data", subjects=1)
    write_network(tmp_path / "model.onnx")
    options = ConvertOptions(split="all", max_frames=4)
    convert(tmp_path / "model.onnx", tmp_path / "data", tmp_path / "sdnn", options)
    path = tmp_path / "bench.json"
    common = ["bench", tmp_path / "sdnn", "--data", tmp_path / "data", "--frames", 3]
    common += ["--rounds", 1, "--quiet", "--force", "--json", path]
    for more, tables in (((), 1), (("--profile",), 2)):
        done = CliRunner().invoke(app, [str(one) for one in (*common, *more)])
        assert done.exit_code == 0, done.output
        profiles = json.loads(path.read_text())["profiles"]
        if tables == 1:
            assert profiles is None
            assert "Where the engine's time goes" not in done.stdout
            continue
        assert done.stdout.count("Where the engine's time goes") == len(profiles)
        rows = profiles["engine"]["rows"]
        assert (rows[0]["name"], rows[-1]["name"]) == ("input", "calls")
        assert sum(row["ms"] for row in rows) == pytest.approx(profiles["engine"]["total"]["ms"])
        assert rows[1]["gmac_per_s"] > 0
        assert EngineProfile.model_validate(profiles["engine"]).rows[1].operations
