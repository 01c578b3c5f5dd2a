"""Threads sleep while they wait, unless the user says otherwise; each case in a process."""

import os
import re
import subprocess
import sys

import pytest

from ann2sdnn.support.processes.waiting import POLICY

SHOWN = f"print(os.environ.get({POLICY!r}))"
_OF_WAITING = (POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name not in _OF_WAITING}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment | variables, capture_output=True, text=True, check=True
    )


@pytest.mark.parametrize("module", ["ann2sdnn", "ann2sdnn.cli.app", "ann2sdnn.sdnn.lava.worker"])
def test_openmp_is_loaded_with_sleeping_threads(module: str) -> None:
    """OpenMP itself says how its threads wait, when torch loads it."""
    done = python(f"import {module}, torch", OMP_DISPLAY_ENV="VERBOSE")
    assert re.search(r"(GOMP_SPINCOUNT|KMP_BLOCKTIME)\s*=\s*'0", done.stderr)


@pytest.mark.parametrize("name", _OF_WAITING)
def test_what_the_user_has_set_stays(name: str) -> None:
    code = (
        "import os\nbefore = dict(os.environ)\nimport ann2sdnn\nassert before == dict(os.environ)"
    )
    python(code, **{name: "1"})


@pytest.mark.parametrize("package", ["torch", "numba"])
def test_nothing_is_set_once_openmp_is_loaded(package: str) -> None:
    assert python(f"import os, {package}, ann2sdnn\n{SHOWN}").stdout.split() == ["None"]


def test_a_worker_process_starts_with_it() -> None:
    code = f"""
import os
from ann2sdnn.support.processes.pool import run_jobs
if __name__ == "__main__":
    print(*run_jobs(os.getenv, [{POLICY!r}] * 2, 2, lambda amount: None))
"""
    # A worker calls the function with a second argument, which is the default here.
    assert "PASSIVE" in python(code).stdout
