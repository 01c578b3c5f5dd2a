"""The package nir, imported when it is needed, or a sentence that says that it is missing."""

import importlib.util

from ann2sdnn.support.errors import UsageError


def check_nir() -> None:
    """Raise UsageError where the package nir is not installed, without importing it."""
    if importlib.util.find_spec("nir") is None:
        raise UsageError(
            'NIR needs the package nir, which is not installed: pip install "ann2sdnn[nir]"'
        )


def register_nodes() -> None:
    """Make ``nir.read`` know ``SdnnSigma`` and ``SdnnDelta`` in this process.

    Raises UsageError without the package nir, ModelError for a version without a list of nodes.
    """
    check_nir()
    from ann2sdnn.sdnn.spec.nir.nodes import register

    register()
