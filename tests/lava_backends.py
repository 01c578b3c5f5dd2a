"""The backends slayer and lava, imported when a test asks for one, so that others need no lava."""

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ann2sdnn.sdnn.lava.backend import LavaBackend
    from ann2sdnn.sdnn.slayer.backend import SlayerBackend
    from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork
    from ann2sdnn.sdnn.spec.spec import Spec

WITHOUT_LAVA = "needs lava-dl and lava-nc, which pip installs on Python 3.10 only"
# On 3.10 lava is a dependency like any other, and a test that cannot import it fails.
LAVA_IS_MISSING = sys.version_info >= (3, 11) and importlib.util.find_spec("lava") is None


def slayer_backend(network: "SigmaDeltaNetwork", **options: Any) -> "SlayerBackend":
    """slayer's backend; a test that asks for it is marked with `lava`."""
    from ann2sdnn.sdnn.slayer.backend import SlayerBackend

    return SlayerBackend(network, **options)


def lava_backend(spec: "Spec") -> "LavaBackend":
    """lava's backend; a test that asks for it is marked with `lava`."""
    from ann2sdnn.sdnn.lava.backend import LavaBackend

    return LavaBackend(spec)
