"""Runs the networks side by side on the same frames, and counts the work of each.

Work is counted at the border-correct fan-out, zero weights excluded: an operation is one
multiplication by a non-zero weight.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion
from ann2sdnn.data.sources.frames import Frames
from ann2sdnn.graph.counted import CountedAnn, Counts, SustainedCount
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend, MessageCounter
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.progress import SILENT, Reporter, Task


class CountedNetwork(Protocol):
    """A network that adds up its work while it runs."""

    @property
    def seconds(self) -> float:
        """Wall-clock seconds spent so far, on this machine."""

    def reset(self) -> None:
        """The next frame is the first of a sequence."""

    def run(self, frames: Tensor) -> Tensor:
        """Outputs [T, O, H, W] in the ANN's units for uint8 frames [T, C, H, W], in order."""


class CountedSdnn:
    """A sigma-delta backend; counts are those of ``BackendResult``, summed over frames.

    ``dense_macs``: dense operations per frame of the integer weights, many of them rounded to zero.
    ``sustained``: messages, messages of the input and operations of all layers. ``messages``: of
    every frame of the sequence, int64 [n_layers + 1] each, the input's first.
    """

    def __init__(self, backend: Backend, spec: Spec) -> None:
        n_layers = len(spec.layers)
        self.dense_macs = MessageCounter(network_from_spec(spec)).dense_macs
        self.seconds = 0.0
        self.n_frames = 0
        self.events: Counts = np.zeros(n_layers + 1, np.int64)
        self.synops: Counts = np.zeros(n_layers, np.int64)
        self.overflows: Counts = np.zeros(n_layers, np.int64)
        self.oversized: Counts = np.zeros(n_layers, np.int64)
        self.sustained_events = SustainedCount()
        self.sustained_input_events = SustainedCount()
        self.sustained_synops = SustainedCount()
        self.messages: list[Counts] = []
        self.counts_of = backend.counts_of
        self._backend = backend

    def reset(self) -> None:
        """Forget all states."""
        self._backend.reset()
        self.messages = []
        for count in (self.sustained_events, self.sustained_input_events, self.sustained_synops):
            count.begin()

    def run(self, frames: Tensor) -> Tensor:
        """Outputs for ``frames``, decoded, in the original network's units."""
        started = time.perf_counter()
        result = self._backend.run(frames)
        self.seconds += time.perf_counter() - started
        self.n_frames += len(frames)
        self.events += result.events.sum(dim=0).numpy()
        self.messages.extend(result.events.numpy())
        self.synops += result.synops.sum(dim=0).numpy()
        self.overflows += result.overflows.sum(dim=0).numpy()
        self.oversized += result.oversized.sum(dim=0).numpy()
        self.sustained_events.add_frames(result.events)
        self.sustained_input_events.add_frames(result.events[:, :1])
        self.sustained_synops.add_frames(result.synops)
        return result.outputs


class SideBySide:
    """The networks of a conversion; None for those that do not run.

    ``networks``: those that do, by the names "ann", "sdnn", "memoryless" and "mixed". "sdnn" is
    lava's operating point in the chosen backend, "mixed" the engine's in the engine, "memoryless"
    the memoryless one in the engine or, where there is none, lava's without its state.
    """

    def __init__(
        self,
        conversion: OpenedConversion,
        compare: Sequence[str],
        backend: str,
        reporter: Reporter = SILENT,
    ) -> None:
        self._frames_at_once = Engine.frames_at_once
        self._seen = hashlib.sha256()
        self.networks: dict[str, CountedNetwork] = {}
        self.ann: CountedAnn | None = None
        self.sdnn: CountedSdnn | None = None
        self.memoryless: CountedSdnn | None = None
        self.mixed: CountedSdnn | None = None
        if "ann" in compare:
            self.networks["ann"] = self.ann = CountedAnn(conversion.graph)
        if "sdnn" in compare:
            points = conversion.points
            chosen = make_backend(backend, points.lava, reporter)
            self._frames_at_once = chosen.frames_at_once
            self.sdnn = CountedSdnn(chosen, points.lava)
            forgetful = points.memoryless or points.lava
            self.memoryless = CountedSdnn(Engine(forgetful, memoryless=True), forgetful)
            self.networks |= {"sdnn": self.sdnn, "memoryless": self.memoryless}
            if points.engine is not None:
                # On data whose frames share little, the engine's point is the memoryless one.
                is_same = _is_memoryless(points.engine, forgetful)
                self.mixed = (
                    self.memoryless
                    if is_same
                    else CountedSdnn(Engine(points.engine), points.engine)
                )
                self.networks["mixed"] = self.mixed

    @property
    def frames_sha256(self) -> str:
        """Hexadecimal SHA-256 of the values of all frames so far, in order."""
        return self._seen.hexdigest()

    def run(self, frames: Frames, task: Task) -> Iterator[dict[str, Tensor]]:
        """Outputs of every network for one sequence, chunk by chunk; ``task`` counts frames."""
        different = list(dict.fromkeys(self.networks.values()))
        for network in different:
            network.reset()
        for chunk in frames.chunks(self._frames_at_once):
            self._seen.update(np.ascontiguousarray(chunk).data)
            shown = torch.from_numpy(chunk)
            outputs = {network: network.run(shown) for network in different}
            yield {name: outputs[network] for name, network in self.networks.items()}
            task.advance(len(chunk))


def _is_memoryless(point: Spec, memoryless: Spec) -> bool:
    """Whether ``point`` sends what ``memoryless``, of the same integers, does without its state."""
    stateful = [point.input_is_stateful, *(layer.is_stateful for layer in point.layers)]
    thresholds = [[layer.threshold for layer in spec.layers] for spec in (point, memoryless)]
    return not any(stateful) and thresholds[0] == thresholds[1]
