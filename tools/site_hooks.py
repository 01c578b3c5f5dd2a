"""Fills in the parts of the site that stand elsewhere: the help of every command, the changes.

mkdocs calls the functions below (`mkdocs.yml`, hooks).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_COMMANDS, _CHANGES = "<!-- commands -->", "<!-- changes -->"
_CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
_WIDTH = "80"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The text of a page, with the commands or the changes where it asks for them."""
    if _COMMANDS in markdown:
        markdown = markdown.replace(_COMMANDS, _every_help())
    if _CHANGES in markdown:
        changes = _CHANGELOG.read_text(encoding="utf-8").replace("](docs/", "](")
        markdown = markdown.replace(_CHANGES, changes)
    return markdown


def _every_help() -> str:
    from ann2sdnn.cli.app import COMMANDS

    return "\n\n".join(f"## {name}\n\n```text\n{_help(name)}\n```" for name in COMMANDS)


def _help(command: str) -> str:
    """What the command prints with --help, in 80 columns and without colours."""
    run = "from ann2sdnn.cli.app import main; main()"
    environment = {**os.environ, "COLUMNS": _WIDTH, "TERMINAL_WIDTH": _WIDTH, "NO_COLOR": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", run, command, "--help"],
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        cwd=tempfile.gettempdir(),  # whose folders do not hide the package
        check=True,
    )
    lines = [line.rstrip() for line in shown.stdout.strip("\n").splitlines()]
    return "\n".join(lines)
