"""Backends by name: how the SDNN is run."""

from collections.abc import Callable

from ann2sdnn.sdnn.engine.run import Backend
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.errors import UsageError
from ann2sdnn.support.progress import SILENT, Reporter

# Frames handed over at once. lava's pipeline takes as long to fill as its layers are many.
_FRAMES_AT_ONCE, _FRAMES_IN_LAVA = 8, 16


def make_backend(name: str, spec: Spec, reporter: Reporter = SILENT) -> Backend:
    """The backend called ``name`` for ``spec``.

    Raises UsageError when there is none, or when it cannot run such a network.
    """
    check_backend(name)
    return _BACKENDS[name](spec, reporter)


def frames_at_once(name: str) -> int:
    """How many frames a backend should get in one call."""
    return _FRAMES_IN_LAVA if name == "lava" else _FRAMES_AT_ONCE


def check_backend(name: str) -> None:
    """Raise UsageError when no backend is called ``name``."""
    if name not in _BACKENDS:
        raise UsageError(f"there is no backend {name!r} here; choose one of {', '.join(_BACKENDS)}")


def _engine(spec: Spec, reporter: Reporter) -> Backend:
    from ann2sdnn.sdnn.engine.engine import Engine

    return Engine(network_from_spec(spec))


def _slayer(spec: Spec, reporter: Reporter) -> Backend:
    from ann2sdnn.sdnn.slayer.backend import SlayerBackend

    return SlayerBackend(network_from_spec(spec))


def _lava(spec: Spec, reporter: Reporter) -> Backend:
    from ann2sdnn.sdnn.lava.backend import LavaBackend

    return LavaBackend(spec, reporter=reporter)


_BACKENDS: dict[str, Callable[[Spec, Reporter], Backend]] = {
    "engine": _engine,
    "slayer": _slayer,
    "lava": _lava,
}
