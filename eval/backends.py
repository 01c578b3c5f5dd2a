"""Backends by name: how the SDNN is run."""

from collections.abc import Callable

from ann2sdnn.errors import UsageError
from ann2sdnn.sdnn.backend import Backend
from ann2sdnn.sdnn.network import SigmaDeltaNetwork


def make_backend(name: str, network: SigmaDeltaNetwork) -> Backend:
    """The backend called ``name`` for ``network``; UsageError when there is none."""
    check_backend(name)
    return _BACKENDS[name](network)


def check_backend(name: str) -> None:
    """Raise UsageError when no backend is called ``name``."""
    if name not in _BACKENDS:
        known = " and ".join(_BACKENDS)
        raise UsageError(f"there is no backend {name!r} here; choose one of {known}")


def _engine(network: SigmaDeltaNetwork) -> Backend:
    from ann2sdnn.sdnn.engine import Engine

    return Engine(network)


def _slayer(network: SigmaDeltaNetwork) -> Backend:
    from ann2sdnn.sdnn.slayer_backend import SlayerBackend

    return SlayerBackend(network)


_BACKENDS: dict[str, Callable[[SigmaDeltaNetwork], Backend]] = {
    "engine": _engine,
    "slayer": _slayer,
}
