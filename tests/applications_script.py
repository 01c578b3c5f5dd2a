"""Scripts of `benchmarks` as modules, and what `run_applications.py` measures, once per process."""

import importlib
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from doc_blocks import ROOT


@cache
def script(name: str = "run_applications") -> Any:
    """The script ``name``; it and its packages are imported from `benchmarks`."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


@cache
def _kept_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


def folder_of(name: str) -> Path:
    """Where the application ``name`` was trained, converted and evaluated."""
    return Path(_kept_folder().name) / name


@cache
def row(name: str) -> Any:
    """The row of the application ``name``, with default options."""
    return script().run(script().APPLICATIONS[name], folder_of(name))
