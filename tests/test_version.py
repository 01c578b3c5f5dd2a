"""The version is the same wherever it stands."""

import re
import subprocess
import sys
from pathlib import Path

from ann2sdnn.support import __version__

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r"^## (\d+\.\d+\.\d+), (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def found(file: str, pattern: str) -> str:
    (value,) = re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return str(value)


def test_package_and_citation_have_the_version() -> None:
    assert found("pyproject.toml", r'^version = "(.+)"$') == __version__
    assert found("CITATION.cff", r"^version: (.+)$") == __version__


def test_the_newest_release_in_the_changelog_is_this_version_with_the_citations_date() -> None:
    releases = HEADING.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert releases[0] == (__version__, found("CITATION.cff", r"^date-released: (.+)$"))


def test_the_command_prints_the_version() -> None:
    run = "from ann2sdnn.cli.app import main; main()"
    command = [sys.executable, "-c", run, "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == f"ann2sdnn {__version__}\n"
