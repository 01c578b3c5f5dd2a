"""slayer's messages when every layer takes a time step, as on the chip and in lava-nc.

There layers run side by side: every layer starts in the first time step, and layer l (from 0) gets
the first frame's messages in step l + 2. Until then its bias alone drives it. One silent step
before each layer's input has the same effect.

This module imports lava; import it only where slayer is used.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ann2sdnn.sdnn.engine.run import input_messages
from ann2sdnn.sdnn.slayer.backend import slayer_layers
from ann2sdnn.sdnn.spec.grid import NeuronModel
from ann2sdnn.sdnn.spec.network import network_from_spec
from ann2sdnn.sdnn.spec.spec import Spec

_CHUNK_STEPS = 4


def pipelined_messages(
    spec: Spec, frames: Tensor, neuron: NeuronModel = "corrected"
) -> Iterator[Tensor]:
    """For each layer l the messages [T + l + 1, C, H, W] of time steps 1 to T + l + 1.

    ``frames`` [T, C, H, W]; the last entry answers the last frame. Raises DataError for frames that
    the network does not take, and ValueError for a network that is no chain: its messages would
    arrive at different times.
    """
    if not spec.is_chain:
        raise ValueError("a pipeline of a network with branches")
    messages = torch.from_numpy(input_messages(spec, frames)) * spec.grid.message_step
    for layer in slayer_layers(network_from_spec(spec), neuron):
        messages = torch.cat([torch.zeros_like(messages[:1]), messages])
        with torch.no_grad():
            chunks = [
                layer([chunk.movedim(0, -1)[None]])[0].movedim(-1, 0)
                for chunk in torch.split(messages, _CHUNK_STEPS)
            ]
        messages = torch.cat(chunks)
        yield messages
