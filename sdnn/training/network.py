"""The SDNN that learns, layer by layer of slayer blocks.

Only what was sent is carried from chunk to chunk, detached.

This module imports lava; import it only where slayer is going to be used.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ann2sdnn.graph.cropping import resized
from ann2sdnn.graph.planes import Planes, joined
from ann2sdnn.sdnn.spec.input_code import held
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.layer import TrainingLayer
from ann2sdnn.sdnn.training.neuron import by_frame, excess_of
from ann2sdnn.support.errors import DataError, ModelError, UsageError
from ann2sdnn.support.frame_check import check_frames


class Pass(NamedTuple):
    """Results for a chunk of T frames of N runs; the first three have gradients."""

    maps: Tensor
    """Decoded outputs in the original network's units [N, T, O, H, W]; of several outputs the
    values of all after each other [N, T, K, 1, 1]."""
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

    Relays do not learn, nor do thresholds of layers that no other reads, as these save no
    operation. Raises UsageError for a spec with memoryless layers.
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
        self.spec = spec
        self.layers = nn.ModuleList(
            TrainingLayer(layer, spec.grid, output_slope if plane in spec.output_planes else None)
            for plane, layer in enumerate(network.layers, 1)
        )
        for layer, readers in zip(self.trained, spec.readers[1:], strict=True):
            if not readers:
                layer.neuron.delta.threshold.requires_grad_(False)
        self.register_buffer("output_scale", network.output_scale, persistent=False)

    @property
    def trained(self) -> tuple[TrainingLayer, ...]:
        """The layers."""
        return tuple(layer for layer in self.layers if isinstance(layer, TrainingLayer))

    def begin(self, height: int, width: int) -> None:
        """Reset all states and prepare for frames of this size.

        Raises UsageError for a size that the network does not take, as where a layer is dense.
        """
        spec = self.spec
        if (height, width) != spec.input_shape[1:]:
            try:
                spec = resized(spec, (height, width))
            except ModelError as error:
                raise UsageError(
                    f"windows of {height}x{width} pixels: {error}; train on whole frames with"
                    " --crop none"
                ) from error
        self._shapes = spec.plane_shapes
        # Of several outputs there is one number per value.
        scale = torch.from_numpy(spec.output_scale)[:, None, None]
        self.output_scale = scale.to(self.output_scale)
        self._seen: Tensor | None = None
        for layer, planes in zip(self.trained, spec.reads, strict=True):
            layer.neuron.delta.sent = None
            layer.begin([self._shapes[plane] for plane in planes])
        self.count_weights()

    def count_weights(self) -> None:
        """Update the operations per message to the current weights."""
        self._input_fan_out, *fan_outs = map(self._fan_out, range(len(self._shapes)))
        for layer, fan_out in zip(self.trained, fan_outs, strict=True):
            layer.neuron.delta.fan_out = fan_out

    def _fan_out(self, plane: int) -> Tensor:
        """Operations per message of each neuron of ``plane`` [H, W, C], in all that read it."""
        costs = [
            self.trained[layer].synapses[number].operations_per_message()
            for layer, number in self.spec.readers[plane]
        ]
        if costs:
            return sum(costs[1:], costs[0])
        channels, height, width = self._shapes[plane]
        return self.output_scale.new_zeros(height, width, channels)

    def prune(self, share: float) -> None:
        """Set the smallest ``share`` of the weights of each synapse to 0.

        Synapses that read the input, those of output layers and shortcuts keep theirs: an identity
        has one weight per channel, without which it is none.
        """
        for plane, (layer, sources) in enumerate(
            zip(self.trained, self.spec.reads, strict=True), 1
        ):
            if plane in self.spec.output_planes:
                continue
            for number, source in enumerate(sources):
                if source > 0 and number not in layer.layer.shortcuts:
                    layer.synapses[number].prune(share)

    def forward(self, frames: Tensor) -> Pass:
        """Run the next frames [N, C, H, W, T], of the spec's type and the size given to ``begin``.

        Raises DataError for frames of another shape or type, and for T = 0.
        """
        if frames.ndim != 5 or frames.shape[-1] == 0:
            raise DataError(
                f"frames of shape {list(frames.shape)}; expected [N, C, H, W, T], T of 1 or more"
            )
        check_frames(frames[..., 0], self._shapes[0], self.spec.preprocessing.dtype)
        step = self.spec.grid.message_step
        entered = self.spec.input_code.entering(frames.movedim(-1, 1), step)  # [N, T, C, H, W]
        reached = entered.permute(0, 1, 3, 4, 2).contiguous()
        before = torch.zeros_like(reached[:, 0]) if self._seen is None else self._seen
        reached = self._held(reached, before)
        self._seen = reached[:, -1]
        changed = torch.diff(reached, dim=1, prepend=before[:, None]) != 0
        operations = changed.flatten(2).to(torch.float32) @ self._input_fan_out.flatten()
        sent, near = [(before, reached)], list[tuple[Tensor, float]]()
        planes = Planes(self.spec, reached)
        for layer in self.trained:
            reached = layer(planes.inputs())
            planes.put(reached)
            operations = operations + layer.neuron.delta.operations
            near.extend(layer.neuron.near)
            sent.append((layer.neuron.delta.before, reached))
        outputs = joined([by_frame(output) for output in planes.outputs])
        maps = outputs.reshape(len(frames), -1, *outputs.shape[1:]) / self.output_scale
        return Pass(maps, operations, excess_of(near), tuple(sent))

    def _held(self, entered: Tensor, before: Tensor) -> Tensor:
        """What the receivers of the input have [N, T, H, W, C] for the levels ``entered``."""
        if not self.spec.input_threshold:
            return entered
        threshold = self.spec.input_threshold * self.spec.grid.message_step
        return held(entered.movedim(1, 0), before, threshold).movedim(0, 1).contiguous()

    def outputs(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The network's outputs in ``maps`` [n, O, H, W] or [n, K, 1, 1], in order."""
        if len(self.spec.output_planes) == 1:
            return (maps,)
        sizes = [math.prod(self._shapes[plane]) for plane in self.spec.output_planes]
        return torch.split(maps, sizes, dim=1)

    def to_spec(self) -> Spec:
        """The spec that was learned so far."""
        pairs = zip(self.trained, self.spec.layers, strict=True)
        return replace(self.spec, layers=tuple(layer.to_spec(old) for layer, old in pairs))
