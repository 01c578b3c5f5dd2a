"""Registry of the networks that are timed, by their names in reports.

An entry makes a network for a subject, or None where the conversion has none, or raises
NotTimedError. Another package adds one with ``NETWORKS["name"] = Entry(...)``.
"""

from collections.abc import Callable
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

FLOAT32 = "torch"  # what every network's outputs are compared with


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


def make_networks(subject: Subject) -> tuple[dict[str, TimedNetwork], dict[str, str]]:
    """The networks that run here, by name, and a sentence for each that does not."""
    networks: dict[str, TimedNetwork] = {}
    not_timed: dict[str, str] = {}
    for name, entry in NETWORKS.items():
        try:
            network = entry.make(subject)
        except NotTimedError as error:
            not_timed[name] = str(error)
            continue
        if network is not None:
            networks[name] = network
    return networks, not_timed
