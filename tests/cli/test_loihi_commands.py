"""`export` and `simulate` on the command line."""

from pathlib import Path

import numpy as np
import pytest
from networks import MAX_POOL, random_spec
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.cli.netx import print_simulation
from ann2sdnn.eval.simulate import LayerDifference, Simulation
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.spec.file import write_spec
from ann2sdnn.support.errors import OutputError, UsageError


def test_export_writes_beside_the_conversion_and_counts_the_growth(tmp_path: Path) -> None:
    write_spec(tmp_path / "sdnn.h5", random_spec(pool=MAX_POOL))
    result = CliRunner().invoke(app, ["export", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert read_extras(tmp_path / "network.net").names[:3] == (
        "layer1",
        "layer1.max1",
        "layer1.max2",
    )
    layers = next(line for line in result.output.splitlines() if line.startswith("layers"))
    assert layers.split() == ["layers", "5", "7", "1.40x"]
    with pytest.raises(OutputError, match=r"network\.net exists already"):
        CliRunner().invoke(app, ["export", str(tmp_path)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--model", "other"], "--model other; expected corrected or stock"),
        (["--crop", "12"], "--crop 12; expected HxW"),
        (["--frames", "0"], "--frames 0; expected a whole number from 1"),
    ],
)
def test_simulate_refuses_options_before_it_runs(
    tmp_path: Path, options: list[str], complaint: str
) -> None:
    write_spec(tmp_path / "sdnn.h5", random_spec(pool=MAX_POOL))
    command = ["simulate", str(tmp_path), "--data", str(tmp_path), *options]
    with pytest.raises(UsageError, match=complaint):
        CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize(("sent", "is_warned"), [(0, True), (5, False)])
def test_equal_messages_of_silent_networks_show_nothing(
    sent: int, is_warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = np.zeros((1, 2, 2), np.int64)
    layers = (LayerDifference("conv", 100, sent, 0),)
    print_simulation(Simulation(layers, joints, joints, 1.0, 0.1, 3))
    told = capsys.readouterr().out
    assert ("Warning: slayer sent no message" in told) == is_warned
    assert ("joints in lava-nc" in told) != is_warned
