"""The slayer backend: the network built from lava-dl's sigma-delta blocks.

This module imports lava; import it only where slayer is used.
"""

from math import inf
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.sdnn.engine.exact import ExactLinear, narrow_if_exact
from ann2sdnn.sdnn.engine.run import (
    BackendResult,
    CountsOf,
    MessageCounter,
    blank_result,
    check_is_stateful,
    check_spec_frames,
    with_messages,
)
from ann2sdnn.sdnn.slayer.neuron import Delta, Neuron, slayer
from ann2sdnn.sdnn.spec.grid import Grid, NeuronModel
from ann2sdnn.sdnn.spec.network import SigmaDeltaLayer, SigmaDeltaNetwork
from ann2sdnn.support.errors import ConversionError

blocks = slayer.block.sigma_delta


class SlayerBackend:
    """Runs a network in slayer, ``chunk_frames`` time steps at a time (layout N C H W T).

    Raises UsageError when a layer is memoryless.
    """

    frames_at_once = 8
    counts_of: CountsOf = "converted"

    def __init__(
        self,
        network: SigmaDeltaNetwork,
        *,
        chunk_frames: int = 4,
        neuron: NeuronModel = "corrected",
    ) -> None:
        check_is_stateful(network, "slayer")
        self.network = network
        self.chunk_frames = chunk_frames
        self._encoder = Delta(0.0, None, persistent_state=True)
        self._layers = slayer_layers(network, neuron)
        self._counter = MessageCounter(network)
        self._message_limit = inf if network.grid is None else network.grid.message_limit
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a recording."""
        self._encoder.sent = None
        # The sum of many messages may need more bits than each of them.
        self._decoded = torch.zeros(self.network.output_shape, dtype=torch.float64)
        for layer in self._layers:
            layer.neuron.reset()

    @torch.no_grad()
    def run(self, frames: Tensor, *, keep_messages: bool = False) -> BackendResult:
        """Process frames [T, C, H, W], one after another.

        Raises DataError for frames that the network does not take.
        """
        check_spec_frames(self.network, frames)
        result = blank_result(self.network, len(frames))
        kept: list[list[Tensor]] = [[] for _ in range(len(self._layers) + 1)]
        for start in range(0, len(frames), self.chunk_frames):
            chunk = slice(start, start + self.chunk_frames)
            values = self.network.enter(frames[chunk])
            messages = self._encoder(values.movedim(0, -1)[None])  # [1, C, H, W, T]
            for index, layer in enumerate((*self._layers, None)):
                for t, frame in enumerate(messages[0].movedim(-1, 0).contiguous(), start):
                    result.events[t, index] = self._counter.events(frame)
                    if layer is not None:
                        result.synops[t, index] = self._counter.synops(index, [frame])
                    if keep_messages:
                        kept[index].append(frame)
                if layer is not None:
                    messages = layer(messages)
                    result.overflows[chunk, index] = layer.neuron.sigma.overflows
                    oversized = messages.abs() > self._message_limit
                    result.oversized[chunk, index] = oversized.sum(dim=(0, 1, 2, 3))
            received = torch.cumsum(messages[0].movedim(-1, 0), dim=0, dtype=torch.float64)
            decoded = self._decoded + received
            self._decoded = decoded[-1]
            result.outputs[chunk] = decoded.float() / self.network.output_scale
        return with_messages(result, self.network, kept) if keep_messages else result


def slayer_layers(
    network: SigmaDeltaNetwork, neuron: NeuronModel = "corrected"
) -> list["SlayerLayer"]:
    """The layers of ``network``, each with its own states."""
    return [SlayerLayer(layer, network.grid, stock=neuron == "stock") for layer in network.layers]


class SlayerLayer:
    """One slayer block, run in float64 for the frames on which float32 would round."""

    def __init__(self, layer: SigmaDeltaLayer, grid: Grid | None, *, stock: bool) -> None:
        self.layer = layer
        self.block = build_block(layer)
        self.neuron = Neuron(layer, grid, stock=stock, persistent_state=True)
        self.block.neuron = self.neuron
        self._exact: ExactLinear | None = None
        if grid is not None:
            self.block.synapse.pre_hook_fx = self.neuron.quantize_8bit
            limit = grid.exact_limit - grid.state_limit
            channels = layer.input_shape[0]
            self._exact = ExactLinear(layer.geometry, layer.weight, channels, limit)

    def __call__(self, messages: Tensor) -> Tensor:
        """Messages out [1, O, H', W', T] for the messages in [1, C, H, W, T]."""
        # slayer sums over time before the state wraps round, so the whole chunk must be exact.
        if messages.dtype == torch.float32 and (
            self._exact is None or self._exact.is_exact(messages.abs().sum(dim=-1))
        ):
            return narrow_if_exact(self._forward(messages))
        self.block.double()
        out = narrow_if_exact(self._forward(messages.double()))
        # States fit float32; what a sum over a window has sent does not, and stays as it is.
        sent = self.neuron.delta.sent
        self.block.float()
        self.neuron.delta.sent = sent
        return out

    def _forward(self, messages: Tensor) -> Tensor:
        if self.layer.geometry.reads_flat:
            flat = messages.flatten(1, 3)
            return self.block(flat)[:, :, None, None]  # type: ignore[no-any-return]
        return self.block(messages)  # type: ignore[no-any-return]


# slayer's blocks by the names of ``NetxRow``.
_BLOCKS = {"conv": blocks.Conv, "convT": blocks.ConvT, "dense": blocks.Dense}


def build_block(layer: SigmaDeltaLayer) -> Any:
    """A slayer block with the layer's weight in floats, pads made the same at both ends.

    Raises ConversionError for an operation that slayer has no block for.
    """
    geometry, weight = layer.geometry.with_symmetric_pads(layer.weight.numpy())
    row = geometry.netx_row(layer.input_shape, weight.shape)
    if row is None:
        raise ConversionError(
            f"layer {layer.name}: slayer has no block for a {geometry.name}; run this network with"
            " --backend engine"
        )
    window: tuple[Any, ...] = ()
    if row.kernel is not None:
        window = (row.kernel, row.stride, row.padding, row.dilation, row.groups)
    neuron = {"threshold": 0.0, "activation": torch.relu}
    block = _BLOCKS[row.type](neuron, row.n_in, row.n_out, *window, pre_hook_fx=None)
    block.synapse.weight.data = torch.tensor(weight).reshape(block.synapse.weight.shape)
    return block
