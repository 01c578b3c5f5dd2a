"""What the trainer steps: a module that learns, and the network it stands for.

Most of a training it is the float network itself. A final stage, given by whoever starts the
training, may replace it by another: ``convert.aware`` puts the weights on lava's grid.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.data.recordings.recording import Recording
from ann2sdnn.support.progress import Reporter

# A module called with (frames, output_slope): the learner's own, or Fabric's wrapping of it.
Module = torch.nn.Module


class Learner(Protocol):
    """A module, its optimizer, and the network that they stand for."""

    @property
    def module(self) -> Module:
        """What learns; its state dict is all that has been learned."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of the module's parameters."""

    @property
    def input_scale(self) -> float:
        """What a uint8 frame is multiplied with before the network sees it."""

    def set_rate(self, step: int, progress: float) -> None:
        """Set the learning rates for step ``step``, with the share ``progress`` of the run done."""

    def maps(self, module: Module, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Heat maps [N, 13, H, W] for uint8 frames [N, 1, H, W] from ``module``, the learner's own
        as Fabric has wrapped it; and what is added to their loss.
        """

    def after_step(self) -> None:
        """Called when the optimizer has changed the module's parameters."""

    def network(self) -> PoseNet:
        """The network as it would be exported now."""


class FinalStage(Protocol):
    """The last part of a training, in which another module learns."""

    def begin(
        self,
        network: PoseNet,
        input_scale: float,
        recordings: Sequence[Recording],
        options: TrainOptions,
        reporter: Reporter,
    ) -> dict[str, Any]:
        """Everything the stage needs to begin with the trained ``network``: tensors, numbers and
        strings, which are kept with the run. ``recordings``: of the training side.
        """

    def learner(self, begun: dict[str, Any], options: TrainOptions) -> Learner:
        """The learner that ``begin`` stands for; the same one whenever it is made."""


class FloatLearner:
    """The network with its float weights, and RMSprop as in the DHP19 paper's code."""

    def __init__(self, network: PoseNet, input_scale: float, options: TrainOptions) -> None:
        # Channels last is what CPU and tensor-core convolutions work in.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.module = network
        self.input_scale = input_scale
        self._options = options
        self.optimizer: torch.optim.Optimizer = torch.optim.RMSprop(
            network.parameters(), options.learning_rate, alpha=0.9, eps=1e-7
        )

    def set_rate(self, step: int, progress: float) -> None:
        """The same rate for every weight."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._options.learning_rate_at(step, progress)

    def maps(self, module: Module, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's maps, at no other cost."""
        maps = module(frames.float() * self.input_scale, output_slope=self._options.output_slope)
        return maps, torch.zeros((), device=frames.device)

    def after_step(self) -> None:
        """Float weights may be anything."""

    def network(self) -> PoseNet:
        """The network itself."""
        return self.module
