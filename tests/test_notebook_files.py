"""The notebooks run from the first cell to the last, and show what they promise."""

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra test)")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra test)")
pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra test)")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["01-convert-your-network", "02-dhp19"]


def read(path: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The outputs of all cells, by kind of data, run in an empty folder; text under "text"."""
    # IPython keeps a history, and Jupyter its connections, below the home folder.
    for variable in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(folder / variable))
    work = folder / "work"
    work.mkdir()
    notebook = read(ROOT / "notebooks" / f"{name}.ipynb")
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": work}}
    )
    client.execute()
    assert not list(work.iterdir()), "a notebook writes into temporary folders only"
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    errors = [output.text for output in outputs if output.get("name") == "stderr"]
    assert errors == []
    return [
        {"text": output.text} if output.output_type == "stream" else dict(output.data)
        for output in outputs
    ]


def all_of(outputs: list[dict[str, str]], kind: str) -> list[str]:
    return [output[kind] for output in outputs if kind in output]


def test_all_notebooks_are_run_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_are_kept_which_could_grow_old(name: str) -> None:
    for cell in code_cells(read(ROOT / "notebooks" / f"{name}.ipynb")):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_convert_your_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(code_cells(read(NOTEBOOKS[0]))) == 10
    outputs = run(NAMES[0], tmp_path, monkeypatch)
    network, sdnn, comparison = all_of(outputs, "text/html")
    assert "conv 5x5, stride 2x2" in network
    assert "times fewer than the dense ANN" in sdnn
    assert "ann, zeros skipped" in comparison
    assert len(all_of(outputs, "image/png")) == 5
    assert outputs[-1]["text/plain"] == "True", "the folder is read back as what was saved"


def test_dhp19(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = run(NAMES[1], tmp_path, monkeypatch)
    assert len(all_of(outputs, "image/webp")) == 1
    assert len(all_of(outputs, "image/png")) == 2
    said = " ".join(all_of(outputs, "text/markdown"))
    assert "On 32 frames the SDNN needs" in said
    assert "distance from the ANN is" in said
    assert any("16 frames," in text for text in all_of(outputs, "text"))
