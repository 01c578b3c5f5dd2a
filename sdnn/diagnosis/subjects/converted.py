"""A conversion, or a checkpoint of its training by `train-sdnn`, as a subject.

This module imports lava.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ann2sdnn.sdnn.diagnosis.subjects.subject import UNITS, SlayerStage, Subject
from ann2sdnn.sdnn.training.layer import TrainingLayer
from ann2sdnn.sdnn.training.network import TrainableSdnn
from ann2sdnn.support.errors import UsageError


class SpecSubject(Subject):
    """A conversion that slayer trains, with the weights and thresholds of ``network``.

    Raises UsageError for one that takes float32 frames.
    """

    name = "conversion"
    sends_deltas = True
    event_cost = 0.0

    def __init__(self, network: TrainableSdnn) -> None:
        if network.spec.preprocessing.dtype != "uint8":
            raise UsageError(
                "the conversion takes float32 frames; only a conversion for uint8 frames can be"
                " diagnosed, so convert the network for those"
            )
        self.network = network
        asked = {layer.name: layer.threshold for layer in network.spec.layers}
        step = network.spec.grid.threshold_step
        self.stages = [SpecStage(one, asked[one.layer.name] * step) for one in network.trained]

    @property
    def reads(self) -> Sequence[Sequence[int]]:
        """As in the spec."""
        return self.network.spec.reads

    @property
    def output_planes(self) -> tuple[int, ...]:
        """As in the spec."""
        return self.network.spec.output_planes

    def encode(self, frames: Tensor) -> Tensor:
        """Changes of the pixels, in the network's units."""
        self.network.begin(*frames.shape[2:4])
        counts = (frames * 255).movedim(-1, 1)  # [N, T, C, H, W]
        code, step = self.network.spec.input_code, self.network.spec.grid.message_step
        values = code.entering(counts if code.is_plain else counts.round(), step).movedim(1, -1)
        return values.diff(dim=-1, prepend=torch.zeros_like(values[..., :1]))

    def readout(self, messages: Tensor) -> Tensor:
        """Decoded outputs, in the original network's units."""
        scale = self.network.get_buffer("output_scale")
        return messages.cumsum(dim=-1) / scale[..., None]

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Weights, biases and thresholds that are not fixed."""
        return (one for one in self.network.parameters() if one.requires_grad)

    def reset(self) -> None:
        """Forget what the delta units sent; ``encode`` resets the rest."""
        for layer in self.network.trained:
            layer.neuron.delta.sent = None


class SpecStage(SlayerStage):
    """A layer of a conversion; its pooling is inside the neuron."""

    def __init__(self, layer: TrainingLayer, asked_threshold: float) -> None:
        kind = layer.layer.geometry.netx_type
        assert kind is not None, "slayer has a block for each layer that it trains"
        super().__init__(layer.layer.name, kind, layer.block, asked_threshold)
        self.layer = layer

    def run(self, arriving: Sequence[Tensor]) -> Tensor:
        """The messages sent for those of the first frames of a sequence."""
        received = [
            messages.cumsum(dim=-1).permute(0, 4, 2, 3, 1).contiguous() for messages in arriving
        ]
        sent = self.by_time(self.layer(received))
        self.layer.neuron.near = ()  # as large as all that the layer computes
        return sent.diff(dim=-1, prepend=torch.zeros_like(sent[..., :1]))

    def by_time(self, values: Tensor) -> Tensor:
        """The training network has the layout [N, T, H, W, C]."""
        return values.permute(0, 4, 2, 3, 1)

    def weight(self) -> Tensor:
        """The latent weights of all synapses, flat."""
        return torch.cat([one.weight.detach().flatten() for one in self.layer.synapses])

    def levels(self) -> Tensor:
        """The weights as they would be exported, flat."""
        return UNITS * torch.cat(
            [one.quantised().detach().flatten() for one in self.layer.synapses]
        )

    def used_weights(self) -> tuple[Tensor, ...]:
        """The latent weights of all synapses."""
        return tuple(one.weight for one in self.layer.synapses)

    def experiment_gradient(self) -> float:
        """lava-dl's number, over the weights of all synapses."""
        gradients = [one.grad for one in self.used_weights() if one.grad is not None]
        return math.hypot(*(float(one.norm()) for one in gradients)) / self.weight().numel()

    def threshold(self) -> float:
        """The threshold, rounded to the grid of the spec."""
        delta = self.layer.neuron.delta
        return float(delta.threshold_units * delta.threshold_step)
