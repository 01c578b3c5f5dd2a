"""The ANN in torch and in ONNX Runtime, and its int8 version in ONNX Runtime."""

from collections.abc import Iterator

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.eval.bench.networks.subject import (
    Infer,
    Subject,
    TimedNetwork,
    forget_nothing,
    not_timed_if_it_fails,
)
from ann2sdnn.graph.onnx.file.session import open_session
from ann2sdnn.graph.operations import FloatNetwork


def torch_network(subject: Subject) -> TimedNetwork:
    """The graph that was converted."""
    network = FloatNetwork(subject.conversion.graph)

    @torch.inference_mode()
    def outputs(frames: Tensor) -> Tensor:
        return network(network.encode(frames))

    def run(frames: Tensor) -> Iterator[Tensor]:
        yield from outputs(frames)

    return TimedNetwork(forget_nothing, run)


def onnxruntime_network(subject: Subject) -> TimedNetwork:
    """The file in ONNX Runtime."""
    return subject.file_network(_infer(subject.session))


def onnxruntime_int8_network(subject: Subject) -> TimedNetwork:
    """The quantised file in ONNX Runtime; NotTimedError where it cannot be made or run."""
    model = subject.quantised_model
    with not_timed_if_it_fails("ONNX Runtime int8 was not timed, it cannot run what it quantised"):
        return subject.file_network(_infer(open_session(model)))


def _infer(session: onnxruntime.InferenceSession) -> Infer:
    name = session.get_inputs()[0].name

    def infer(array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return list(session.run(None, {name: array}))

    return infer
