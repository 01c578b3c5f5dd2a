"""What the commands need, which probe tries it, and the command that mends it."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

PACKAGE = "ann2sdnn"
LAVA_PYTHON = (3, 10)
_VERSION = sys.version_info[:2]


@dataclass(frozen=True)
class Part:
    """Something that is tried on its own.

    ``packages``: the distributions it consists of. ``extra``: the extra of this package that brings
    it. ``is_core``: every command needs it. ``enables``: what needs it, for those that some do not
    need.
    """

    name: str
    probe: str
    packages: tuple[str, ...]
    enables: str = ""
    extra: str | None = None
    is_core: bool = False
    is_lava: bool = False


CORE = (
    Part("torch", "torch", ("torch",), is_core=True),
    Part("engine", "engine", ("numba", "llvmlite"), is_core=True),
    Part("onnx", "onnx", ("onnx", "onnxruntime"), is_core=True),
    Part("files", "files", ("h5py", "pillow"), is_core=True),
    Part("gpu", "gpu", (), "--device cuda of train-sdnn"),
)
LAVA = (
    Part(
        "slayer",
        "slayer",
        ("lava-dl",),
        "diagnose, train-sdnn, --backend slayer, a row of bench",
        is_lava=True,
    ),
    Part("lava", "lava", ("lava-nc", "lava-dl"), "simulate, --backend lava", is_lava=True),
)
OPTIONAL = (
    Part("openvino", "openvino", ("openvino",), "rows of bench", extra="openvino"),
    Part("video", "video", ("av",), "video files as data", extra="video"),
)
# Of one group the probes run in one process, one after another, and groups at the same time.
GROUPS: tuple[tuple[Part, ...], ...] = (CORE, LAVA, OPTIONAL)
_DISTRIBUTIONS = {"PIL": "pillow", "lightning_fabric": "lightning-fabric"}
PARTS = {part.name: part for group in GROUPS for part in group}

# Command -> the part that it needs beside the core.
NEEDED_BY = {"diagnose": "slayer", "train-sdnn": "slayer", "simulate": "lava"}


def remedy(
    part: Part,
    *,
    is_missing: bool,
    module: str | None = None,
    version: Sequence[int] = _VERSION,
) -> str:
    """The shell command that makes ``part`` work; "" where none does.

    ``module``: the one that could not be found, where that is known.
    """
    if part.is_lava and tuple(version[:2]) != LAVA_PYTHON:
        return "python3.10 -m venv with-lava && with-lava/bin/pip install ann2sdnn"
    if part.extra is not None:
        force = "" if is_missing else "--force-reinstall "
        return f"pip install {force}'{PACKAGE}[{part.extra}]'"
    if not part.packages:
        return ""
    missing = _DISTRIBUTIONS.get(module or "", module or "").partition(".")[0]
    if missing and not part.is_lava:
        return f"pip install {_requirement(missing)}"
    force = "" if is_missing else "--force-reinstall --no-deps "
    return f"pip install {force}{' '.join(map(_requirement, part.packages))}"


def _requirement(package: str) -> str:
    """``package`` with the versions that this project asks for, quoted for a shell."""
    try:
        required = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:  # a checkout that is on the path, not installed
        required = []
    for each in required:
        specification = each.partition(";")[0].strip().replace(" ", "")
        if re.match(rf"{re.escape(package)}(?![\w.-])", specification):
            return f"'{specification}'"
    return package
