"""Versions of this program and of what its numbers depend on."""

import platform
from collections.abc import Mapping
from importlib.metadata import version

from ann2sdnn.support import __version__

_PACKAGES = ("torch", "lightning-fabric", "numpy", "onnx")


def versions() -> dict[str, str]:
    """By name: Python, ann2sdnn and the packages that compute."""
    return {
        "python": platform.python_version(),
        "ann2sdnn": __version__,
        **{package: version(package) for package in _PACKAGES},
    }


def versions_text(known: Mapping[str, str]) -> str:
    """The versions in a line, this program's first: "ann2sdnn 0.2.0, python 3.10.1"."""
    order = sorted(known, key=lambda name: name != "ann2sdnn")
    return ", ".join(f"{name} {known[name]}" for name in order)
