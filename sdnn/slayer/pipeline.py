"""slayer's messages when every layer takes a time step, as on the chip and in lava-nc.

There layers run side by side: every layer starts in the first time step, and layer l (from 0) gets
the first frame's messages in step l + 2. Until then its bias alone drives it. One silent step
before each layer's input has the same effect.

This module imports lava; import it only where slayer is used.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ann2sdnn.sdnn.slayer.backend import slayer_layers
from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import NeuronModel
from ann2sdnn.support.frame_check import check_frames

_CHUNK_STEPS = 4


def pipelined_messages(
    network: SigmaDeltaNetwork, inputs: Tensor, neuron: NeuronModel = "corrected"
) -> Iterator[Tensor]:
    """For each layer l the messages [T + l + 1, C, H, W] of time steps 1 to T + l + 1.

    ``inputs`` [T, C, H, W]: the input's messages. The last entry answers the last input.
    """
    messages = inputs
    for layer in slayer_layers(network, neuron):
        messages = torch.cat([torch.zeros_like(messages[:1]), messages])
        with torch.no_grad():
            chunks = [
                layer(chunk.movedim(0, -1)[None])[0].movedim(-1, 0)
                for chunk in torch.split(messages, _CHUNK_STEPS)
            ]
        messages = torch.cat(chunks)
        yield messages


def input_messages(network: SigmaDeltaNetwork, frames: Tensor) -> Tensor:
    """The input's messages for uint8 ``frames`` [T, C, H, W]: the change of every pixel.

    Raises DataError for frames of another shape or type.
    """
    check_frames(frames, network.input_shape)
    values = frames.to(torch.float32) * network.input_step
    return torch.cat([values[:1], values[1:] - values[:-1]])
