"""The documents as web pages: no warning, nothing missing, nothing loaded from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import COMMANDS
from doc_blocks import ROOT
from link_packages import link_packages

import ann2sdnn

_LOADED = re.compile(r"<(?:script|img|source|iframe)\b[^>]*\bsrc=\"([^\"]*)|<link\b[^>]*>")
_STYLE = re.compile(r"rel=\"?(?:stylesheet|icon|preload|preconnect)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built into a temporary folder."""
    packages = ROOT / "build" / "typing"  # where mkdocs.yml looks for the docstrings
    if not packages.is_dir():
        link_packages(ROOT, packages)
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    made = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder


def test_every_command_and_every_name_of_the_api_is_there(site: Path) -> None:
    commands = (site / "commands.html").read_text(encoding="utf-8")
    api = (site / "api.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f'id="{name}"' in commands, name
        assert f"ann2sdnn {name} [OPTIONS]" in commands, name
    for name in ann2sdnn.__all__:
        assert re.search(rf'id="ann2sdnn\.[\w.]*\b{name}"', api), name


def test_the_changes_link_to_pages_of_the_site(site: Path) -> None:
    changes = (site / "changelog.html").read_text(encoding="utf-8")
    assert "pretrained.html" in changes
    assert 'href="docs/' not in changes


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        for found in _LOADED.finditer(page.read_text(encoding="utf-8")):
            tag = found.group(0)
            if tag.startswith("<link") and not _STYLE.search(tag):
                continue
            assert "//" not in tag.replace("data:", ""), (page.name, tag)
