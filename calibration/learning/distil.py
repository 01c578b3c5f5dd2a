r"""Distillation: the integer weights learn to answer as the float network does, without labels.

Weights and messages are on the grid in the forward pass (learning/fake_quantise.py). The loss is
the squared error of the output over the energy of the float network's, plus a hinge on states and
messages that come near their limits. Adam with a learning rate relative to each layer's weights, on
a cosine over the time given; the best on held-out frames is kept, and what it starts from is one of
the candidates.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ann2sdnn.calibration.learning.fake_quantise import FakeQuantised
from ann2sdnn.calibration.learning.windows import Variety, window, windows_of
from ann2sdnn.calibration.rounding.rounded import QuantisedNetwork, Rounded, range_used_by_frames
from ann2sdnn.calibration.scales.plan import RangePlan
from ann2sdnn.graph.layers import Graph
from ann2sdnn.graph.operations import FloatNetwork
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.options.fields import CheckedOptions, number, random_seed
from ann2sdnn.support.options.limits import MOST_MINUTES
from ann2sdnn.support.progress import SILENT, Reporter

_NEAR_LIMIT = 1.1  # limits over this are where the hinge begins
_CHECKS = 8


@dataclass(frozen=True)
class DistilOptions(CheckedOptions):
    """Stops after ``minutes`` or ``steps``, whichever comes first. ``rate``: of the weights' root
    mean square a step, at the beginning.
    """

    minutes: float = number(8.0, above=0, at_most=MOST_MINUTES, unit="minutes", option="--distil")
    steps: int | None = number(None, at_least=1, at_most=10**8, option="--distil-steps")
    rate: float = number(2.5e-3, above=0, at_most=1000)
    batch: int = number(2, at_least=1, at_most=4096)
    seed: int = random_seed(0)
    variety: Variety = field(default_factory=Variety)


@dataclass(frozen=True)
class DistilResult:
    """Relative output errors on the held-out frames before and after, NaN where the float network
    is silent on them, and the steps made.
    """

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
    """Fine-tune ``rounded`` on ``frames``; ``held_out`` decides (both uint8 [C, H, W] each)."""
    targets = FloatNetwork(graph)
    student = _Student(graph, plan, rounded, options.rate)
    before = best_error = relative_error(graph, plan, rounded, held_out)
    best = rounded
    generator = torch.Generator().manual_seed(options.seed)
    size = windows_of(graph, options.variety)
    clock = _Schedule(options)
    next_check = 1 / _CHECKS
    with reporter.task("Distillation", 100, "%") as task:
        reported = 0
        while clock.progress < 1:
            pictures = [
                window(frames, options.variety, generator, size) for _ in range(options.batch)
            ]
            for shape in {picture.shape for picture in pictures}:
                batch = torch.stack([p for p in pictures if p.shape == shape])
                student.learn(batch, targets(targets.encode(batch)), clock.rate)
            clock.steps += 1
            progress = clock.progress
            task.advance(int(100 * min(progress, 1)) - reported, f"error {best_error:.4f}")
            reported = int(100 * min(progress, 1))
            if progress >= next_check:
                next_check = (math.floor(progress * _CHECKS) + 1) / _CHECKS
                candidate = student.rounded()
                error = relative_error(graph, plan, candidate, held_out)
                fits = range_used_by_frames(graph, plan, candidate, held_out) <= 1
                if fits and error < best_error:
                    best, best_error = candidate, error
    return best, DistilResult(before, best_error, clock.steps)


def relative_error(
    graph: Graph, plan: RangePlan, rounded: Rounded, frames: Sequence[Tensor]
) -> float:
    """sqrt(sum |quantised - float|^2 / sum |float|^2) of the outputs over ``frames``.

    Raises ConversionError where the float network's output is 0 in all of them.
    """
    ann, quantised = FloatNetwork(graph), QuantisedNetwork(graph, plan, rounded)
    error = energy = 0.0
    for frame in frames:
        wanted = ann(ann.encode(frame[None]))
        error += float((quantised(frame[None]) - wanted).square().sum())
        energy += float(wanted.square().sum())
    if energy == 0:
        raise ConversionError(
            f"the network's output is 0 on all {len(frames)} frames that distillation is checked"
            " on; calibrate on other recordings, or leave --distil out"
        )
    return math.sqrt(error / energy)


class _Schedule:
    """A cosine over wall-clock time or steps, with a short warm-up."""

    def __init__(self, options: DistilOptions) -> None:
        self.options = options
        self.steps = 0
        self._started = time.monotonic()

    @property
    def progress(self) -> float:
        """0 at the beginning, 1 at the end."""
        by_time = (time.monotonic() - self._started) / (60 * self.options.minutes)
        by_steps = 0.0 if self.options.steps is None else self.steps / self.options.steps
        return max(by_time if self.options.steps is None else 0.0, by_steps)

    @property
    def rate(self) -> float:
        """What the learning rates are multiplied with."""
        cosine = 0.5 * (1 + math.cos(math.pi * min(self.progress, 1.0)))
        return cosine * min(1.0, (self.steps + 1) / 20)


class _Student:
    """The quantised network with latent weights that learn."""

    def __init__(self, graph: Graph, plan: RangePlan, rounded: Rounded, rate: float) -> None:
        self.network = FakeQuantised(graph, plan, rounded, near_limit=_NEAR_LIMIT)
        self.rates = self.network.rates(rate)
        self.optimiser = torch.optim.Adam(
            [
                {"params": [weight], "lr": own}
                for weight, own in zip(self.network.latent, self.rates, strict=True)
            ],
            betas=(0.9, 0.99),
        )
        self.energy = self.norm = 0.0

    def learn(self, frames: Tensor, wanted: Tensor, rate: float) -> None:
        """One step towards ``wanted`` for ``frames`` [N, C, H, W] uint8."""
        output, over = self.network(frames)
        energy = float(wanted.square().sum())
        # Pictures with little in them count for little.
        self.energy = energy if self.energy == 0 else 0.95 * self.energy + 0.05 * energy
        loss = (output - wanted).square().sum() / max(self.energy, 1e-12) + over
        for group, own in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = own * rate
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._clip()
        self.optimiser.step()
        self.network.clamp()

    def _clip(self) -> None:
        """No step counts for more than twice a usual one."""
        limit = 2 * self.norm if self.norm > 0 else math.inf
        parameters = self.network.parameters()
        norm = min(float(torch.nn.utils.clip_grad_norm_(parameters, limit)), limit)
        self.norm = norm if self.norm == 0 else 0.95 * self.norm + 0.05 * norm

    def rounded(self) -> Rounded:
        """The layers with the latent weights rounded."""
        return self.network.rounded()
