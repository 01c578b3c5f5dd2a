"""The slayer backend: the network built from lava-dl's sigma-delta blocks.

This module imports lava; import it only where slayer is used.
"""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ann2sdnn.graph.layers import Synapse
from ann2sdnn.graph.planes import Planes, joined
from ann2sdnn.sdnn.engine.exact import ExactLinear, ExactSum, narrow_if_exact
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
        self._encoder = Delta(network.input_threshold, None, persistent_state=True)
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
            for plane, sent in enumerate(self._run(frames[chunk], result, chunk)):
                result.events[chunk, plane] = sent.frames.count_nonzero(dim=(1, 2, 3))
                if keep_messages:
                    kept[plane].extend(sent.frames)
        return with_messages(result, self.network, kept) if keep_messages else result

    def _run(self, frames: Tensor, result: BackendResult, chunk: slice) -> Iterator["_Sent"]:
        """What the input and each layer send for ``frames``, those of ``chunk`` in ``result``, in
        which all but the events is filled in.
        """
        values = self.network.enter(frames)
        sent = _Sent.of(self._encoder(values.movedim(0, -1)[None]))
        planes = Planes(self.network, sent)
        yield sent
        for index, layer in enumerate(self._layers):
            arriving = planes.inputs()
            by_frame = zip(*(own.frames for own in arriving), strict=True)
            synops = [self._counter.synops(index, frame) for frame in by_frame]
            result.synops[chunk, index] = torch.tensor(synops)
            sent = _Sent.of(layer([own.messages for own in arriving]))
            planes.put(sent)
            result.overflows[chunk, index] = layer.neuron.sigma.overflows
            oversized = sent.frames.abs() > self._message_limit
            result.oversized[chunk, index] = oversized.sum(dim=(1, 2, 3))
            yield sent
        result.outputs[chunk] = self._decode(joined([own.frames for own in planes.outputs]))

    def _decode(self, messages: Tensor) -> Tensor:
        """The outputs [T, O, H, W] for the ``messages`` of that shape."""
        decoded = self._decoded + torch.cumsum(messages, dim=0, dtype=torch.float64)
        self._decoded = decoded[-1]
        return decoded.float() / self.network.output_scale


class _Sent(NamedTuple):
    """What the input or a layer sent in a chunk of T frames."""

    messages: Tensor
    """[1, C, H, W, T]."""
    frames: Tensor
    """The same as [T, C, H, W]."""

    @classmethod
    def of(cls, messages: Tensor) -> "_Sent":
        return cls(messages, messages[0].movedim(-1, 0).contiguous())


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
        self._exact: ExactSum | None = None
        if grid is not None:
            for module in block_synapses(self.block):
                module.pre_hook_fx = self.neuron.quantize_8bit
            limit = grid.exact_limit - grid.state_limit
            self._exact = ExactSum(
                [
                    ExactLinear(one.geometry, one.weight, one.input_shape[0], limit)
                    for one in layer.synapses
                ],
                limit,
            )

    def __call__(self, arriving: Sequence[Tensor]) -> Tensor:
        """Messages out [1, O, H', W', T] for the messages [1, C, H, W, T] at each synapse."""
        # slayer sums over time before the state wraps round, so the whole chunk must be exact.
        if all(messages.dtype == torch.float32 for messages in arriving) and (
            self._exact is None
            or self._exact.is_exact([messages.abs().sum(dim=-1) for messages in arriving])
        ):
            return narrow_if_exact(self._forward(arriving))
        self.block.double()
        out = narrow_if_exact(self._forward([messages.double() for messages in arriving]))
        # States fit float32; what a sum over a window has sent does not, and stays as it is.
        sent = self.neuron.delta.sent
        self.block.float()
        self.neuron.delta.sent = sent
        return out

    def _forward(self, arriving: Sequence[Tensor]) -> Tensor:
        results = []
        modules = zip(block_synapses(self.block), self.layer.synapses, strict=True)
        for (module, synapse), messages in zip(modules, arriving, strict=True):
            is_flat = synapse.geometry.reads_flat
            results.append(
                module(messages.flatten(1, 3)[:, :, None, None] if is_flat else messages)
            )
        sent: Tensor = self.neuron(sum(results[1:], results[0]))
        return sent


# slayer's blocks by the names of ``NetxRow``.
_BLOCKS = {"conv": blocks.Conv, "convT": blocks.ConvT, "dense": blocks.Dense}


def build_block(layer: SigmaDeltaLayer) -> Any:
    """A slayer block with the layer's weights in floats, pads made the same at both ends.

    slayer's blocks have one synapse, so those behind the first are the list ``joined`` of the
    block, and whoever runs it adds their results up. Raises ConversionError for an operation that
    slayer has no block for.
    """
    first, *others = (_block(layer.name, synapse) for synapse in layer.synapses)
    first.joined = torch.nn.ModuleList(block.synapse for block in others)
    return first


def block_synapses(block: Any) -> list[Any]:
    """Slayer's modules of all synapses of a block that ``build_block`` made, in their order."""
    return [block.synapse, *block.joined]


def _block(name: str, synapse: Synapse) -> Any:
    geometry, weight = synapse.geometry.with_symmetric_pads(synapse.weight.numpy())
    row = geometry.netx_row(synapse.input_shape, weight.shape)
    if row is None:
        raise ConversionError(
            f"layer {name}: slayer has no block for a {geometry.name}; run this network with"
            " --backend engine"
        )
    window: tuple[Any, ...] = ()
    if row.kernel is not None:
        window = (row.kernel, row.stride, row.padding, row.dilation, row.groups)
    neuron = {"threshold": 0.0, "activation": torch.relu}
    block = _BLOCKS[row.type](neuron, row.n_in, row.n_out, *window, pre_hook_fx=None)
    block.synapse.weight.data = torch.tensor(weight).reshape(block.synapse.weight.shape)
    return block
