"""What the networks of a comparison are made from, and what each of them does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion
from ann2sdnn.eval.bench.networks.int8 import quantised
from ann2sdnn.graph.onnx.file.session import open_session, runtime_copy
from ann2sdnn.graph.onnx.tail import network_of
from ann2sdnn.graph.operations import file_input
from ann2sdnn.graph.planes import joined
from ann2sdnn.sdnn.engine.run import Backend


class TimedNetwork(NamedTuple):
    """Something that is timed: ``forget`` the frames so far, ``run`` the next ones.

    ``run`` takes frames [n, C, H, W] and yields the output [O, H, W] of each, which holds
    until the next one.
    """

    forget: Callable[[], None]
    run: Callable[[Tensor], Iterator[Tensor]]


class NotTimedError(Exception):
    """A network that cannot run here; the text is a sentence for the user."""


class Subject:
    """A conversion, the ``frames`` [T, C, H, W] that it runs on, and its backends.

    ``slayer`` is None where lava is not installed.
    """

    def __init__(
        self,
        conversion: OpenedConversion,
        frames: Tensor,
        engine: Backend,
        slayer: Backend | None,
    ) -> None:
        self.conversion = conversion
        self.frames = frames
        self.engine = engine
        self.slayer = slayer

    @cached_property
    def model(self) -> Any:
        """The network's file, without the tail that the conversion leaves out too."""
        names = [held.name for held in self.conversion.graph.held]
        return network_of(runtime_copy(self.conversion.model.model), names)

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """The file in ONNX Runtime; ModelError where that cannot run it."""
        return open_session(self.model)

    @cached_property
    def quantised_model(self) -> Any:
        """The file in int8, calibrated on the frames; NotTimedError where that fails."""
        with not_timed_if_it_fails("int8 was not timed, ONNX Runtime cannot quantise the network"):
            name = self.session.get_inputs()[0].name
            inputs = ({name: array} for _, array in self.inputs(self.frames))
            return quantised(self.model, inputs)

    def inputs(self, frames: Tensor) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Inputs of the file for ``frames``, and how many frames each holds.

        One frame each, or as many as the file fixes; the last ones are then repeated to fill it.
        """
        batch, *sizes = self.session.get_inputs()[0].shape
        at_once = batch if isinstance(batch, int) else 1
        channels, height, width = frames.shape[1:]
        maps = {1: (channels,), 2: (channels, width), 3: (channels, height, width)}
        shape = (at_once, *maps[len(sizes)])  # [N, K], a signal [N, C, L], or maps
        for some in torch.split(frames, at_once):
            x = file_input(self.conversion.graph, some.to(torch.float32))
            yield len(some), np.resize(x.numpy(), shape)

    def outputs(self, frames: Tensor, infer: "Infer") -> Iterator[Tensor]:
        """The outputs [O, H, W] of ``infer``, which runs the file on an input, for ``frames``."""
        graph = self.conversion.graph
        held = [
            one.data.after(shape)
            for one, shape in zip(graph.held, graph.output_shapes, strict=True)
        ]
        for n_frames, array in self.inputs(frames):
            maps = [
                torch.from_numpy(np.ascontiguousarray(data.unpacked(output)[:n_frames]))
                for data, output in zip(held, infer(array), strict=True)
            ]
            yield from joined(maps)

    def file_network(self, infer: "Infer") -> TimedNetwork:
        """The network that ``infer`` runs, after one frame, so that what fails does so here."""
        network = TimedNetwork(forget_nothing, lambda frames: self.outputs(frames, infer))
        for _ in network.run(self.frames[:1]):
            pass
        return network


# The file's outputs for one input.
Infer = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]


def forget_nothing() -> None:
    """For networks without a state."""


@contextmanager
def not_timed_if_it_fails(sentence: str) -> Iterator[None]:
    """Turn whatever another library raises into a NotTimedError with ``sentence`` and its reason.

    These libraries document no exceptions, and raise many kinds for networks that they cannot run.
    """
    try:
        yield
    except NotTimedError:
        raise
    except Exception as error:
        raise NotTimedError(f"{sentence}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The last line that says something: OpenVINO puts places in its source before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__
