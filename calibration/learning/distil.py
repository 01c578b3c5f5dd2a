"""Distillation: integer weights learn to reproduce the float network's outputs, without labels.

Weights and messages are on the grid in the forward pass (``fake_quantise``). The loss is the
squared error of the output over the energy of the float network's output, plus a range penalty for
states and messages near their limits; several outputs are weighted by their own energies. Adam's
learning rate is relative to each layer's weights, on a cosine over the time given. The result is
the candidate with the least error on held-out frames; the weights before distillation are one of
the candidates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised
from ann2sdnn.calibration.learning.options import DistilOptions
from ann2sdnn.calibration.learning.windows import window, windows_of
from ann2sdnn.calibration.measure.outputs import Weights, by_value, output_weights
from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, Rounded, range_used_by_frames
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.progress import SILENT, Reporter
from ann2sdnn.support.training.fabric import Stepper, adam, fabric_on
from ann2sdnn.support.training.schedule import Clock, cosine, warm_up

_NEAR_LIMIT = 1.1  # the penalty begins at the limits over this
_CHECKS = 8
_WARM_UP = 20  # steps


@dataclass(frozen=True)
class DistilResult:
    """Outcome of a distillation; errors are relative output errors on the held-out frames."""

    error_before: float
    error_after: float
    steps: int


def distil(
    graph: Graph,
    plan: RangePlan,
    rounded: Rounded,
    *,
    frames: Sequence[Tensor],
    held_out: Sequence[Tensor],
    options: DistilOptions,
    reporter: Reporter = SILENT,
) -> tuple[Rounded, DistilResult]:
    """Train ``rounded`` on ``frames`` and choose on ``held_out`` (both uint8 [C, H, W] each).

    Raises ConversionError where the float network's output is 0 on all held-out frames.
    """
    targets = FloatNetwork(graph)
    weights = output_weights(graph, held_out)
    network = FakeQuantised(graph, plan, rounded, near_limit=_NEAR_LIMIT)
    student = _Student(network, options.rate, weights)
    before = best_error = relative_error(graph, plan, rounded, held_out)
    best = rounded
    generator = torch.Generator().manual_seed(options.seed)
    size = windows_of(graph, options.variety)
    clock = Clock(options.steps, options.minutes if options.steps is None else None)
    step, reported, next_check = 0, 0, 1 / _CHECKS
    with reporter.task("Distillation", 100, "%") as task:
        while clock.progress(step) < 1:
            pictures = [
                window(frames, options.variety, generator, size) for _ in range(options.batch)
            ]
            for shape in {picture.shape for picture in pictures}:
                batch = torch.stack([p for p in pictures if p.shape == shape])
                factor = cosine(clock.progress(step)) * warm_up(step, _WARM_UP)
                student.learn(batch, targets(targets.encode(batch)), factor)
            step += 1
            progress = min(clock.progress(step), 1.0)
            task.advance(int(100 * progress) - reported, f"error {best_error:.4f}")
            reported = int(100 * progress)
            if progress >= next_check:
                next_check = (math.floor(progress * _CHECKS) + 1) / _CHECKS
                candidate = student.network.rounded()
                error = relative_error(graph, plan, candidate, held_out)
                fits = range_used_by_frames(graph, plan, candidate, held_out) <= 1
                if fits and error < best_error:
                    best, best_error = candidate, error
    return best, DistilResult(before, best_error, step)


def relative_error(
    graph: Graph, plan: RangePlan, rounded: Rounded, frames: Sequence[Tensor]
) -> float:
    """sqrt(sum |quantised - float|^2 / sum |float|^2) of the weighted outputs over ``frames``.

    Raises ConversionError where the float network's output is 0 in all of them.
    """
    ann, quantised = FloatNetwork(graph), QuantisedNetwork(graph, plan, rounded)
    weight = by_value(output_weights(graph, frames), graph.output_shapes)
    error = energy = 0.0
    for frame in frames:
        target = ann(ann.encode(frame[None]))
        error += float(((quantised(frame[None]) - target) * weight).square().sum())
        energy += float((target * weight).square().sum())
    if energy == 0:
        raise ConversionError(
            f"the network's output is 0 on all {len(frames)} frames that distillation is checked"
            " on; calibrate on other frames, or leave --distil out"
        )
    return math.sqrt(error / energy)


class _Student:
    """The quantised network with latent weights that learn."""

    def __init__(self, network: FakeQuantised, rate: float, weights: Weights) -> None:
        """``weights``: of the outputs."""
        self.network, self.weights = network, weights
        self.rates = self.network.rates(rate)
        self.stepper = Stepper(fabric_on("cpu"), self.network, adam(self.network.latent))
        self.energy = self.norm = 0.0

    def learn(self, frames: Tensor, target: Tensor, factor: float) -> None:
        """Make a step towards ``target`` for ``frames`` [N, C, H, W] uint8.

        ``factor``: of the learning rates.
        """
        output, penalty = self.stepper.module(frames)
        weight = self._by_value(frames)
        # Over a running mean, so that pictures with little in them count for little.
        self.energy = _running(self.energy, float((target * weight).square().sum()))
        loss = ((output - target) * weight).square().sum() / max(self.energy, 1e-12) + penalty
        self.stepper.set_rates([rate * factor for rate in self.rates])
        # No step counts for more than twice a usual one.
        limit = 2 * self.norm if self.norm > 0 else math.inf
        norm = min(self.stepper.step(loss, max_norm=limit), limit)
        self.norm = _running(self.norm, norm)
        self.network.clamp()

    def _by_value(self, frames: Tensor) -> Tensor:
        """The weights of the output for ``frames``, whose size may differ from the graph's."""
        graph = self.network.graph
        if len(self.weights) > 1:
            graph = resized(graph, (frames.shape[2], frames.shape[3]))
        return by_value(self.weights, graph.output_shapes)


def _running(mean: float, value: float) -> float:
    return value if mean == 0 else 0.95 * mean + 0.05 * value
