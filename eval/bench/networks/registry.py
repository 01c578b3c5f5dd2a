"""Registry of the networks that are timed, by their names in reports.

An entry makes a network for a subject, or None where the conversion has none, or raises
NotTimedError. Another package adds one with ``NETWORKS["name"] = Entry(...)``.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from ann2sdnn.eval.bench.networks.ann import (
    onnxruntime_int8_network,
    onnxruntime_network,
    torch_network,
)
from ann2sdnn.eval.bench.networks.openvino import (
    openvino_bf16_network,
    openvino_int8_network,
    openvino_network,
)
from ann2sdnn.eval.bench.networks.sdnn import engine_network, own_point_network, slayer_network
from ann2sdnn.eval.bench.networks.subject import NotTimedError, Subject, TimedNetwork
from ann2sdnn.support.errors import UsageError

FLOAT32 = "torch"  # what every network's outputs are compared with
ALWAYS = (FLOAT32, "engine")  # timed in every run


class Entry(NamedTuple):
    """A network's name in tables, and what makes it."""

    label: str
    make: Callable[[Subject], TimedNetwork | None]
    is_sdnn: bool = False


NETWORKS = {
    FLOAT32: Entry("ANN, torch", torch_network),
    "onnxruntime": Entry("ANN, ONNX Runtime", onnxruntime_network),
    "onnxruntime_int8": Entry("ANN, ONNX Runtime int8", onnxruntime_int8_network),
    "openvino": Entry("ANN, OpenVINO float32", openvino_network),
    "openvino_bf16": Entry("ANN, OpenVINO bf16", openvino_bf16_network),
    "openvino_int8": Entry("ANN, OpenVINO int8", openvino_int8_network),
    "engine": Entry("SDNN, engine", engine_network, is_sdnn=True),
    "mixed": Entry("SDNN, engine, its own point", own_point_network, is_sdnn=True),
    "slayer": Entry("SDNN, slayer", slayer_network, is_sdnn=True),
}


def chosen_networks(beside: Sequence[str] | None) -> tuple[str, ...]:
    """All names, or ``ALWAYS`` and those ``beside`` them; UsageError for names that are unknown."""
    if beside is None:
        return tuple(NETWORKS)
    unknown = [name for name in beside if name not in NETWORKS]
    if unknown:
        raise UsageError(f"--networks {unknown[0]}; expected some of {', '.join(NETWORKS)}")
    return tuple(name for name in NETWORKS if name in {*ALWAYS, *beside})


def make_networks(
    subject: Subject, names: Collection[str] | None = None
) -> tuple[dict[str, TimedNetwork], dict[str, str]]:
    """The networks ``names``, or all, that run here, and a sentence for each that does not."""
    networks: dict[str, TimedNetwork] = {}
    not_timed: dict[str, str] = {}
    for name in NETWORKS if names is None else names:
        entry = NETWORKS[name]
        try:
            network = entry.make(subject)
        except NotTimedError as error:
            not_timed[name] = str(error)
            continue
        if network is not None:
            networks[name] = network
    return networks, not_timed
