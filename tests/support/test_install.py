"""The program behind `make install`: what it creates, completes, replaces and refuses."""

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = sys.version_info[:2]
OTHER = (3, 10) if HERE != (3, 10) else (3, 12)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module tools/install.py, with its log and its constraints in a temporary folder."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "constraints").mkdir()
    for minor in range(10, 14):
        (tmp_path / "constraints" / f"py3{minor}.txt").touch()
    return module


@pytest.fixture
def steps(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `install` would have done; no step is run."""
    done: list[str] = []

    def step(what: str, command: list[str]) -> None:
        done.append(what)
        if "venv" in command:
            environment(Path(command[-1]), HERE)

    monkeypatch.setattr(tool, "_step", step)
    monkeypatch.setattr(tool, "_has_pip", lambda folder: (folder / "bin" / "python").exists())
    return done


def environment(folder: Path, version: tuple[int, int]) -> None:
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "bin" / "python").touch()
    (folder / "pyvenv.cfg").write_text(f"home = x\nversion = {version[0]}.{version[1]}.7\n")


CREATE, PIP, PACKAGES = "creating", "updating pip", "installing the packages"


def kinds(steps: list[str]) -> list[str]:
    return [kind for step in steps for kind in (CREATE, PIP, PACKAGES) if step.startswith(kind)]


def test_a_new_environment_is_made_once(
    tool: ModuleType, steps: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.install(tmp_path / "env", HERE)
    assert kinds(steps) == [CREATE, PIP, PACKAGES]
    assert ("without lava" in capsys.readouterr().out) == (HERE != (3, 10))
    tool.install(tmp_path / "env", HERE)
    assert len(steps) == 3
    (tmp_path / "pyproject.toml").write_text("changed")
    tool.install(tmp_path / "env", HERE)
    assert kinds(steps[3:]) == [PIP, PACKAGES]


def test_an_interrupted_installation_goes_on(
    tool: ModuleType, steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a folder without an interpreter nor one without packages counts as installed."""
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / tool.MADE_HERE).touch()
    (tmp_path / "env" / "lib").mkdir()
    (tmp_path / "env" / tool.MADE_HERE).touch()
    tool.install(tmp_path / "env", HERE)
    assert kinds(steps) == [CREATE, PIP, PACKAGES]
    (tmp_path / "env" / tool.INSTALLED).unlink()
    tool.install(tmp_path / "env", HERE)
    assert kinds(steps[3:]) == [PIP, PACKAGES]


def test_a_package_that_was_cut_short_is_installed_again(tool: ModuleType, tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.10" / "site-packages"
    for name in ("whole-1.dist-info", "half-2.dist-info"):
        (packages / name).mkdir(parents=True)
        (packages / name / "METADATA").touch()
    (packages / "whole-1.dist-info" / "INSTALLER").touch()
    tool.forget_unfinished(tmp_path)
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


@pytest.mark.parametrize(
    "fill",
    [
        lambda folder: environment(folder, OTHER),
        lambda folder: (folder.mkdir(), (folder / "thesis.tex").touch()),
    ],
    ids=["environment", "folder"],
)
def test_what_somebody_else_made_is_refused(
    tool: ModuleType, steps: list[str], tmp_path: Path, fill: Callable[[Path], object]
) -> None:
    fill(tmp_path / "env")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(tool.InstallError, match="was not made by `make install`"):
        tool.install(tmp_path / "env", HERE)
    assert sorted(tmp_path.rglob("*")) == before
    assert steps == []


def test_an_environment_of_another_python_is_replaced_if_it_was_made_here(
    tool: ModuleType, steps: list[str], tmp_path: Path
) -> None:
    environment(tmp_path / "env", OTHER)
    (tmp_path / "env" / tool.MADE_HERE).touch()
    (tmp_path / "env" / "old").touch()
    tool.install(tmp_path / "env", HERE)
    assert kinds(steps) == [CREATE, PIP, PACKAGES]
    assert not (tmp_path / "env" / "old").exists()


@pytest.mark.parametrize("version", [(3, 9), (3, 14)])
def test_other_pythons_are_refused(
    tool: ModuleType, tmp_path: Path, version: tuple[int, int]
) -> None:
    with pytest.raises(tool.InstallError, match=r"3\.10 to 3\.13 are supported"):
        tool.install(tmp_path / "env", version)


def test_a_step_prints_a_line_and_on_failure_the_errors(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "print('WARNING: this and that'); "
    tool._step("doing", [sys.executable, "-c", said])
    assert capsys.readouterr().out.split() == ["doing", "...", "0", "s"]
    code = said + "print('ERROR: no such package'); raise SystemExit(1)"
    with pytest.raises(tool.InstallError, match=r"build/install\.log"):
        tool._step("doing", [sys.executable, "-c", code])
    assert capsys.readouterr().out == "doing ... failed\n  ERROR: no such package\n"
    assert "WARNING: this and that" in (tmp_path / "build" / "install.log").read_text()


def test_it_is_written_for_interpreters_that_it_refuses() -> None:
    """Python 3.8 can read it, and answers with the sentence."""
    ast.parse((ROOT / "tools" / "install.py").read_text(), feature_version=(3, 8))


def test_a_missing_interpreter_is_one_sentence() -> None:
    make = ["make", "--no-print-directory", "install", "CANDIDATES=no-such-python"]
    # `make PYTHON=... test` hands its interpreter to a make inside it through these variables.
    handed_on = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PYTHON")
    env = {name: value for name, value in os.environ.items() if name not in handed_on}
    done = subprocess.run(make, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("make: no Python 3.10 to 3.13 was found; install one")
