"""Learners: a module that learns, its optimizer, and the pose network that they stand for.

Most of a training the module is the float network itself; in the last part of a conversion-aware
training it is a network on lava's grid (``ann.training.on_grid``).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.ann.training.pruning import prune
from ann2sdnn.calibration.learning.fake_quantise import Reads, Sends


class Learner(ABC):
    """A module that learns, whose state dict is all that has been learned."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    input_scale: float
    """Factor from a uint8 pixel to the input of ``network``."""

    @abstractmethod
    def rates(self, step: int, progress: float) -> list[float]:
        """Learning rate per group of parameters, with the share ``progress`` of the run done."""

    @abstractmethod
    def maps(
        self,
        module: nn.Module,
        frames: Tensor,
        reads: Reads | None = None,
        sends: Sends | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Heat maps [N, 13, H, W] for uint8 frames [N, 1, H, W], and a penalty for their loss.

        ``module``: the learner's own, as Fabric has wrapped it. ``reads`` is called with every
        layer's index and what it reads, which ``sends`` then replaces.
        """

    @abstractmethod
    def after_step(self, pruned: float) -> None:
        """Repair the module after the optimizer has changed its parameters.

        ``pruned``: share of the weights of each hidden layer that are set to 0.
        """

    @abstractmethod
    def network(self) -> PoseNet:
        """The network as it would be exported now."""


class FloatLearner(Learner):
    """The network with its float weights, and RMSprop as in the DHP19 paper's code."""

    def __init__(self, network: PoseNet, input_scale: float, options: TrainOptions) -> None:
        # Convolutions on CPUs and tensor cores work with channels last.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.module: PoseNet = network
        self.input_scale = input_scale
        self.optimizer = torch.optim.RMSprop(
            network.parameters(), options.learning_rate, alpha=0.9, eps=1e-7
        )
        self._options = options

    def rates(self, step: int, progress: float) -> list[float]:
        """The same rate for every weight."""
        return [self._options.learning_rate_at(step, progress)]

    def maps(
        self,
        module: nn.Module,
        frames: Tensor,
        reads: Reads | None = None,
        sends: Sends | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The network's maps, and no penalty."""
        slope = self._options.output_slope
        scaled = frames.float() * self.input_scale
        maps = module(scaled, output_slope=slope, reads=reads, sends=sends)
        return maps, torch.zeros((), device=frames.device)

    def after_step(self, pruned: float) -> None:
        """Prune the hidden layers."""
        hidden = self.module.architecture.layers[1:-1]
        prune((self.module.layers[layer.name].weight for layer in hidden), pruned)

    def network(self) -> PoseNet:
        """The network itself."""
        return self.module
