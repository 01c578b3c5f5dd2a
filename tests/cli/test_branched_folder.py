"""The commands on a network with branches: from its ONNX file to stock netx in lava-nc."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from branched_networks import ResidualNet
from networks import moving_frames
from typer.testing import CliRunner

import ann2sdnn as a2s
from ann2sdnn.calibration.measure.outputs import relative_errors
from ann2sdnn.cli.app import app
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.sdnn.netx.extras import read_extras


def run(*arguments: str | Path | float) -> str:
    """The output of a command."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a residual addition, a concatenation and two outputs, and its conversion."""
    folder = tmp_path_factory.mktemp("branches")
    torch.manual_seed(0)
    names = ["maps", "values"]
    example = torch.zeros(1, 1, 16, 20)
    model = ResidualNet().eval()
    torch.onnx.export(model, example, str(folder / "net.onnx"), output_names=names)
    (folder / "data").mkdir()
    for seed in range(4):
        np.save(folder / "data" / f"walk{seed}.npy", moving_frames(6, seed=seed).numpy())
    said = run(
        "convert", folder / "net.onnx", "--calibrate", folder / "data", "--out", folder / "sdnn",
        "--input-scale", 1 / 255, "--budget-error", 0.05, "--quiet",
    )  # fmt: skip
    (folder / "said").write_text(said)
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_convert_writes_the_chain_and_its_cost(folder: Path) -> None:
    report = read(folder / "sdnn" / "report.json")
    carried = report["lowering"]["ranges"]["pass_through"]
    layers = read_extras(folder / "sdnn" / "network.net").carried
    assert carried["layers"] == np.count_nonzero(layers) > 3
    said = (folder / "said").read_text()
    assert f"{carried['layers']} layers carry values past them in" in said
    assert f"send {carried['messages_per_frame']:,.0f} messages per frame" in said
    is_costly = carried["messages_per_frame"] > carried["own_messages_per_frame"]
    assert ("Sdnn.to_lava() builds the network without them" in said) == is_costly


def test_export_writes_the_same_file(folder: Path, tmp_path: Path) -> None:
    said = run("export", folder / "sdnn", "--out", tmp_path / "again.net")
    assert (tmp_path / "again.net").read_bytes() == (folder / "sdnn" / "network.net").read_bytes()
    assert "layers carry values past them in" in said


def test_drift_runs_the_chain(folder: Path, tmp_path: Path) -> None:
    """With the corrected neuron the chain's outputs are those of the network."""
    data = folder / "data" / "walk0.npy"
    run(
        "drift",
        folder / "sdnn",
        "--data",
        data,
        "--frames",
        6,
        "--out",
        tmp_path / "drift",
        "--quiet",
    )
    (corrected,) = (
        curve["heatmap_relative_error"]
        for curve in read(tmp_path / "drift" / "drift.json")["curves"]
        if curve["name"] == "corrected"
    )
    sdnn, frames = a2s.load(folder / "sdnn"), torch.from_numpy(np.load(data))
    network = FloatNetwork(sdnn.graph)
    ann, outputs = network(network.encode(frames)), sdnn.run(frames, point="lava").outputs
    assert corrected == pytest.approx(relative_errors(ann, outputs, sdnn.graph.output_shapes))


@pytest.mark.slow
@pytest.mark.lava
def test_every_message_in_lava_equals_slayers(folder: Path) -> None:
    said = run("simulate", folder / "sdnn", "--data", folder / "data", "--frames", 3, "--quiet")
    assert "messages compared, largest difference 0;" in said


@pytest.mark.slow
@pytest.mark.lava
def test_the_outputs_in_lava_are_the_engines(folder: Path, tmp_path: Path) -> None:
    found, expected = (evaluated(folder, tmp_path / one, one) for one in ("lava", "engine"))
    assert found["error_curve"] == expected["error_curve"]
    assert found["error_curve"][0] > 0
    assert found["events_per_frame"] > expected["events_per_frame"]


def evaluated(folder: Path, out: Path, backend: str) -> Any:
    data = folder / "data" / "walk3.npy"
    run(
        "evaluate", folder / "sdnn", "--data", data, "--backend", backend, "--out", out,
        "--frames", 3, "--quiet",
    )  # fmt: skip
    return read(out / "evaluation.json")["sdnn"]
