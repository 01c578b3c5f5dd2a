"""A converted network as something to be diagnosed: the one that `train-sdnn` trains.

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.subject import UNITS, SlayerStage
from ann2sdnn.sdnn.training.network import TrainableSdnn, TrainingLayer


class SpecSubject:
    """A spec, its weights and thresholds ready to be trained through slayer.

    ``network`` may have learned something already, as in a checkpoint. Raises UsageError for a
    memoryless layer, which slayer has not.
    """

    sends_deltas = True
    event_cost = 0.0

    def __init__(self, network: TrainableSdnn) -> None:
        self.name = "conversion"
        self.network = network
        asked = {one.name: one.threshold for one in network.spec.layers}
        step = network.spec.grid.threshold_step
        self.stages = [SpecStage(one, asked[one.layer.name] * step) for one in network.trained]

    def encode(self, frames: Tensor) -> Tensor:
        """Changes of the pixels, in the network's units."""
        self.network.begin(*frames.shape[2:4])
        values = frames * 255 * self.network.input_step
        return values.diff(dim=-1, prepend=torch.zeros_like(values[..., :1]))

    def readout(self, messages: Tensor) -> Tensor:
        """Decoded heat maps, in the original network's units."""
        scale = self.network.get_buffer("output_scale")
        return messages.cumsum(dim=-1) / scale[..., None]

    def clipped_inputs(self, frames: Tensor) -> float:
        """A spec's input is exact."""
        return 0.0

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What is trained."""
        return (one for one in self.network.parameters() if one.requires_grad)

    def reset(self) -> None:
        """Start a new run of frames; ``encode`` does the rest."""
        for layer in self.network.trained:
            layer.neuron.delta.sent = None


class SpecStage(SlayerStage):
    """A layer of the converted network, its pooling inside the neuron."""

    def __init__(self, layer: TrainingLayer, asked_threshold: float) -> None:
        kind = layer.layer.geometry.netx_type
        assert kind is not None, "slayer has a block for each layer that it trains"
        super().__init__(layer.layer.name, kind, layer.block, asked_threshold)
        self.layer = layer

    def run(self, messages: Tensor) -> Tensor:
        """Messages out for the messages of a run's first frames."""
        received = messages.cumsum(dim=-1).permute(0, 4, 2, 3, 1).contiguous()
        sent = self.by_time(self.layer(received))
        return sent.diff(dim=-1, prepend=torch.zeros_like(sent[..., :1]))

    def by_time(self, values: Tensor) -> Tensor:
        """The network that learns has [N, T, H, W, C]."""
        return values.permute(0, 4, 2, 3, 1)

    def levels(self) -> Tensor:
        """The weights as they would be written."""
        return self.layer.quantised().detach() * UNITS

    def threshold(self) -> tuple[float, float]:
        """The rounded threshold; lava's grid is that of the spec or coarser."""
        delta = self.layer.neuron.delta
        in_force = delta.threshold_units * delta.threshold_step
        return in_force, int(in_force * UNITS) / UNITS
