"""The SDNN that learns, layer by layer of slayer blocks.

Only what was sent is carried from chunk to chunk, detached.

This module imports lava; import it only where slayer is going to be used.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ann2sdnn.graph.geometry import Shape
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.layer import TrainingLayer
from ann2sdnn.sdnn.training.neuron import excess_of
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.frame_check import check_frames


class Pass(NamedTuple):
    """Results for a chunk of T frames of N runs; the first three have gradients."""

    maps: Tensor
    """Decoded outputs in the original network's units [N, T, O, H, W]."""
    operations: Tensor
    """Synaptic operations [N, T]."""
    excess: Tensor
    """Range penalty."""
    sent: tuple[tuple[Tensor, Tensor], ...]
    """Per input and layer, the sum of its messages before the chunk [N, H, W, C] and after each
    frame [N, T, H, W, C]."""

    def messages(self) -> tuple[Tensor, ...]:
        """Messages of the input and each layer, in slayer's layout [N, C, H, W, T]."""
        return tuple(
            torch.diff(reached, dim=1, prepend=before[:, None]).permute(0, 4, 2, 3, 1)
            for before, reached in self.sent
        )


class TrainableSdnn(nn.Module):
    """A spec whose weights, biases and thresholds learn.

    Relays do not learn, nor does the last threshold, which saves no operation. Raises UsageError
    for a spec with memoryless layers.
    """

    output_scale: Tensor  # a buffer

    def __init__(self, spec: Spec, *, output_slope: float = 0.1) -> None:
        super().__init__()
        if spec.memoryless_layers:
            raise UsageError(
                f"{spec.memoryless_layers[0]} is memoryless, which slayer's layers are not; train a"
                " conversion made with --memory all"
            )
        network = network_from_spec(spec)
        last = len(spec.layers) - 1
        self.spec = spec
        self.layers = nn.ModuleList(
            TrainingLayer(layer, spec.grid, output_slope if index == last else None)
            for index, layer in enumerate(network.layers)
        )
        self.trained[-1].neuron.delta.threshold.requires_grad_(False)
        self.register_buffer("output_scale", network.output_scale, persistent=False)

    @property
    def trained(self) -> tuple[TrainingLayer, ...]:
        """The layers."""
        return tuple(layer for layer in self.layers if isinstance(layer, TrainingLayer))

    def begin(self, height: int, width: int) -> None:
        """Reset all states and prepare for frames of this size.

        Raises UsageError for another size than the spec's where a layer is dense.
        """
        shape: Shape = (self.spec.input_shape[0], height, width)
        if shape != self.spec.input_shape and any(layer.is_dense for layer in self.trained):
            raise UsageError(
                f"a network with dense layers takes whole frames only; its {height}x{width} windows"
                " need --crop none"
            )
        self._shape = shape
        self._seen: Tensor | None = None
        for layer in self.trained:
            layer.neuron.delta.sent = None
            shape = layer.begin(shape)
        channels, height, width = shape
        self._nothing = self.output_scale.new_zeros(height, width, channels)
        self.count_weights()

    def count_weights(self) -> None:
        """Update the operations per message to the current weights."""
        costs = [layer.operations_per_message() for layer in self.trained]
        self._input_fan_out = costs[0]
        for layer, cost in zip(self.trained, (*costs[1:], self._nothing), strict=True):
            layer.neuron.delta.fan_out = cost

    def prune(self, share: float) -> None:
        """Set the smallest ``share`` of the weights of each inner layer to 0."""
        for layer in self.trained[1:-1]:
            layer.prune(share)

    def forward(self, frames: Tensor) -> Pass:
        """Run the next frames [N, C, H, W, T], of the spec's type and the size given to ``begin``.

        Raises DataError for frames of another shape or type, and for T = 0.
        """
        if frames.ndim != 5 or frames.shape[-1] == 0:
            raise DataError(
                f"frames of shape {list(frames.shape)}; expected [N, C, H, W, T], T of 1 or more"
            )
        check_frames(frames[..., 0], self._shape, self.spec.preprocessing.dtype)
        step = self.spec.grid.message_step
        entered = self.spec.input_code.entering(frames.movedim(-1, 1), step)  # [N, T, C, H, W]
        reached = entered.permute(0, 1, 3, 4, 2).contiguous()
        before = torch.zeros_like(reached[:, 0]) if self._seen is None else self._seen
        self._seen = reached[:, -1]
        changed = torch.diff(reached, dim=1, prepend=before[:, None]) != 0
        operations = changed.flatten(2).to(torch.float32) @ self._input_fan_out.flatten()
        sent, near = [(before, reached)], list[tuple[Tensor, float]]()
        for layer in self.trained:
            reached = layer(reached)
            operations = operations + layer.neuron.delta.operations
            near.extend(layer.neuron.near)
            sent.append((layer.neuron.delta.before, reached))
        maps = reached.permute(0, 1, 4, 2, 3) / self.output_scale
        return Pass(maps, operations, excess_of(near), tuple(sent))

    def to_spec(self) -> Spec:
        """The spec that was learned so far."""
        pairs = zip(self.trained, self.spec.layers, strict=True)
        return replace(self.spec, layers=tuple(layer.to_spec(old) for layer, old in pairs))
