"""ann2sdnn: convert a trained ReLU CNN into a sigma-delta network (SDNN) and compare the two.

The functions and classes below are those of ``ann2sdnn.api``, which is imported when one of them is
first used. The folders of the repository are the sub-packages: ``data``, ``ann``, ``calibration``,
``convert``, ``sdnn`` and ``eval``.

Importing this package before torch and numba lets their threads sleep while they wait for each
other (``OMP_WAIT_POLICY=PASSIVE``), unless the environment says how they wait.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ann2sdnn.support import __version__ as __version__
from ann2sdnn.support.processes.waiting import let_threads_sleep

if TYPE_CHECKING:
    from ann2sdnn.api import (
        Comparison,
        ComparisonRow,
        Report,
        Sdnn,
        Stream,
        from_nir,
        from_onnx,
        from_torch,
        load,
        pretrained,
        to_sdnn,
    )
    from ann2sdnn.data.events.options import EventWindow
    from ann2sdnn.data.sources.registry import open_frames

__all__ = [
    "Comparison",
    "ComparisonRow",
    "EventWindow",
    "Report",
    "Sdnn",
    "Stream",
    "from_nir",
    "from_onnx",
    "from_torch",
    "load",
    "open_frames",
    "pretrained",
    "to_sdnn",
]

let_threads_sleep()


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("ann2sdnn.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
