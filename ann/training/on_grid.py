r"""Conversion-aware training: the last part of it happens on lava's grid.

The float network so far is measured on training recordings and given a range plan like any network
to convert. From there on its scales are fixed, and the weights learn in multiples of the plan's
step, rounded in the forward pass, with messages floored (learning/fake_quantise.py), from the
same labels and the same loss as before; a hinge keeps states and messages below their limits.

By homogeneity the numbers of the grid are themselves a float network that answers the same: hidden
weights are the multiples of 1/32 as they stand, a pixel enters as a whole number of message units,
and the last layer's scales, powers of two, are divided out, so that heat maps peak near 1. That is
what is exported; calibration/rounding/on_grid.py recognises it.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ann2sdnn.ann.network import LAYERS, PoseNet, Weights
from ann2sdnn.ann.training.learner import Learner, Module
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised
from ann2sdnn.calibration.measure.sensitivity import Sensitivity, measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.rounded import round_nearest, scaled_steps
from ann2sdnn.calibration.scales.plan import LayerPlan, PlannedNoise, RangePlan
from ann2sdnn.calibration.scales.planning import Evidence, plan_range
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.sources.dhp19 import plan_runs
from ann2sdnn.data.sources.frames import sample_frames
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import Graph, output_channel_view
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.sdnn.spec.spec import UNITS, WEIGHT_STEP, Grid
from ann2sdnn.support.progress import SILENT, Reporter

_FRAMES, _PROBED = 64, 16
# Training makes up for rounded weights but not for floored messages, so the plan fears those more.
_MESSAGE_WEIGHT = 100.0
_HEADROOM = 2.0  # of the plan: more varied frames than those of training must fit
_LARGEST_MAP = 3.0  # labels peak at 1; maps of people not trained on were seen to reach 2.1
_NEAR_LIMIT = 1.5  # limits over this are where the hinge begins
_RATE = 2.5e-3  # of the weights' root mean square a step, at the beginning


class GridStage:
    """The final stage of a conversion-aware training (``ann.learner.FinalStage``)."""

    def begin(
        self,
        network: PoseNet,
        input_scale: float,
        recordings: Sequence[Recording],
        options: TrainOptions,
        reporter: Reporter,
    ) -> dict[str, Any]:
        """Plan on the frames of ``recordings``."""
        runs = plan_runs(recordings, options.channels, _FRAMES)
        n_frames = sum(run.n_frames for run in runs)
        reporter.message(f"putting the weights on lava's grid: a range plan for {n_frames} frames")
        size = (recordings[0].height, recordings[0].width)
        graph = graph_of_posenet(network.weights(), input_scale, size)
        # A task is going on already, so what follows has no bar of its own.
        evidence = Evidence(
            graph,
            measure(graph, runs, SILENT),
            None,
            _fearing_messages(measure_sensitivity(graph, sample_frames(runs, _PROBED))),
        )
        outcome = plan_range(evidence, Grid(), headroom=_HEADROOM)
        plan = with_powers_of_two(outcome.plan)
        steps = [
            scaled_steps(layer, own, plan.arriving(graph, index))
            for index, (layer, own) in enumerate(zip(graph.layers, plan.layers, strict=True))
        ]
        reporter.message(
            f"on the grid: a pixel enters as {plan.input_gain} message units a count, rounding to"
            f" the nearest would change the heat maps by {plan.noise.relative_error:.0%}"
        )
        return {
            "size": list(size),
            "input_gain": plan.input_gain,
            "scales": [torch.from_numpy(layer.scale) for layer in plan.layers],
            "sent": [torch.from_numpy(layer.sent) for layer in plan.layers],
            "steps": [torch.from_numpy(one).to(torch.float32) for one in steps],
        }

    def learner(self, begun: dict[str, Any], options: TrainOptions) -> Learner:
        """The network on the grid, with the plan's weights."""
        return _GridLearner(begun, options)


class _GridLearner:
    """Latent weights, and Adam with a rate relative to each layer's."""

    def __init__(self, begun: dict[str, Any], options: TrainOptions) -> None:
        grid = Grid()
        layers = tuple(
            LayerPlan(scale=scale.numpy(), sent=sent.numpy())
            for scale, sent in zip(begun["scales"], begun["sent"], strict=True)
        )
        self.input_scale: float = begun["input_gain"] * grid.message_step
        self._output_scale = layers[-1].scale
        blank = {layer.name: np.zeros(layer.weight_shape, np.float32) for layer in LAYERS}
        height, width = begun["size"]
        graph = graph_of_posenet(blank, self.input_scale, (height, width))
        none = PlannedNoise(*np.zeros((2, len(layers))))
        plan = RangePlan(begun["input_gain"], 1.0, grid, layers, none, _HEADROOM)
        self.module = FakeQuantised(graph, plan, round_nearest(graph, plan), near_limit=_NEAR_LIMIT)
        self.module.start_from(begun["steps"])
        self._options = options
        self._rates = self.module.rates(_RATE)
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            [{"params": [weight]} for weight in self.module.latent], betas=(0.9, 0.99)
        )

    def set_rate(self, step: int, progress: float) -> None:
        """A cosine over the stage, to nothing: weights stop changing between two steps."""
        share = self._options.aware_share
        done = min(max((progress - (1 - share)) / share, 0.0), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * cosine

    def maps(self, module: Module, frames: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of the network on the grid, and what states and messages near limits cost."""
        maps, over = module(frames, output_slope=self._options.output_slope)
        return maps, over

    def after_step(self) -> None:
        """Keep the weights legal."""
        self.module.clamp()

    def network(self) -> PoseNet:
        """The numbers of the grid as a float network."""
        network = PoseNet.from_weights(self._weights())
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _weights(self) -> Weights:
        weights = {}
        for one in self.module.rounded():
            values = one.steps * (WEIGHT_STEP / UNITS)
            if one.layer.name == LAYERS[-1].name:
                values = values / output_channel_view(one.layer, self._output_scale)
            weights[one.layer.name] = values.astype(np.float32)
        return weights


def graph_of_posenet(weights: Weights, input_scale: float, size: Pair) -> Graph:
    """The pose network as a graph for frames of ``size`` (height, width), by way of ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(path, weights, input_scale)
        return read_onnx(path, input_size=size)


def with_powers_of_two(plan: RangePlan) -> RangePlan:
    """``plan`` with the last layer's scales lowered to powers of two with room for every map."""
    last = plan.layers[-1]
    largest = plan.grid.message_limit / _LARGEST_MAP
    scale = 2.0 ** np.floor(np.log2(np.minimum(last.scale, largest)))
    lowered = replace(last, scale=scale, sent=last.sent * (scale / last.scale))
    return replace(plan, layers=(*plan.layers[:-1], lowered))


def _fearing_messages(sensitivity: Sensitivity) -> Sensitivity:
    layers = tuple(
        replace(layer, message=layer.message * _MESSAGE_WEIGHT) for layer in sensitivity.layers
    )
    return replace(sensitivity, layers=layers)
