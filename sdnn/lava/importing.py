"""Imports lava when it is needed, without the lines that it prints."""

import importlib
import importlib.util
import io
import logging
import multiprocessing
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType

from ann2sdnn.support.errors import UsageError


def import_lava(module: str) -> ModuleType:
    """Import a module of lava-dl or lava-nc.

    This takes some seconds. Warnings about a Prophesee toolbox and CUDA_HOME are suppressed. Raises
    UsageError where lava is not installed.
    """
    if module in sys.modules:
        return sys.modules[module]
    if multiprocessing.get_start_method(allow_none=True) == "fork":
        # lava-nc sets "fork" again, without force, which fails where the method was used before.
        multiprocessing.set_start_method(None, force=True)
    level = logging.root.level
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{_needs_lava()}: {error}; use Python 3.10 or another --backend"
        ) from error
    finally:
        logging.root.setLevel(level)


def has_lava() -> bool:
    """Whether lava is installed, without importing it."""
    return importlib.util.find_spec("lava") is not None


def check_lava() -> None:
    """Raise UsageError where lava is not installed, without importing it."""
    if not has_lava():
        raise UsageError(f"{_needs_lava()}; use Python 3.10")


def _needs_lava() -> str:
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        "this command needs lava-dl and lava-nc, which exist for Python 3.10 only"
        f" (this is {version})"
    )
