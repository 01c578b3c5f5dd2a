"""The help of every command: an example that parses, 80 columns, and no colour for NO_COLOR."""

import os
import shlex
import subprocess
import sys

import pytest
from commands import COMMANDS
from typer.testing import CliRunner

from ann2sdnn.cli import app as cli

_ESCAPE = "\x1b"


def help_of(name: str) -> str:
    done = CliRunner().invoke(cli.app, [name, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_80_columns_and_has_an_example(name: str) -> None:
    text = help_of(name)
    assert max(map(len, text.splitlines())) <= 80
    assert "Example: ann2sdnn" in text
    assert "─ Options ─" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_a_command_line_that_parses(name: str, tmp_path: os.PathLike[str]) -> None:
    made = COMMANDS[name]
    words = shlex.split(made.help.partition("Example: ann2sdnn ")[2])
    assert words[0] == name
    made.make_context(name, words[1:], resilient_parsing=True)
    typed = {word for word in words if word.startswith("--")}
    assert typed <= {option for each in made.params for option in each.opts}


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"], ["doctor", "--help"]])
def test_no_color(arguments: list[str]) -> None:
    code = "from ann2sdnn.cli.app import main; main()"
    told = {}
    for variable in ("FORCE_COLOR", "NO_COLOR"):
        environment = {k: v for k, v in os.environ.items() if "COLOR" not in k}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment | {variable: "1", "COLUMNS": "80", "TERM": "xterm-256color"},
        )
        told[variable] = done.stdout
    assert f"{_ESCAPE}[36m" in told["FORCE_COLOR"] or f"{_ESCAPE}[1;36m" in told["FORCE_COLOR"]
    assert _ESCAPE not in told["NO_COLOR"]
