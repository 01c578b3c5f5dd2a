"""`lower` on the command line."""

from pathlib import Path

import h5py
import pytest
from netx_files import write_experiment
from typer.testing import CliRunner

from ann2sdnn.cli.app import app
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.support.errors import Ann2SdnnError, ModelError, OutputError, UsageError


def lower(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, ["lower", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_lower_writes_what_stock_netx_knows_and_says_what_it_found(tmp_path: Path) -> None:
    old, new = write_experiment(tmp_path / "old.net"), tmp_path / "new.net"
    output = lower(str(old), str(new))
    with h5py.File(new, "r") as file:
        kinds = [bytes(file[f"layer/{i}/type"][0]) for i in range(len(file["layer"]))]
    assert kinds == [b"input"] + [b"conv"] * 7
    assert read_extras(new).unpacking.shape == (3, 16, 20)
    lines = output.splitlines()
    row = next(line for line in lines if line.startswith("conv1"))
    assert row.split()[:8] == ["conv1", "1x16x20", ">", "4x16x20", "3x3/1", "0", "0", "7"]
    assert row.split()[-1] == "-4..8"
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("-"))]
    assert max(map(len, table)) <= 80
    assert any(line.startswith("- 2 sum pools (pool2, pool4)") for line in lines)
    layers = next(line for line in lines if line.startswith("layers"))
    assert layers.split() == ["layers", "7", "7", "1.00x"]
    chip = next(line for line in lines if line.startswith("one chip"))
    # A core per layer: 7 of 128 are 5.5%.
    assert chip.split()[:6] == ["one", "chip", "1", "128", "5.5%", "yes"]
    assert lines[-1] == f"Wrote {new}"


@pytest.mark.parametrize(
    ("old", "options", "kind", "complaint"),
    [
        ("text.net", [], ModelError, "cannot be read as HDF5"),
        ("missing.net", [], ModelError, r"missing\.net is no file"),
        ("old.net", ["--input", "16x20"], UsageError, "--input 16x20; expected channels"),
        ("old.net", ["--input", "1x0x20"], UsageError, "--input 1x0x20; expected channels"),
    ],
)
def test_lower_refuses_and_writes_nothing(
    old: str, options: list[str], kind: type[Ann2SdnnError], complaint: str, tmp_path: Path
) -> None:
    write_experiment(tmp_path / "old.net")
    (tmp_path / "text.net").write_text("no network", encoding="utf-8")
    new = tmp_path / "new.net"
    with pytest.raises(kind, match=complaint):
        lower(str(tmp_path / old), str(new), *options)
    assert not new.exists()


def test_lower_keeps_an_existing_file_unless_forced(tmp_path: Path) -> None:
    old, new = write_experiment(tmp_path / "old.net"), tmp_path / "new.net"
    new.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"new\.net exists already"):
        lower(str(old), str(new))
    assert new.read_text(encoding="utf-8") == "mine"
    lower(str(old), str(new), "--force")
    with pytest.raises(ModelError, match="is lowered already"):
        lower(str(new), str(tmp_path / "again.net"))
