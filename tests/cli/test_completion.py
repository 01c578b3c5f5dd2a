"""Completion in the shell: commands, options and choices, without the libraries that are slow."""

import os
import subprocess
import sys

import pytest

# What a shell runs when the user presses the tabulator key; then which libraries were loaded.
_COMPLETE = """
import sys
from ann2sdnn.cli.app import exit_code
sys.argv = ["ann2sdnn"]
code = exit_code()
heavy = {"torch", "onnx", "onnxruntime", "numba", "scipy", "matplotlib", "lava"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


def completions(typed: str) -> list[str]:
    """What bash is offered for the last word of ``typed``."""
    environment = os.environ | {
        "_ANN2SDNN_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", _COMPLETE],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ann2sdnn ev", ["evaluate"]),
        ("ann2sdnn train-", ["train-ann", "train-sdnn"]),
        ("ann2sdnn convert --calib", ["--calibrate"]),
        ("ann2sdnn inspect no-such-folder --js", ["--json"]),
        ("ann2sdnn convert --thresholds me", ["mean-delta"]),
        ("ann2sdnn evaluate sdnn --backend ", ["engine", "slayer", "lava"]),
        ("ann2sdnn synth out --format ", ["dhp19", "dhp19-sdnn"]),
        ("ann2sdnn inspect pre", ["pretrained"]),
        ("ann2sdnn doctor --need op", ["openvino"]),
        ("ann2sdnn evalute x", []),
    ],
)
def test_the_shell_is_offered_what_fits(typed: str, expected: list[str]) -> None:
    assert completions(typed) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_calls_this_program(shell: str) -> None:
    code = "from ann2sdnn.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--show-completion", shell],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "_ANN2SDNN_COMPLETE" in done.stdout
