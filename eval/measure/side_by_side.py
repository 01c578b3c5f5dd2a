"""Runs the networks side by side on the same frames, and counts the work of each.

Work is counted at the border-correct fan-out, zero weights excluded: an operation is one
multiplication by a non-zero weight.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion
from ann2sdnn.data.sources.frames import FrameArray, Frames
from ann2sdnn.graph.counted import AnnWork, CountedAnn, Counts, SustainedCount
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.engine.run import Backend, MessageCounter
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.points import OperatingPoints
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


class SdnnWork:
    """What a sigma-delta network did: the counts of ``BackendResult``, summed over frames.

    ``dense_macs``: dense operations per frame of the integer weights, many of them rounded to zero.
    ``sustained``: messages, messages of the input and operations of all layers.
    """

    def __init__(self, n_layers: int, dense_macs: int, counts_of: str) -> None:
        self.dense_macs, self.counts_of = dense_macs, counts_of
        self.seconds = 0.0
        self.n_frames = 0
        self.events: Counts = np.zeros(n_layers + 1, np.int64)
        self.synops: Counts = np.zeros(n_layers, np.int64)
        self.overflows: Counts = np.zeros(n_layers, np.int64)
        self.oversized: Counts = np.zeros(n_layers, np.int64)
        self.sustained_events = SustainedCount()
        self.sustained_input_events = SustainedCount()
        self.sustained_synops = SustainedCount()

    def of_work(self) -> "SdnnWork":
        """The counts alone, as another process can be sent them."""
        work = SdnnWork(len(self.synops), self.dense_macs, self.counts_of)
        vars(work).update({name: getattr(self, name) for name in vars(work)})
        return work

    def merge(self, later: "SdnnWork") -> None:
        """Count the work of ``later`` on other sequences too."""
        self.seconds += later.seconds
        self.n_frames += later.n_frames
        for name in ("events", "synops", "overflows", "oversized"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        for name in ("sustained_events", "sustained_input_events", "sustained_synops"):
            getattr(self, name).merge(getattr(later, name))


class CountedSdnn(SdnnWork):
    """A sigma-delta backend, which counts its work.

    ``messages``: of every frame of the sequence, int64 [n_layers + 1] each, the input's first.
    """

    def __init__(self, backend: Backend, spec: Spec) -> None:
        dense_macs = MessageCounter(network_from_spec(spec)).dense_macs
        super().__init__(len(spec.layers), dense_macs, backend.counts_of)
        self.messages: list[Counts] = []
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


@dataclass(eq=False)
class Work:
    """The work of all networks on the same frames; None for those that did not run.

    ``mixed`` may be ``memoryless``. ``threads``: torch's, while times were measured.
    """

    ann: AnnWork | None
    sdnn: SdnnWork | None
    memoryless: SdnnWork | None
    mixed: SdnnWork | None
    threads: int

    def merge(self, later: "Work") -> None:
        """Count the work of ``later`` on other sequences too."""
        if self.ann is not None and later.ann is not None:
            self.ann.merge(later.ann)
        pairs = (
            (self.sdnn, later.sdnn),
            (self.memoryless, later.memoryless),
            (None if self.mixed is self.memoryless else self.mixed, later.mixed),
        )
        for mine, theirs in pairs:
            if mine is not None and theirs is not None:
                mine.merge(theirs)


class SideBySide:
    """The networks of a conversion; None for those that do not run.

    ``spec``: lava's operating point. ``networks``: those that do, by the names "ann", "sdnn",
    "memoryless" and "mixed". "sdnn" is lava's operating point in the chosen backend, "mixed" the
    engine's in the engine, "memoryless" the memoryless one in the engine or, where there is none,
    lava's without its state.
    """

    def __init__(
        self,
        conversion: OpenedConversion,
        compare: Sequence[str],
        backend: str,
        reporter: Reporter = SILENT,
    ) -> None:
        self.spec = conversion.spec
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

    def work(self) -> Work:
        """The work so far, which another process can be sent."""
        memoryless = _work_of(self.memoryless)
        same = self.mixed is self.memoryless
        return Work(
            ann=None if self.ann is None else self.ann.of_work(),
            sdnn=_work_of(self.sdnn),
            memoryless=memoryless,
            mixed=memoryless if same else _work_of(self.mixed),
            threads=torch.get_num_threads(),
        )

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
            add_frames(self._seen, chunk)
            shown = torch.from_numpy(chunk)
            outputs = {network: network.run(shown) for network in different}
            yield {name: outputs[network] for name, network in self.networks.items()}
            task.advance(len(chunk))


def network_names(points: OperatingPoints, compare: Sequence[str]) -> tuple[str, ...]:
    """Names of the networks that ``SideBySide`` runs."""
    mixed = () if points.engine is None else ("mixed",)
    ann = ("ann",) if "ann" in compare else ()
    return (*ann, *(("sdnn", "memoryless", *mixed) if "sdnn" in compare else ()))


def add_frames(seen: "hashlib._Hash", chunk: FrameArray) -> None:
    """Add the values of the next frames to what ``frames_sha256`` is the digest of."""
    seen.update(np.ascontiguousarray(chunk).data)


def _work_of(network: CountedSdnn | None) -> SdnnWork | None:
    return None if network is None else network.of_work()


def _is_memoryless(point: Spec, memoryless: Spec) -> bool:
    """Whether ``point`` sends what ``memoryless``, of the same integers, does without its state."""
    stateful = [point.input_is_stateful, *(layer.is_stateful for layer in point.layers)]
    thresholds = [[layer.threshold for layer in spec.layers] for spec in (point, memoryless)]
    return not any(stateful) and thresholds[0] == thresholds[1]
