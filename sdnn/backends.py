"""Registry of backends: what runs an SDNN, by the name that a user gives.

An entry builds a ``Backend`` (``sdnn/engine/run.py``) for a spec. It imports its backend when it is
called, so that listing the names needs neither torch nor lava. Another package adds a backend with
``BACKENDS["name"] = make``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.options.nearest import did_you_mean
from ann2sdnn.support.progress import SILENT, Reporter

if TYPE_CHECKING:
    from ann2sdnn.sdnn.engine.run import Backend
    from ann2sdnn.sdnn.spec.spec import Spec

BackendFactory = Callable[["Spec", Reporter], "Backend"]


def _engine(spec: "Spec", reporter: Reporter) -> "Backend":
    from ann2sdnn.sdnn.engine.engine import Engine

    return Engine(spec)


def _slayer(spec: "Spec", reporter: Reporter) -> "Backend":
    from ann2sdnn.sdnn.slayer.backend import SlayerBackend
    from ann2sdnn.sdnn.spec.network import network_from_spec

    return SlayerBackend(network_from_spec(spec))


def _lava(spec: "Spec", reporter: Reporter) -> "Backend":
    from ann2sdnn.sdnn.lava.backend import LavaBackend

    return LavaBackend(spec, reporter=reporter)


BACKENDS: dict[str, BackendFactory] = {"engine": _engine, "slayer": _slayer, "lava": _lava}


def make_backend(name: str, spec: "Spec", reporter: Reporter = SILENT) -> "Backend":
    """Build the backend called ``name`` for ``spec``.

    Raises UsageError when there is none, or when it cannot run this network.
    """
    if name not in BACKENDS:
        near = did_you_mean(name, BACKENDS)
        known = ", ".join(BACKENDS)
        raise UsageError(f"there is no backend {name!r} here; choose one of {known}{near}")
    return BACKENDS[name](spec, reporter)
