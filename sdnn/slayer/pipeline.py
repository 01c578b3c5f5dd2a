"""What slayer sends when every layer takes a time step, as on the chip and in lava-nc.

Layers run side by side there: layer l starts with the first time step and gets the first frame's
messages in step l + 2. Until then only its bias drives it, so it is not the same as starting with
the first frame. One silent step before each layer's input says exactly that.

This module imports lava; import it only where slayer is going to be used.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ann2sdnn.sdnn.slayer.backend import SlayerBackend
from ann2sdnn.sdnn.spec.network import SigmaDeltaNetwork
from ann2sdnn.sdnn.spec.spec import NeuronModel
from ann2sdnn.support.frame_check import check_frames

_CHUNK_STEPS = 4


def pipelined_messages(
    network: SigmaDeltaNetwork, inputs: Tensor, neuron: NeuronModel = "corrected"
) -> Iterator[Tensor]:
    """For each layer l in turn the messages [T + l + 1, C, H, W] that it sends in time steps
    1 to T + l + 1, for the input's ``inputs`` [T, C, H, W]. The last is its answer to the last one.
    """
    slayer = SlayerBackend(network, count=False, neuron=neuron)
    messages = inputs
    for block in slayer.blocks:
        messages = torch.cat([torch.zeros_like(messages[:1]), messages])
        with torch.no_grad():
            chunks = [
                block(chunk.movedim(0, -1)[None])[0].movedim(-1, 0)
                for chunk in torch.split(messages, _CHUNK_STEPS)
            ]
        messages = torch.cat(chunks)
        yield messages


def input_messages(network: SigmaDeltaNetwork, frames: Tensor) -> Tensor:
    """What the input sends for uint8 ``frames`` [T, C, H, W]: the change of every pixel.

    Raises DataError for frames of another shape or type.
    """
    check_frames(frames, network.input_shape)
    values = frames.to(torch.float32) * network.input_step
    return torch.cat([values[:1], values[1:] - values[:-1]])
