r"""The last part of a conversion-aware training, on lava's grid.

The float network is measured on training recordings and gets a range plan, like any network that is
converted. From there on its scales are fixed. The weights learn in multiples of the plan's step,
rounded in the forward pass, with messages floored (``calibration.learning.fake_quantise``), from
the same labels and the same loss as before; a penalty keeps states and messages within range.

By homogeneity, the integers of the grid are themselves a float network with the same answers:
hidden weights are the multiples of 1/32 as they stand, a pixel enters as a whole number of message
units, and the last layer's scales, powers of two, are divided out, so that heat maps peak near 1.
That network is exported, and ``calibration.rounding.on_grid`` recognises it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ann2sdnn.ann.architectures import Architecture
from ann2sdnn.ann.network import PoseNet, Weights
from ann2sdnn.ann.training.learner import Learner
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.pruning import prune
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised, Reads, Sends
from ann2sdnn.calibration.measure.evidence import Evidence
from ann2sdnn.calibration.measure.sensitivity import Sensitivity, measure_sensitivity
from ann2sdnn.calibration.measure.statistics import measure
from ann2sdnn.calibration.rounding.rounded import round_nearest, scaled_steps
from ann2sdnn.calibration.scales.plan import LayerPlan, PlannedNoise, RangePlan
from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.data.sources.dhp19 import plan_runs
from ann2sdnn.data.sources.frames import sample_frames
from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import Graph, output_channel_view
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.sdnn.spec.grid import UNITS, WEIGHT_STEP, Grid
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.training.fabric import adam
from ann2sdnn.support.training.schedule import cosine

# The units of what is exported; every other spike_exp gives the same integers.
_GRID = Grid(spike_exp=6)
_FRAMES, _PROBED = 64, 16
# Training makes up for rounded weights but not for floored messages, so these weigh more.
_MESSAGE_WEIGHT = 100.0
_HEADROOM = 2.0  # room in the plan for frames more varied than those of training
_LARGEST_MAP = 3.0  # labels peak at 1; maps of people not trained on reached 2.1
_NEAR_LIMIT = 1.5  # the penalty begins at the limits over this
_RATE = 2.5e-3  # change of a weight per step at the beginning, over the layer's RMS


def plan_on_grid(
    network: PoseNet,
    input_scale: float,
    recordings: Sequence[Recording],
    channels: Sequence[int],
    reporter: Reporter,
) -> dict[str, Any]:
    """Plan the trained ``network`` on frames of ``recordings``, which are of the training side.

    Returns everything that ``GridLearner`` needs, in tensors and numbers, which are kept with the
    run.
    """
    runs = plan_runs(recordings, channels, _FRAMES)
    n_frames = sum(run.n_frames for run in runs)
    reporter.message(f"putting the weights on lava's grid: a range plan for {n_frames} frames")
    size = (recordings[0].height, recordings[0].width)
    graph = graph_of_posenet(network.weights(), input_scale, size)
    sensitivity = measure_sensitivity(graph, sample_frames(runs, _PROBED))
    # A task is running already, so measuring has no bar of its own.
    evidence = Evidence(graph, measure(graph, runs, SILENT), None, _weighted(sensitivity))
    plan = with_powers_of_two(plan_range(evidence, _GRID, headroom=_HEADROOM))
    steps = [
        own_steps
        for index, (layer, own) in enumerate(zip(graph.layers, plan.layers, strict=True))
        for own_steps in scaled_steps(layer, own, plan.arriving(graph, index))
    ]
    reporter.message(
        f"on the grid: a pixel enters as {plan.input_gain} message units per count; rounding to"
        f" nearest would change the heat maps by {plan.noise.relative_error:.0%}"
    )
    return {
        "size": list(size),
        "input_gain": plan.input_gain,
        "scales": [torch.from_numpy(layer.scale) for layer in plan.layers],
        "sent": [torch.from_numpy(layer.sent) for layer in plan.layers],
        "steps": [torch.from_numpy(values).to(torch.float32) for values in steps],
    }


class GridLearner(Learner):
    """The network on the grid: latent weights, and Adam with a rate relative to each layer's."""

    module: FakeQuantised

    def __init__(
        self, architecture: Architecture, planned: dict[str, Any], options: TrainOptions
    ) -> None:
        """``planned``: by ``plan_on_grid``; the learner begins with the plan's weights."""
        self._architecture = architecture
        layers = tuple(
            LayerPlan(scale=scale.numpy(), sent=sent.numpy())
            for scale, sent in zip(planned["scales"], planned["sent"], strict=True)
        )
        self.input_scale = planned["input_gain"] * _GRID.message_step
        self._output_scale = layers[-1].scale
        blank = {name: np.zeros(shape, np.float32) for name, shape in architecture.kernels.items()}
        height, width = planned["size"]
        graph = graph_of_posenet(blank, self.input_scale, (height, width))
        noise = PlannedNoise(*np.zeros((2, len(layers))))
        plan = RangePlan(planned["input_gain"], 1.0, _GRID, layers, noise, _HEADROOM)
        self.module = FakeQuantised(graph, plan, round_nearest(graph, plan), near_limit=_NEAR_LIMIT)
        self.module.start_from(planned["steps"])
        self.optimizer = adam(self.module.latent)
        self._options = options
        self._rates = self.module.rates(_RATE)

    def rates(self, step: int, progress: float) -> list[float]:
        """A cosine over the part on the grid, to zero: weights stop switching between steps."""
        share = self._options.aware_share
        done = min(max((progress - (1 - share)) / share, 0.0), 1.0)
        return [rate * cosine(done) for rate in self._rates]

    def maps(
        self,
        module: nn.Module,
        frames: Tensor,
        reads: Reads | None = None,
        sends: Sends | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The maps of the network on the grid, and the penalty of its ranges."""
        slope = self._options.output_slope
        maps, penalty = module(frames, output_slope=slope, reads=reads, sends=sends)
        return maps, penalty

    def after_step(self, pruned: float) -> None:
        """Clamp the weights to 8 bits and prune those of hidden layers."""
        self.module.clamp()
        hidden = range(1, len(self.module.layers) - 1)
        prune((self.module.latent_of(index)[0] for index in hidden), pruned)  # not the skips

    def network(self) -> PoseNet:
        """The integers of the grid as a float network."""
        network = PoseNet.from_weights(self._weights())
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _weights(self) -> Weights:
        weights = {}
        layers = self._architecture.layers
        for layer, rounded in zip(layers, self.module.rounded(), strict=True):
            names = (layer.name,) if layer.skip is None else (layer.name, layer.skip_name)
            for name, steps in zip(names, rounded.steps, strict=True):
                values = steps * (WEIGHT_STEP / UNITS)
                if layer is layers[-1]:
                    values = values / output_channel_view(rounded.layer, self._output_scale)
                weights[name] = values.astype(np.float32)
        return weights


def graph_of_posenet(weights: Weights, input_scale: float, size: Pair) -> Graph:
    """The pose network as a graph for frames of ``size`` (height, width)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(path, weights, input_scale)
        return read_onnx(path, input_size=size)


def with_powers_of_two(plan: RangePlan) -> RangePlan:
    """``plan`` with the last layer's scales lowered to powers of two with room for maps."""
    last = plan.layers[-1]
    largest = plan.grid.message_limit / _LARGEST_MAP
    scale = 2.0 ** np.floor(np.log2(np.minimum(last.scale, largest)))
    lowered = replace(last, scale=scale, sent=last.sent * (scale / last.scale))
    return replace(plan, layers=(*plan.layers[:-1], lowered))


def _weighted(sensitivity: Sensitivity) -> Sensitivity:
    layers = tuple(
        replace(layer, message=layer.message * _MESSAGE_WEIGHT) for layer in sensitivity.layers
    )
    return replace(sensitivity, layers=layers)
