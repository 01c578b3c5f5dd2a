"""`doctor` where everything is installed, where packages are missing, and its advice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ann2sdnn.cli.app import COMMANDS
from ann2sdnn.eval.doctor import machine, parts, probes

# Run by every Python that has its folder on the path: the packages cannot be imported.
_BLOCKING = """
import os, signal, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and "crash" in os.environ["BLOCKED"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.partition(".")[0] in os.environ["BLOCKED"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def doctor(folder: Path, *arguments: str, blocked: str = "") -> "subprocess.CompletedProcess[str]":
    (folder / "sitecustomize.py").write_text(_BLOCKING)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-c", "from ann2sdnn.cli.app import main; main()", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path, "BLOCKED": blocked},
        timeout=300,
    )


@pytest.mark.lava
def test_everything_works_where_everything_is_installed(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    works = {each["name"]: each["works"] for each in told["findings"]}
    assert all(works[name] for name in ("torch", "engine", "onnx", "files", "slayer", "lava"))
    assert "equal to the reference" in next(
        each["found"] for each in told["findings"] if each["name"] == "engine"
    )
    assert told["commands"] == dict.fromkeys(COMMANDS, True)
    assert {each["name"] for each in told["machine"]} == {"Python", "threads", "memory", "disk"}


def test_without_lava_the_core_works_and_the_sentence_says_what_mends_it(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--need", "lava", blocked="lava,openvino")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert max(map(len, lines)) <= 80
    assert "slayer absent No module named 'lava'" in lines
    assert "lava broken No module named 'lava'" in lines
    if sys.version_info[:2] == parts.LAVA_PYTHON:
        assert any(line.startswith("pip install") and "lava-dl" in line for line in lines)
    assert "pip install 'ann2sdnn[openvino]'" in lines
    verdict = " ".join(lines[lines.index("") :])
    assert "convert, inspect, evaluate" in verdict
    assert "These do not: simulate (lava), diagnose (slayer), train-sdnn (slayer)." in verdict
    assert verdict.endswith("To be mended first: lava.")


def test_a_broken_core_is_code_1_whatever_is_asked_for(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json", blocked="crash,onnxruntime,lava")
    findings = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1
    assert findings["torch"]["reason"] == "its process was ended by SIGSEGV"
    assert "--force-reinstall" in findings["torch"]["remedy"]
    assert findings["engine"]["reason"] == "not tried, since torch ended the process"


def test_a_missing_package_is_named_with_the_version_that_this_project_asks_for() -> None:
    onnx = parts.PARTS["onnx"]
    found = parts.remedy(onnx, is_missing=True, module="onnxruntime")
    assert found.startswith("pip install ")
    assert "onnxruntime" in found
    assert "onnx>" not in found
    lava = parts.remedy(parts.PARTS["lava"], is_missing=True, module="lava", version=(3, 12))
    assert lava == "python3.10 -m venv with-lava && with-lava/bin/pip install ann2sdnn"


def test_every_part_has_a_probe_and_every_command_that_needs_one_exists() -> None:
    assert {part.probe for part in parts.PARTS.values()} <= set(probes.PROBES)
    assert set(parts.NEEDED_BY) <= set(COMMANDS)
    assert set(parts.NEEDED_BY.values()) <= set(parts.PARTS)


@pytest.mark.parametrize(
    ("environment", "spins"),
    [
        ({}, False),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, False),
        ({"OMP_WAIT_POLICY": "active"}, True),
        ({"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "0"}, False),
        ({"GOMP_SPINCOUNT": "1000"}, True),
    ],
)
def test_threads_that_spin_are_advised_against(environment: dict[str, str], spins: bool) -> None:
    fact = machine.threads_fact(environment, 2)
    assert ("export GOMP_SPINCOUNT=0" in fact.advice) == spins


def test_little_memory_and_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    assert machine.memory_fact(10**9).advice.startswith("Little memory is free")
    assert machine.memory_fact(10**11).advice == ""
    assert str(tmp_path) in machine.disk_fact(tmp_path / "to" / "come").found
    assert machine.python_fact((3, 9, 1), "python").advice.startswith("Use Python 3.10")
