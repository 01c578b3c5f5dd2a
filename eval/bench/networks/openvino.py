"""The ANN in OpenVINO, an optional package: float32, bf16, and int8 from ONNX Runtime's file."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ann2sdnn.eval.bench.networks.subject import (
    NotTimedError,
    Subject,
    TimedNetwork,
    not_timed_if_it_fails,
)

_TELEMETRY = "openvino_telemetry"
_MISSING = "OpenVINO was not timed: it is not installed; `pip install openvino` adds its networks"


def openvino_network(subject: Subject) -> TimedNetwork:
    """The file in float32."""
    # OpenVINO computes a float32 network in bf16 where it can, unless it is asked for float32.
    return _network(subject, "float32", subject.model, "f32")


def openvino_bf16_network(subject: Subject) -> TimedNetwork:
    """The file in bf16; NotTimedError on a processor without it."""
    if "BF16" not in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise NotTimedError("OpenVINO bf16 was not timed: this processor has no bf16")
    return _network(subject, "bf16", subject.model, "bf16")


def openvino_int8_network(subject: Subject) -> TimedNetwork:
    """The quantised file; what it leaves in floating point is computed in OpenVINO's default."""
    _core()  # says that OpenVINO is missing before anything about int8
    return _network(subject, "int8", subject.quantised_model, None)


def compiled(subject: Subject, model: Any, precision: str | None) -> Any:
    """``model`` compiled for the frames' size and one caller, with torch's number of threads.

    Raises what OpenVINO raises, and NotTimedError where it is not installed.
    """
    core = _core()
    network = core.read_model(model.SerializeToString())
    _, array = next(subject.inputs(subject.frames[:1]))
    network.reshape(list(array.shape))
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # Pinned threads would stand in the way of the other networks' threads.
        "ENABLE_CPU_PINNING": False,
    }
    if precision is not None:
        options["INFERENCE_PRECISION_HINT"] = precision
    return core.compile_model(network, "CPU", options)


def _network(subject: Subject, name: str, model: Any, precision: str | None) -> TimedNetwork:
    with not_timed_if_it_fails(f"OpenVINO {name} was not timed, it cannot run the network"):
        request = compiled(subject, model, precision).create_infer_request()

        def infer(array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            # Shared memory: nothing is copied, and the outputs hold until the next call.
            result = request.infer([array], share_inputs=True, share_outputs=True)
            return [result[index] for index in range(len(result))]

        return subject.file_network(infer)


def _core() -> Any:
    """OpenVINO's devices; NotTimedError where it is not installed or cannot be loaded."""
    if importlib.util.find_spec("openvino") is None:
        raise NotTimedError(_MISSING)
    with not_timed_if_it_fails("OpenVINO was not timed, it cannot be loaded"):
        return openvino_without_telemetry().Core()


def openvino_without_telemetry() -> ModuleType:
    """The module `openvino`; with a second package it would report its import to its makers."""
    if "openvino" in sys.modules or _TELEMETRY in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # "cannot be imported"
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[_TELEMETRY]
