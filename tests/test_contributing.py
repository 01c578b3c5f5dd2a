"""The examples of CONTRIBUTING.md are run, and do what is said of them."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from calibration_cases import case
from kind_checks import KindCase, check_kind
from networks import assert_equal_messages, moving_frames, random_spec
from onnx_models import ModelBuilder, random_weights, run_onnx
from recordings import write_network, write_recordings
from reports import report_of
from typer.testing import CliRunner

from ann2sdnn.calibration.thresholds.rule import RULES
from ann2sdnn.cli.parsing.derive import derived
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.convert.render.document import SECTIONS, render_html
from ann2sdnn.data.sources.registry import SOURCES, open_frames
from ann2sdnn.eval.tasks.registry import TASKS
from ann2sdnn.graph.kinds import kind_named
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.backends import BACKENDS, make_backend
from ann2sdnn.sdnn.spec.file import read_spec

DOCUMENT = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
ROWS = (
    "a linear operation",
    "a threshold rule",
    "a backend",
    "a data source",
    "a task",
    "a section of a report",
    "a command",
)


def examples() -> dict[str, str]:
    """The Python block of each heading "... WHAT: WHERE"."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.findall(r"^### \.\.\. ([^:]+):.*?^```python\n(.*?)^```$", text, re.M | re.S)
    return dict(found)


def imported(heading: str, folder: Path) -> Any:
    """The example of a heading as a module, written into ``folder``."""
    name = f"example_{heading.replace(' ', '_')}"
    path = folder / f"{name}.py"
    path.write_text(examples()[heading], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Imports the example of a heading; what it registers is forgotten after the test."""
    registries: tuple[dict[str, Any], ...] = (RULES, BACKENDS, SOURCES, TASKS)
    kept, sections = [dict(one) for one in registries], list(SECTIONS)

    yield partial(imported, folder=tmp_path)
    for registry, before in zip(registries, kept, strict=True):
        registry.clear()
        registry.update(before)
    SECTIONS[:] = sections


Run = Callable[[str], Any]


def test_there_is_an_example_for_every_row() -> None:
    assert tuple(examples()) == ROWS


def test_a_linear_operation(tmp_path: Path) -> None:
    """In a process of its own: names of operations and operators are taken for good."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_contributing as t"
    code += "; t.check_linear_operation(t.Path(sys.argv[2]))"
    arguments = [str(Path(__file__).parent), str(tmp_path)]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=tmp_path)


def check_linear_operation(folder: Path) -> None:
    turned_mix = imported("a linear operation", folder).TurnedMix
    assert kind_named("turned-mix") is turned_mix
    check_kind(KindCase(turned_mix(), (4, 6, 7), (3, 4)))
    builder = ModelBuilder((1, 5, 6, 4))
    builder.add("Einsum", random_weights(np.random.default_rng(0), 3, 5), equation="nchw,oc->nowh")
    path = builder.save(folder / "model.onnx")
    x = torch.rand((1, 5, 6, 4))
    found = FloatNetwork(read_onnx(path))(x)
    np.testing.assert_allclose(found.numpy(), run_onnx(path, x.numpy()), rtol=1e-5, atol=1e-6)


def test_a_threshold_rule(run: Run, tmp_path: Path) -> None:
    rule = run("a threshold rule").LargestActivation
    data, model = write_recordings(tmp_path / "data"), write_network(tmp_path / "model.onnx")
    options = ConvertOptions(rule(0.5), split="all", max_frames=4)
    report = convert(model, data, tmp_path / "out", options)
    assert report.thresholds == "largest-activation"
    assert read_spec(tmp_path / "out" / "sdnn.h5").layers[0].threshold > 0


def test_a_backend(run: Run) -> None:
    run("a backend")
    spec = random_spec(threshold=2)
    ours, engine = make_backend("integers", spec), make_backend("engine", spec)
    assert_equal_messages(ours, engine, moving_frames(3))


def test_a_data_source(run: Run, tmp_path: Path) -> None:
    run("a data source")
    torch.save(moving_frames(4), tmp_path / "walk.pt")
    (frames,) = open_frames(tmp_path / "walk.pt")
    assert (frames.name, frames.n_frames) == ("walk", 4)


def test_a_task(run: Run) -> None:
    run("a task")
    scores: Any = TASKS["largest"].scores(random_spec(), None)  # type: ignore[arg-type]
    maps = torch.arange(4.0).reshape(1, 1, 2, 2)
    scores.add(None, [{"ann": maps, "sdnn": 2 * maps}, {"ann": maps - 1, "sdnn": maps}])
    assert scores.largest == {"ann": 3.0, "sdnn": 6.0}


def test_a_section_of_a_report(run: Run) -> None:
    run("a section of a report")
    assert "Widest layer" in render_html(report_of(case(n_frames=4)))


def test_a_command(run: Run, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(derived(run("a command").count))
    data = write_recordings(tmp_path / "data", subjects=2, frames=6)
    assert CliRunner().invoke(app, [str(data)]).output.split() == ["24"]  # two cameras
    fewer = CliRunner().invoke(app, [str(data), "--most", "8"])
    assert fewer.output.split() == ["8"]
    assert "Frames to count at most." in CliRunner().invoke(app, ["--help"]).output
