"""The networks side by side: every frame goes through each of them, and is scored, once."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ann2sdnn.convert.folder import OpenedConversion
from ann2sdnn.data.pose.displacement import HeatmapComparison
from ann2sdnn.data.pose.heatmaps import decode_heatmaps
from ann2sdnn.data.sources.dhp19 import FrameRun
from ann2sdnn.eval.measure.assemble import Measured
from ann2sdnn.eval.measure.mean_pose import MeanPose
from ann2sdnn.eval.measure.networks import CountedNetwork, CountedSdnn
from ann2sdnn.eval.measure.scores import PoseScore
from ann2sdnn.eval.results.examples import RunPoints
from ann2sdnn.graph.counted import CountedAnn
from ann2sdnn.sdnn.backends import make_backend
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.support.progress import SILENT, Reporter, Task


class SideBySide:
    """The networks that run, and what has been measured of each."""

    def __init__(
        self,
        conversion: OpenedConversion,
        compare: Sequence[str],
        backend: str,
        guess: MeanPose,
        reporter: Reporter = SILENT,
    ) -> None:
        self._frames_at_once = Engine.frames_at_once
        self.guess = guess
        self.ann = CountedAnn(conversion.graph) if "ann" in compare else None
        self.sdnn: CountedSdnn | None = None
        self.memoryless: CountedSdnn | None = None
        if "sdnn" in compare:
            network = network_from_spec(conversion.spec)
            chosen = make_backend(backend, conversion.spec, reporter)
            self._frames_at_once = chosen.frames_at_once
            self.sdnn = CountedSdnn(chosen, network)
            self.memoryless = CountedSdnn(Engine(network, memoryless=True), network)
        named: dict[str, CountedNetwork | None] = {
            "ann": self.ann,
            "sdnn": self.sdnn,
            "memoryless": self.memoryless,
        }
        self.networks = {name: one for name, one in named.items() if one is not None}
        self.scores = {name: PoseScore() for name in (*self.networks, "mean_pose")}
        self.comparisons = {
            name: HeatmapComparison() for name in self.networks if self.ann and name != "ann"
        }

    def run(self, run: FrameRun, task: Task) -> RunPoints:
        """One run through every network."""
        for network in self.networks.values():
            network.reset()
        points: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self.networks}
        confidence: list[NDArray[np.float32]] = []
        for chunk in run.chunks(self._frames_at_once):
            maps = self._maps(torch.from_numpy(chunk))
            for name, one in maps.items():
                pixels, peak = decode_heatmaps(one)
                points[name].append(pixels)
                if name == "ann":
                    confidence.append(peak)
            task.advance(len(chunk))
        found = {name: np.concatenate(pixels) for name, pixels in points.items()}
        labels, xyz_mm = run.labels(), run.labels_mm()
        for name, pixels in found.items():
            self.scores[name].add(run, pixels, labels, xyz_mm)
        guessed = self.guess.predict(run.channel, run.n_frames)
        self.scores["mean_pose"].add(run, guessed, labels, xyz_mm)
        sure = np.concatenate(confidence) if confidence else None
        return RunPoints(run, labels, found.get("ann"), found.get("sdnn"), sure)

    def _maps(self, frames: Tensor) -> dict[str, Tensor]:
        """The heat maps of every network for a few frames, compared with the ANN's."""
        maps = {name: network.run(frames) for name, network in self.networks.items()}
        for name, comparison in self.comparisons.items():
            comparison.add(maps["ann"], maps[name])
        return maps

    def measured(self, runs: Sequence[FrameRun]) -> Measured:
        """Everything measured over ``runs``."""
        return Measured(
            runs=tuple(runs),
            ann=self.ann,
            sdnn=self.sdnn,
            memoryless=self.memoryless,
            scores=self.scores,
            comparisons=self.comparisons,
            mean_pose_source=self.guess.source,
        )
